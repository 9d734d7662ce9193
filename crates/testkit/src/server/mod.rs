//! A server that records the exact bytes of requests, for HTTP/1.1 and HTTP/2.
//!
//! Tests see what was really sent, and they can answer with any bytes. For that the server parses HTTP/1.1 by hand and
//! shares no code with what it tests. HTTP/2 uses the `h2` crate; a test can put any bytes between two frames.
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
mod setup;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::HandshakeKind;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

pub use self::{behavior::Behavior, request::RecordedRequest, setup::Setup};
use self::{setup::Options, tls::Authority};

/// How long [`RecordingServer::wait_for`] waits before it fails the test.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
///
/// It runs on the tokio runtime in which it was started. When it is dropped, it closes its listener and all its
/// connections.
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

type Handler = dyn Fn(&RecordedRequest) -> Behavior + Send + Sync;

impl RecordingServer {
    /// Configures a server before it is started.
    #[must_use]
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Starts a server on a free port of 127.0.0.1. `handler` is called once for each request,
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

    /// Like [`start`](Self::start), over [TLS](Setup::tls) with HTTP/1.1.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start_tls(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::setup().tls(&["http/1.1"]).start(handler).await
    }

    /// Like [`start`](Self::start), over [TLS](Setup::tls) with HTTP/2.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start_http2(
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> Self {
        Self::setup().tls(&["h2"]).start(handler).await
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The URL of `path` on this server, with the server's IP address. `path` begins with a slash.
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

    /// The requests so far, in the order in which they were complete.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.log.borrow().requests.clone()
    }

    /// The number of connections that were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log.borrow().accepted
    }

    /// The connections whose TLS handshake resumed an earlier session.
    ///
    /// Connections are counted from 0 in the order in which they were accepted.
    #[must_use]
    pub fn resumed(&self) -> Vec<usize> {
        self.log.borrow().resumed.clone()
    }

    /// Waits until at least `n` requests were recorded, and returns all recorded requests.
    ///
    /// # Panics
    ///
    /// After 10 seconds.
    pub async fn wait_for(&self, n: usize) -> Vec<RecordedRequest> {
        self.until(|log| log.requests.len() >= n, &format!("{n} requests")).await;
        self.requests()
    }

    /// Waits until `n` connections have ended: the client has closed its side, too, or the server has reset the
    /// connection.
    ///
    /// # Panics
    ///
    /// After 10 seconds.
    pub async fn wait_for_closed(&self, n: usize) {
        self.until(|log| log.closed >= n, &format!("{n} closed connections")).await;
    }

    /// Waits until the body of the request with this index has `length` bytes.
    ///
    /// A server that [answers early](Setup::answers_early) records a request before its body.
    ///
    /// # Panics
    ///
    /// After 10 seconds.
    pub async fn wait_for_body(&self, index: usize, length: usize) {
        let is_there =
            |log: &Log| log.requests.get(index).is_some_and(|request| request.body.len() >= length);
        self.until(is_there, &format!("{length} bytes of body")).await;
    }

    /// Waits until the client has reset `n` HTTP/2 streams.
    ///
    /// Only streams count that would not end otherwise: those of [`Behavior::Hang`], [`Behavior::RespondForever`] and
    /// [`Behavior::RespondAndReadNoMore`].
    ///
    /// # Panics
    ///
    /// After 10 seconds.
    pub async fn wait_for_reset_streams(&self, n: usize) {
        self.until(|log| log.reset_streams >= n, &format!("{n} reset streams")).await;
    }

    async fn until(&self, condition: impl FnMut(&Log) -> bool, what: &str) {
        let mut log = self.log.subscribe();
        if timeout(PATIENCE, log.wait_for(condition)).await.is_err() {
            let Log { requests, accepted, closed, reset_streams, .. } = &*self.log.borrow();
            panic!(
                "waited {PATIENCE:?} for {what}; there are {} requests on {accepted} connections, \
                 {closed} closed connections and {reset_streams} reset streams",
                requests.len()
            );
        }
    }
}

impl Drop for RecordingServer {
    fn drop(&mut self) {
        // The accepting task owns the tasks of the connections, which end with it.
        self.accepting.abort();
    }
}

/// The part of a server that its connections share.
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
        // Without this, an answer of several writes could wait for an acknowledgement.
        let _ = tcp.set_nodelay(true);
        let mut id = 0;
        server.log.send_modify(|log| {
            id = log.accepted;
            log.accepted += 1;
        });
        let server = Arc::clone(&server);
        connections.spawn(async move {
            // Tests look at the client, which sees every error of the connection, too.
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

/// How the server ends a connection.
enum End {
    Closed,
    Reset,
}

impl End {
    fn apply(self, tcp: &TcpStream) -> io::Result<()> {
        match self {
            Self::Closed => Ok(()),
            // With a linger time of zero, dropping the socket sends an RST.
            Self::Reset => tcp.set_zero_linger(),
        }
    }
}
