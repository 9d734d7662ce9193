//! The [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool), as far as its
//! connections are idle: one in use belongs to whoever uses it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName};
use sendbeacon_fetch::{
    NetworkError,
    host::{ConnectionKey, NetworkRequest},
};
use url::Host;

use crate::{
    connection::Connection,
    proxy::{Proxy, ProxyProtocol},
};

/// How many connections are kept idle in all.
const MAX_IDLE: usize = 256;

/// What two requests must share to share a connection: the standard's network partition key,
/// credentials flag and origin, and the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolKey {
    pub(crate) connection: ConnectionKey,
    pub(crate) tls: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// `None`: straight to the origin.
    pub(crate) proxy: Option<Arc<Proxy>>,
}

impl PoolKey {
    pub(crate) fn of(
        request: &NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<Self, NetworkError> {
        let url = &request.url;
        match (url.scheme(), url.host(), url.port_or_known_default()) {
            (scheme @ ("http" | "https"), Some(host), Some(port)) => Ok(Self {
                connection: request.connection.clone(),
                tls: scheme == "https",
                host: host.to_owned(),
                port,
                proxy,
            }),
            (scheme, ..) => Err(NetworkError::Unsendable(format!(
                "its scheme is {scheme:?}, and only http and https have connections"
            ))),
        }
    }

    /// Whether the other end of the connection is a proxy that takes requests for any origin.
    pub(crate) fn is_to_proxy(&self) -> bool {
        let proxy = self.proxy.as_ref();
        !self.tls && proxy.is_some_and(|it| matches!(it.protocol, ProxyProtocol::Http { .. }))
    }
}

/// The host and port, for messages.
impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Idle connections, bounded per key and in all.
///
/// There are few, and mostly few keys: one queue, the longest idle at its front, is searched from
/// its back.
pub(crate) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
    idle_timeout: Duration,
    max_idle_per_key: usize,
}

struct Idle {
    key: PoolKey,
    connection: Connection,
    since: Instant,
    /// How long after `since` it may be reused.
    reusable_for: Duration,
}

impl Idle {
    fn is_reusable(&self, now: Instant) -> bool {
        !self.connection.sender.is_closed()
            && now.saturating_duration_since(self.since) < self.reusable_for
    }
}

impl Pool {
    pub(crate) fn new(idle_timeout: Duration, max_idle_per_key: usize) -> Self {
        Self { idle: Mutex::default(), idle_timeout, max_idle_per_key }
    }

    /// The idle connection with this key that was used last: the "existing connection" of
    /// [obtain a connection](https://fetch.spec.whatwg.org/#concept-connection-obtain).
    pub(crate) async fn take(&self, key: &PoolKey) -> Option<Connection> {
        loop {
            let mut connection = self.take_idle(key)?;
            // The end of a response reaches its reader a moment before hyper is ready for the next
            // request.
            if connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Closes every idle connection.
    pub(crate) fn clear(&self) {
        // Dropped after the lock is gone.
        let idle = std::mem::take(&mut *self.swept());
        drop(idle);
    }

    fn take_idle(&self, key: &PoolKey) -> Option<Connection> {
        let mut idle = self.swept();
        let newest = idle.iter().rposition(|idle| idle.key == *key)?;
        idle.remove(newest).map(|idle| idle.connection)
    }

    /// Keeps a connection, in place of the longest idle one where there is no room.
    fn put(&self, new: Idle) {
        let mut idle = self.swept();
        if idle.iter().filter(|idle| idle.key == new.key).count() >= self.max_idle_per_key {
            let Some(oldest) = idle.iter().position(|idle| idle.key == new.key) else {
                return; // No connection at all is to be kept.
            };
            idle.remove(oldest);
        }
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(new);
    }

    /// The idle connections, without those that are of no use any more.
    fn swept(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        // Whatever panicked, a queue of connections is still a queue of connections.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        idle.retain(|idle| idle.is_reusable(now));
        idle
    }
}

/// A connection in use, and the pool it will go to, if there still is one by then.
pub(crate) struct Lease {
    pool: Weak<Pool>,
    key: PoolKey,
    connection: Connection,
    reusable_for: Duration,
}

impl Lease {
    /// `headers` are those of the response that is being read from the connection.
    pub(crate) fn new(
        pool: &Arc<Pool>,
        key: PoolKey,
        connection: Connection,
        headers: &HeaderMap,
    ) -> Self {
        let reusable_for = keep_alive_timeout(headers)
            .map_or(pool.idle_timeout, |timeout| timeout.min(pool.idle_timeout));
        Self { pool: Arc::downgrade(pool), key, connection, reusable_for }
    }

    /// To be called when the response was read to its end.
    pub(crate) fn give_back(self) {
        let Self { pool, key, connection, reusable_for } = self;
        if let Some(pool) = pool.upgrade() {
            pool.put(Idle { key, connection, since: Instant::now(), reusable_for });
        }
    }
}

/// How long the server says it keeps an idle connection: `timeout` of `Keep-Alive`, in seconds.
fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(HeaderName::from_static("keep-alive"))
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, seconds)| seconds.trim().parse().ok())
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn timeout(values: &[&'static str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("keep-alive", HeaderValue::from_static(value));
        }
        keep_alive_timeout(&headers).map(|timeout| timeout.as_secs())
    }

    #[test]
    fn keep_alive_timeout_is_found_among_other_parameters() {
        assert_eq!(timeout(&["timeout=5"]), Some(5));
        assert_eq!(timeout(&["max=100, Timeout = 1"]), Some(1));
        assert_eq!(timeout(&["max=100", "timeout=0"]), Some(0));
    }

    #[test]
    fn keep_alive_without_a_number_of_seconds_says_nothing() {
        assert_eq!(timeout(&[]), None);
        assert_eq!(timeout(&["timeout"]), None);
        assert_eq!(timeout(&["timeout=-1"]), None);
        assert_eq!(timeout(&["timeout=99999999999999999999"]), None);
    }
}
