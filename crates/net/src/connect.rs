use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use sendbeacon_fetch::{NetworkError, TimeoutKind};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    connection::{Connection, Http1Connection},
    http2::Http2Connection,
    pool::PoolKey,
    resolve::resolve_an_origin,
    tls::{HTTP2, Tls},
};

/// How long an address may take before the next is tried beside it: the "Connection Attempt Delay"
/// that [RFC 8305, section 5](https://www.rfc-editor.org/rfc/rfc8305#section-5) recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Makes connections.
pub(crate) struct Connector {
    pub(crate) host_map: HashMap<Box<str>, IpAddr>,
    /// For name resolution, TCP and TLS together.
    pub(crate) timeout: Duration,
    pub(crate) tls: Tls,
}

impl Connector {
    pub(crate) async fn connect(&self, key: &PoolKey) -> Result<Connection, NetworkError> {
        timeout(self.timeout, self.create_a_connection(key)).await.unwrap_or_else(|_| {
            Err(NetworkError::Timeout { kind: TimeoutKind::Connect, after: self.timeout })
        })
    }

    /// [Create a connection](https://fetch.spec.whatwg.org/#create-a-connection).
    async fn create_a_connection(&self, key: &PoolKey) -> Result<Connection, NetworkError> {
        let addresses = resolve_an_origin(&key.host, key.port, &self.host_map).await?;
        let tcp = connect_to_any(&addresses)
            .await
            .map_err(|error| NetworkError::Connect(format!("{key}: {error}")))?;
        if !key.tls {
            return Http1Connection::open(tcp).await.map(Connection::Http1);
        }
        let tls = self.tls.handshake(key, tcp).await?;
        if tls.get_ref().1.alpn_protocol() == Some(HTTP2) {
            Http2Connection::open(tls).await.map(Connection::Http2)
        } else {
            Http1Connection::open(tls).await.map(Connection::Http1)
        }
    }
}

/// Connects to whichever address answers first. They are tried in order, the next one when the
/// last has failed or has been silent for a while.
async fn connect_to_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut untried = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(untried.next().map(|address| TcpStream::connect(*address)));
        let finished = if untried.len() == 0 {
            attempts.next().await
        } else {
            match timeout(ATTEMPT_DELAY, attempts.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some(Ok(tcp)) => {
                // A request is one write, and what waits for it to be acknowledged is the next.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}
