//! The key of the connection pool.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use foldhash::quality::RandomState;
use sendbeacon_fetch::{
    NetworkError,
    host::{ConnectionKey, NetworkRequest},
};
use url::Host;

use crate::proxy::server::{Proxy, ProxyProtocol};

/// What two requests must have in common to share a connection: the network partition key, the
/// credentials flag, the origin and the proxy, and whether the server refused HTTP/2 for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolKey {
    /// The hash of the other fields. A request looks its key up several times, and hashes it once.
    hash: u64,
    pub(crate) connection: ConnectionKey,
    pub(crate) tls: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// `None` for a connection to the origin itself.
    pub(crate) proxy: Option<Arc<Proxy>>,
    /// Whether the connection has to speak HTTP/1.1.
    pub(crate) needs_http1: bool,
}

impl PoolKey {
    /// The key of a request that goes through `proxy`. `hasher` has the pool's secret.
    pub(crate) fn of(
        request: &NetworkRequest,
        proxy: Option<Arc<Proxy>>,
        hasher: &RandomState,
    ) -> Result<Self, NetworkError> {
        let NetworkRequest { url, connection, .. } = request;
        match (url.scheme(), url.host(), url.port_or_known_default()) {
            (scheme @ ("http" | "https"), Some(host), Some(port)) => {
                let tls = scheme == "https";
                let (connection, host) = (connection.clone(), host.to_owned());
                let key = Self { hash: 0, connection, tls, host, port, proxy, needs_http1: false };
                Ok(key.hashed(hasher))
            }
            (scheme, ..) => Err(NetworkError::Unsendable(format!(
                "its scheme is {scheme:?}, and only http and https have connections"
            ))),
        }
    }

    /// The same key for connections that speak HTTP/1.1.
    pub(crate) fn over_http1(&self, hasher: &RandomState) -> Self {
        Self { needs_http1: true, ..self.clone() }.hashed(hasher)
    }

    fn hashed(mut self, hasher: &RandomState) -> Self {
        let Self { hash: _, connection, tls, host, port, proxy, needs_http1 } = &self;
        self.hash = hasher.hash_one((connection, tls, host, port, proxy, needs_http1));
        self
    }

    /// Whether the connection is to a proxy that takes requests for any origin.
    pub(crate) fn is_to_proxy(&self) -> bool {
        let proxy = self.proxy.as_ref();
        !self.tls && proxy.is_some_and(|it| matches!(it.protocol, ProxyProtocol::Http { .. }))
    }
}

impl Hash for PoolKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// Shows the host and the port.
impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
