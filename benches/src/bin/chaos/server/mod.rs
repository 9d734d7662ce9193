//! A server that misbehaves as its cell says. It counts which beacons it gets.
//!
//! It reads requests and writes answers by hand, because no library would misbehave like this.

mod frames;
mod handshake;
mod http1;
mod http2;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

pub(crate) use self::handshake::Identity;
use crate::{BoxError, Transport, cell::Cell, faults::Fault};

/// How long the connections of a cell may take to end after its client has gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a server does not accept connections before its listener is replaced.
const BACKLOG_TIME: Duration = Duration::from_millis(3);
/// How long a server stays away at most, and how many failures bring it back before that.
const AWAY: (Duration, usize) = (Duration::from_millis(50), 5);

/// A running server.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<io::Result<usize>>,
}

impl Server {
    /// Starts the server of `cell` on a free port of 127.0.0.1, on the current runtime.
    pub(crate) fn start(cell: Arc<Cell>, identity: &Identity) -> Result<Self, BoxError> {
        // This socket keeps the port while no listener does.
        let holder = socket(0)?;
        let addr = holder.local_addr()?;
        let listener = listen(addr.port())?;
        let tls = match cell.transport {
            Transport::Http1 => None,
            _ => Some(handshake::Acceptors::new(identity, &cell)?),
        };
        let connections = Arc::new(Connections { cell, tls });
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(async move {
            let _holder = holder;
            accept(listener, addr.port(), connections, stopped).await
        });
        Ok(Self { addr, stop, accepting })
    }

    /// Stops the server when its connections have ended, which the client closes before. Returns how many did not end.
    pub(crate) async fn stop(self) -> Result<usize, BoxError> {
        // Fails if the server has stopped by an error, which the task returns.
        let _: Result<(), ()> = self.stop.send(());
        Ok(self.accepting.await??)
    }
}

/// A socket on this port that shares the port with others. 0 chooses a free port.
fn socket(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

fn listen(port: u16) -> io::Result<TcpListener> {
    socket(port)?.listen(1_024)
}

/// Accepts connections until the server is stopped. Returns how many of them have not ended.
async fn accept(
    mut listener: TcpListener,
    port: u16,
    connections: Arc<Connections>,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<usize> {
    let mut tasks = JoinSet::new();
    loop {
        let (tcp, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut stopped => break,
        };
        // Each write goes out at once.
        tcp.set_nodelay(true)?;
        tasks.spawn({
            let connections = Arc::clone(&connections);
            async move {
                // The client sees every error of a connection, too.
                let _: io::Result<()> = connections.serve(tcp).await;
            }
        });
        while tasks.try_join_next().is_some() {}
        let cell = &connections.cell;
        if cell.strike_by(Fault::Backlog).is_some() {
            sleep(BACKLOG_TIME).await;
            // From here on new connections go to either listener, so none is refused.
            let next = listen(port)?;
            drop(std::mem::replace(&mut listener, next));
        }
        if cell.strike_by(Fault::Away).is_some() {
            drop(listener);
            stay_away(cell).await;
            listener = listen(port)?;
        }
    }
    drop(listener);
    let all_end = async { while tasks.join_next().await.is_some() {} };
    Ok(if timeout(PATIENCE, all_end).await.is_ok() { 0 } else { tasks.len() })
}

/// Waits until some beacons have failed, or for a while.
async fn stay_away(cell: &Cell) {
    let (time, failures) = AWAY;
    let back_at = cell.sightings.failures.load(Relaxed) + failures;
    let enough = async {
        while cell.sightings.failures.load(Relaxed) < back_at {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = timeout(time, enough).await;
}

/// What the connections of a server share.
struct Connections {
    cell: Arc<Cell>,
    tls: Option<handshake::Acceptors>,
}

impl Connections {
    async fn serve(&self, mut tcp: TcpStream) -> io::Result<()> {
        let cell = &*self.cell;
        let Some(tls) = &self.tls else {
            let end = match unread(cell) {
                Some(end) => end,
                None => http1::serve(cell, &mut tcp).await?,
            };
            return end.apply(&mut tcp).await;
        };
        if let Some(end) = handshake::cut(cell, &mut tcp).await? {
            return end.apply(&mut tcp).await;
        }
        let mut stream = tls.accept(cell, tcp).await?;
        let end = match unread(cell) {
            Some(end) => end,
            None if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                http2::serve(cell, &mut stream).await?
            }
            None => http1::serve(cell, &mut stream).await?,
        };
        end.apply(&mut stream).await
    }
}

/// Whether to close the connection before a byte is read.
fn unread(cell: &Cell) -> Option<End> {
    let strike = cell.strike_by(Fault::Unread)?;
    Some([End::Drop, End::Reset, End::Finish][strike % 3])
}

/// How the server ends a connection.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Closes the socket.
    Drop,
    /// Ends its side, and reads what comes until the client ends its own.
    Finish,
    /// Resets the connection.
    Reset,
}

impl End {
    async fn apply<S: Socket>(self, stream: &mut S) -> io::Result<()> {
        match self {
            Self::Drop => Ok(()),
            Self::Reset => stream.reset_at_drop(),
            Self::Finish => {
                stream.shutdown().await?;
                drain(stream).await
            }
        }
    }
}

/// A stream that a server can reset.
trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn reset_at_drop(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn reset_at_drop(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Socket for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_at_drop(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

/// Reads until the client ends its side.
async fn drain<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    while stream.read(&mut [0; 4_096]).await? > 0 {}
    Ok(())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn send_in_single_bytes<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
) -> io::Result<()> {
    for byte in bytes {
        send(stream, &[*byte]).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// How often a beacon with a body of this length is redirected: 1 to 3 times.
fn hops(length: usize) -> u8 {
    [1, 2, 3][length % 3]
}

/// How a server closes an idle connection: without looking, or reading what still comes.
const IDLE_ENDS: [End; 2] = [End::Drop, End::Finish];

/// Waits between an answer and the end of the idle connection, so that the end meets the next request at different
/// points.
async fn idle(strike: usize) {
    match strike % 4 {
        0 => {}
        1 => tokio::task::yield_now().await,
        2 => {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        _ => sleep(Duration::from_millis(1)).await,
    }
}
