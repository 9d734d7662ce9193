//! The configuration of a server before it is started.

use std::{io, net::Ipv4Addr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
};

use super::{Behavior, Log, RecordedRequest, RecordingServer, Server, accept, tls::Authority};

/// The configuration of a server that was not started yet.
#[derive(Default)]
pub struct Setup {
    authority: Option<Authority>,
    options: Options,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) is_deaf: bool,
    pub(super) answers_early: bool,
    pub(super) max_streams: Option<u32>,
}

impl Options {
    async fn listen(self) -> io::Result<TcpListener> {
        let addr = (Ipv4Addr::LOCALHOST, 0);
        if !self.answers_early {
            return TcpListener::bind(addr).await;
        }
        // Bytes that the server does not read have to stay with the client, so the buffer between them is small.
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.bind(addr.into())?;
        socket.listen(1024)
    }
}

impl Setup {
    /// Uses TLS, with these ALPN protocols in order of preference.
    ///
    /// The server picks the first protocol that the client offers, too. Without protocols it does not negotiate.
    ///
    /// The certificate is for `localhost`, `127.0.0.1`, `::1`, `a.test` and `b.test`. A certificate authority that
    /// exists for this server only has signed it: see [`ca_pem`](RecordingServer::ca_pem).
    #[must_use]
    pub fn tls(mut self, protocols: &[&str]) -> Self {
        self.authority = Some(Authority::new(protocols, false));
        self
    }

    /// Uses TLS with HTTP/1.1, and demands a certificate from the client.
    ///
    /// In TLS 1.3 a client without a certificate learns that after the handshake, by an alert.
    #[must_use]
    pub fn tls_for_known_clients(mut self) -> Self {
        self.authority = Some(Authority::new(&["http/1.1"], true));
        self
    }

    /// Speaks HTTP/1.1 even if HTTP/2 was negotiated.
    ///
    /// The client's connection preface then looks like a request with the method `PRI`.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.options.is_deaf = true;
        self
    }

    /// Asks the handler when the head of a request has arrived, and reads the body after the answer.
    ///
    /// The request is recorded without its body first. The body is added when it was read.
    #[must_use]
    pub fn answers_early(mut self) -> Self {
        self.options.answers_early = true;
        self
    }

    /// Limits the number of concurrent streams on an HTTP/2 connection.
    #[must_use]
    pub fn max_streams(mut self, max: u32) -> Self {
        self.options.max_streams = Some(max);
        self
    }

    /// Starts the server on a free port of 127.0.0.1. `handler` is called once for each request,
    /// after the request was recorded.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start(
        self,
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> RecordingServer {
        let listener = self.options.listen().await.expect("a free port");
        self.start_on(listener, handler)
    }

    /// Does the same as [`start`](Self::start), with a listener of the caller's.
    ///
    /// # Panics
    ///
    /// If the listener has no address.
    pub fn start_on(
        self,
        listener: TcpListener,
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> RecordingServer {
        let Self { authority, options } = self;
        let addr = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(watch::Sender::new(Log::default()));
        let acceptor = authority.as_ref().map(|authority| authority.acceptor.clone());
        let server =
            Server { acceptor, options, handler: Box::new(handler), log: Arc::clone(&log) };
        let accepting = tokio::spawn(accept(listener, Arc::new(server))).abort_handle();
        RecordingServer { addr, authority, log, accepting }
    }
}
