//! A byte-exact recording HTTP/1.1 server.
//!
//! Its point is to see what was really sent and to answer with any bytes at all, so it parses by
//! hand and shares no code with what it tests.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use sendbeacon_testkit::server::{Behavior, RecordingServer};
//!
//! let server = RecordingServer::start(|_| Behavior::status(204)).await;
//! // ... send something to server.url("/collect"), then:
//! # tokio::spawn({
//! #     let addr = server.addr();
//! #     async move {
//! #         use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #         let mut tcp = tokio::net::TcpStream::connect(addr).await.unwrap();
//! #         tcp.write_all(b"POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
//! #         tcp.read(&mut [0; 64]).await.unwrap();
//! #     }
//! # });
//! let requests = server.wait_for(1).await;
//! assert_eq!(requests[0].header("host"), Some("x"));
//! assert_eq!(requests[0].body, b"hi");
//! # }
//! ```

mod behavior;
mod request;
mod tls;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::HandshakeKind;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use self::tls::Authority;
pub use self::{behavior::Behavior, request::RecordedRequest};

/// How long [`RecordingServer::wait_for`] waits before it takes the test to have failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server. It runs on the tokio runtime it was started in, and stops when dropped: its listener
/// and all its connections are closed.
pub struct RecordingServer {
    addr: SocketAddr,
    authority: Option<Authority>,
    log: Arc<watch::Sender<Log>>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Log {
    requests: Vec<RecordedRequest>,
    accepted: usize,
    resumed: Vec<usize>,
    closed: usize,
}

type Handler = dyn Fn(&RecordedRequest) -> Behavior + Send + Sync;

impl RecordingServer {
    /// Starts a server on a free port of 127.0.0.1. `handler` is asked once for every request,
    /// after the request was recorded.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, Arc::new(handler)).await
    }

    /// [`start`](Self::start), over TLS (ALPN `http/1.1`).
    ///
    /// The certificate is for `localhost`, `127.0.0.1`, `::1`, `a.test` and `b.test`, and is
    /// signed by a certificate authority made for this server alone: see [`ca_pem`](Self::ca_pem).
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start_tls(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(Authority::new()), Arc::new(handler)).await
    }

    async fn listen(authority: Option<Authority>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(watch::Sender::new(Log::default()));
        let acceptor = authority.as_ref().map(|authority| authority.acceptor.clone());
        let accepting =
            tokio::spawn(accept(listener, acceptor, handler, log.clone())).abort_handle();
        Self { addr, authority, log, accepting }
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The URL of `path` (which begins with a slash) on this server, by its address.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.addr)
    }

    /// The certificate of the server's authority, as PEM.
    ///
    /// # Panics
    ///
    /// If the server does not speak TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.authority.as_ref().expect("a server started with start_tls").pem
    }

    /// The certificate of the server's authority, as DER.
    ///
    /// # Panics
    ///
    /// If the server does not speak TLS.
    #[must_use]
    pub fn ca_der(&self) -> &[u8] {
        &self.authority.as_ref().expect("a server started with start_tls").der
    }

    /// The requests so far, in the order in which their last byte arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.log.borrow().requests.clone()
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log.borrow().accepted
    }

    /// The connections, counted from 0 in the order in which they were accepted, whose TLS
    /// handshake resumed the session of an earlier one.
    #[must_use]
    pub fn resumed(&self) -> Vec<usize> {
        self.log.borrow().resumed.clone()
    }

    /// Waits until `n` requests were recorded, and returns all there are.
    ///
    /// # Panics
    ///
    /// If that takes more than 10 seconds.
    pub async fn wait_for(&self, n: usize) -> Vec<RecordedRequest> {
        self.until(|log| log.requests.len() >= n, &format!("{n} requests")).await;
        self.requests()
    }

    /// Waits until `n` connections have ended on both sides: the client closed its end too, or the
    /// server reset the connection.
    ///
    /// # Panics
    ///
    /// If that takes more than 10 seconds.
    pub async fn wait_for_closed(&self, n: usize) {
        self.until(|log| log.closed >= n, &format!("{n} closed connections")).await;
    }

    async fn until(&self, condition: impl FnMut(&Log) -> bool, what: &str) {
        let mut log = self.log.subscribe();
        if timeout(PATIENCE, log.wait_for(condition)).await.is_err() {
            let Log { requests, accepted, closed, .. } = &*self.log.borrow();
            panic!(
                "waited {PATIENCE:?} for {what}, and there are {} requests on {accepted} \
                 connections, {closed} of them closed",
                requests.len()
            );
        }
    }
}

impl Drop for RecordingServer {
    fn drop(&mut self) {
        // The connections' tasks belong to the accepting task and end with it.
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    handler: Arc<Handler>,
    log: Arc<watch::Sender<Log>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { return };
        let mut id = 0;
        log.send_modify(|log| {
            id = log.accepted;
            log.accepted += 1;
        });
        let (acceptor, handler, log) = (acceptor.clone(), handler.clone(), log.clone());
        connections.spawn(async move {
            // What goes wrong here goes wrong for the client, and that is where a test looks.
            let _: io::Result<()> = connection(tcp, acceptor, id, &*handler, &log).await;
            log.send_modify(|log| log.closed += 1);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    mut tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    id: usize,
    handler: &Handler,
    log: &watch::Sender<Log>,
) -> io::Result<()> {
    if let Some(acceptor) = acceptor {
        let mut tls = acceptor.accept(tcp).await?;
        if tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            log.send_modify(|log| log.resumed.push(id));
        }
        let end = serve(&mut tls, id, handler, log).await?;
        end.apply(tls.get_ref().0)
    } else {
        let end = serve(&mut tcp, id, handler, log).await?;
        end.apply(&tcp)
    }
}

/// How the server leaves a connection.
enum End {
    Closed,
    Reset,
}

impl End {
    fn apply(self, tcp: &TcpStream) -> io::Result<()> {
        match self {
            Self::Closed => Ok(()),
            // With nothing left to linger for, dropping the socket sends an RST.
            Self::Reset => tcp.set_zero_linger(),
        }
    }
}

async fn serve<S>(
    stream: &mut S,
    connection: usize,
    handler: &Handler,
    log: &watch::Sender<Log>,
) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    while let Some(mut request) = request::read(stream, &mut buffer).await? {
        request.connection = connection;
        log.send_modify(|log| {
            request.index = log.requests.len();
            log.requests.push(request.clone());
        });
        let answer = match handler(&request) {
            Behavior::Respond(answer) => answer,
            Behavior::RespondAfter(delay, answer) => {
                sleep(delay).await;
                answer
            }
            Behavior::RespondWhen(gate, answer) => {
                gate.notified().await;
                answer
            }
            Behavior::RespondThenClose(answer) => {
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                return drain(stream).await;
            }
            Behavior::Close => {
                stream.shutdown().await?;
                return drain(stream).await;
            }
            Behavior::Reset => return Ok(End::Reset),
            Behavior::Hang => return drain(stream).await,
        };
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
    Ok(End::Closed)
}

/// Waits until the client has closed its side.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<End> {
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(End::Closed)
}
