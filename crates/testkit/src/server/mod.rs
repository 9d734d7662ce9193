//! A byte-exact recording HTTP/1.1 server, which speaks HTTP/2 where it is told to.
//!
//! Its point is to see what was really sent and to answer with any bytes at all, so it parses
//! HTTP/1.1 by hand and shares no code with what it tests. HTTP/2 is the `h2` crate's, and any bytes
//! at all can be put between the frames.
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
mod http1;
mod http2;
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
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
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
    reset_streams: usize,
}

impl Log {
    fn add(&mut self, request: &mut RecordedRequest) {
        request.index = self.requests.len();
        self.requests.push(request.clone());
    }
}

/// What else there is to say about a server before it starts.
#[derive(Default)]
pub struct Setup {
    authority: Option<Authority>,
    options: Options,
}

#[derive(Clone, Copy, Debug, Default)]
struct Options {
    is_deaf: bool,
    answers_early: bool,
    max_streams: Option<u32>,
}

impl Options {
    async fn listen(self) -> io::Result<TcpListener> {
        let addr = (Ipv4Addr::LOCALHOST, 0);
        if !self.answers_early {
            return TcpListener::bind(addr).await;
        }
        // What the server does not read is to stay with the client.
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.bind(addr.into())?;
        socket.listen(1024)
    }
}

impl Setup {
    /// Over TLS, choosing the first of these protocols (ALPN) that the client has, too; none at all
    /// for a server that does not negotiate.
    ///
    /// The certificate is for `localhost`, `127.0.0.1`, `::1`, `a.test` and `b.test`, and is
    /// signed by a certificate authority made for this server alone: see
    /// [`ca_pem`](RecordingServer::ca_pem).
    #[must_use]
    pub fn tls(mut self, protocols: &[&str]) -> Self {
        self.authority = Some(Authority::new(protocols, false));
        self
    }

    /// The same, demanding a certificate of the client. In TLS 1.3 the client learns that it lacks
    /// one after the handshake, by an alert.
    #[must_use]
    pub fn tls_for_known_clients(mut self) -> Self {
        self.authority = Some(Authority::new(&["http/1.1"], true));
        self
    }

    /// Speaks HTTP/1.1 even where HTTP/2 was chosen. The client's preface is then a request with the
    /// method `PRI`.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.options.is_deaf = true;
        self
    }

    /// Asks the handler as soon as a request's head is there, and reads its body after the answer,
    /// if at all. The request is recorded without its body first.
    #[must_use]
    pub fn answers_early(mut self) -> Self {
        self.options.answers_early = true;
        self
    }

    /// How many streams the server allows on an HTTP/2 connection.
    #[must_use]
    pub fn max_streams(mut self, max: u32) -> Self {
        self.options.max_streams = Some(max);
        self
    }

    /// Starts the server on a free port of 127.0.0.1. `handler` is asked once for every request,
    /// after the request was recorded.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start(
        self,
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> RecordingServer {
        let Self { authority, options } = self;
        let listener = options.listen().await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(watch::Sender::new(Log::default()));
        let acceptor = authority.as_ref().map(|authority| authority.acceptor.clone());
        let server = Server { acceptor, options, handler: Box::new(handler), log: log.clone() };
        let accepting = tokio::spawn(accept(listener, Arc::new(server))).abort_handle();
        RecordingServer { addr, authority, log, accepting }
    }
}

type Handler = dyn Fn(&RecordedRequest) -> Behavior + Send + Sync;

impl RecordingServer {
    /// A server that is not only started.
    #[must_use]
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Starts a server on a free port of 127.0.0.1. `handler` is asked once for every request,
    /// after the request was recorded.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::setup().start(handler).await
    }

    /// [`start`](Self::start), over [TLS](Setup::tls) with HTTP/1.1.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start_tls(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::setup().tls(&["http/1.1"]).start(handler).await
    }

    /// [`start`](Self::start), over [TLS](Setup::tls) with HTTP/2.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start_http2(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::setup().tls(&["h2"]).start(handler).await
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

    /// Waits until the body of a request has all of its `length` bytes: the server may have answered
    /// it earlier.
    ///
    /// # Panics
    ///
    /// If that takes more than 10 seconds.
    pub async fn wait_for_body(&self, index: usize, length: usize) {
        let is_there =
            |log: &Log| log.requests.get(index).is_some_and(|request| request.body.len() >= length);
        self.until(is_there, &format!("{length} bytes of body")).await;
    }

    /// Waits until the client has reset `n` HTTP/2 streams that were to hang, to go on forever, or not to
    /// be read on.
    ///
    /// # Panics
    ///
    /// If that takes more than 10 seconds.
    pub async fn wait_for_reset_streams(&self, n: usize) {
        self.until(|log| log.reset_streams >= n, &format!("{n} reset streams")).await;
    }

    async fn until(&self, condition: impl FnMut(&Log) -> bool, what: &str) {
        let mut log = self.log.subscribe();
        if timeout(PATIENCE, log.wait_for(condition)).await.is_err() {
            let Log { requests, accepted, closed, reset_streams, .. } = &*self.log.borrow();
            panic!(
                "waited {PATIENCE:?} for {what}, and there are {} requests on {accepted} \
                 connections, {closed} of them closed, and {reset_streams} reset streams",
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

/// What the connections of a server share.
struct Server {
    acceptor: Option<TlsAcceptor>,
    options: Options,
    handler: Box<Handler>,
    log: Arc<watch::Sender<Log>>,
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { return };
        // An answer of several writes is not to wait for an acknowledgement.
        let _ = tcp.set_nodelay(true);
        let mut id = 0;
        server.log.send_modify(|log| {
            id = log.accepted;
            log.accepted += 1;
        });
        let server = server.clone();
        connections.spawn(async move {
            // What goes wrong here goes wrong for the client, and that is where a test looks.
            let _: io::Result<()> = server.connection(tcp, id).await;
            server.log.send_modify(|log| log.closed += 1);
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Server {
    async fn connection(&self, mut tcp: TcpStream, id: usize) -> io::Result<()> {
        let Some(acceptor) = &self.acceptor else {
            let end = http1::serve(self, &mut tcp, id).await?;
            return end.apply(&tcp);
        };
        let mut tls = acceptor.accept(tcp).await?;
        if tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.log.send_modify(|log| log.resumed.push(id));
        }
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let end = if is_http2 && !self.options.is_deaf {
            http2::serve(self, &mut tls, id).await?
        } else {
            http1::serve(self, &mut tls, id).await?
        };
        end.apply(tls.get_ref().0)
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
