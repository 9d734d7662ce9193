use std::{io, net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use sendbeacon_fetch::{AddressSpace, NetworkError, TimeoutKind};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    address_space::{AccessCheck, AddressSpaces},
    connection::{Connection, Http1Connection},
    http2::Http2Connection,
    pool::PoolKey,
    proxy::ProxyAuthorizations,
    resolve::Names,
    tls::{HTTP2, Tls},
    tls_close::AnyClose,
};

/// How long an address may take before the next is tried beside it: the "Connection Attempt Delay"
/// that [RFC 8305, section 5](https://www.rfc-editor.org/rfc/rfc8305#section-5) recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Makes connections.
pub(crate) struct Connector {
    pub(crate) names: Names,
    pub(crate) address_spaces: AddressSpaces,
    pub(crate) authorizations: ProxyAuthorizations,
    /// For name resolution, TCP and TLS together.
    pub(crate) timeout: Duration,
    pub(crate) tls: Tls,
}

impl Connector {
    /// `check` is that of the request which the connection is for.
    pub(crate) async fn connect(
        &self,
        key: &PoolKey,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<Connection, NetworkError> {
        if let Some(proxy) = &key.proxy {
            return self.connect_through(proxy, key, check).await;
        }
        let mut time = TimeLeft::new(self.timeout);
        let partition = &key.connection.partition;
        let resolving = self.names.resolve_an_origin(&key.host, key.port, partition);
        let mut addresses = time.spend(resolving).await?;
        if let Some(check) = check {
            addresses = self.permitted(addresses, check).await?;
        }
        time.spend(self.create_a_connection(key, &addresses)).await
    }

    /// The addresses that pass the check, at least one. An error if somebody has to be asked first.
    ///
    /// NB: the text makes the check when the connection is there. By then a page could tell from
    /// the time it took whether there is anybody.
    async fn permitted(
        &self,
        mut addresses: Vec<SocketAddr>,
        check: &AccessCheck<'_>,
    ) -> Result<Vec<SocketAddr>, NetworkError> {
        let mut spaces: Vec<_> = addresses.iter().map(|ip| self.address_spaces.of(*ip)).collect();
        spaces.sort_unstable();
        spaces.dedup();
        let mut refusal = None;
        for space in spaces {
            if let Err(error) = check.check(space).await {
                addresses.retain(|ip| self.address_spaces.of(*ip) != space);
                refusal = Some(error);
            }
        }
        match refusal {
            Some(error) if addresses.is_empty() || check.must_ask() => Err(error),
            _ => Ok(addresses),
        }
    }

    /// [Create a connection](https://fetch.spec.whatwg.org/#create-a-connection).
    async fn create_a_connection(
        &self,
        key: &PoolKey,
        addresses: &[SocketAddr],
    ) -> Result<Connection, NetworkError> {
        let (tcp, address) = connect_to_any(addresses)
            .await
            .map_err(|error| NetworkError::Connect(format!("{key}: {error}").into()))?;
        self.open(key, tcp, Some(self.address_spaces.of(address))).await
    }

    /// Makes a connection of a stream to the server of `key`.
    pub(crate) async fn open<S>(
        &self,
        key: &PoolKey,
        stream: S,
        address_space: Option<AddressSpace>,
    ) -> Result<Connection, NetworkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        if !key.tls {
            return Http1Connection::open(stream, address_space).await.map(Connection::Http1);
        }
        let tls = self.tls.handshake(key, stream).await?;
        if tls.get_ref().1.alpn_protocol() == Some(HTTP2) {
            Http2Connection::open(tls, address_space).await.map(Connection::Http2)
        } else {
            Http1Connection::open(AnyClose(tls), address_space).await.map(Connection::Http1)
        }
    }
}

/// What is left of the time a connection may take. Waiting for an embedder is not counted.
pub(crate) struct TimeLeft {
    limit: Duration,
    left: Duration,
}

impl TimeLeft {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, left: limit }
    }

    pub(crate) async fn spend<T>(
        &mut self,
        work: impl Future<Output = Result<T, NetworkError>>,
    ) -> Result<T, NetworkError> {
        let since = Instant::now();
        let done = timeout(self.left, work).await;
        self.left = self.left.saturating_sub(since.elapsed());
        let late = NetworkError::Timeout { kind: TimeoutKind::Connect, after: self.limit };
        done.unwrap_or(Err(late))
    }
}

/// Connects to whichever address answers first. They are tried in order, the next one when the
/// last has failed or has been silent for a while.
pub(crate) async fn connect_to_any(
    addresses: &[SocketAddr],
) -> io::Result<(TcpStream, SocketAddr)> {
    let mut untried = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(untried.next().map(async |address| {
            let tcp = TcpStream::connect(*address).await?;
            Ok((tcp, *address))
        }));
        let finished = if untried.len() == 0 {
            attempts.next().await
        } else {
            match timeout(ATTEMPT_DELAY, attempts.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some(Ok((tcp, address))) => {
                // A request is one write, and what waits for it to be acknowledged is the next.
                let _ = tcp.set_nodelay(true);
                return Ok((tcp, address));
            }
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}
