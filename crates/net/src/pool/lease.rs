//! The pool behind its lock, and the leases: a request holds one while it uses or makes a connection.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use foldhash::quality::RandomState;
use http::{HeaderMap, HeaderName};
use sendbeacon_fetch::{NetworkError, host::NetworkRequest};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    connection::OpenConnection,
    http1::Http1Connection,
    http2::Http2Connection,
    pool::{
        group::{Grant, RoomGrant},
        key::PoolKey,
        state::{Limits, State},
    },
    proxy::server::Proxy,
};

/// How long an idle HTTP/1.1 connection may take to be ready. It is ready at once, unless the server
/// answered without reading the last request's body and still reads nothing.
const READY_TIMEOUT: Duration = Duration::from_millis(250);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The connection pool.
pub(crate) struct Pool {
    pub(crate) limits: Limits,
    key_hasher: RandomState,
    state: Mutex<State>,
}

/// What the pool gives to a request.
pub(crate) enum Checkout {
    /// An open connection. The server may have closed it a moment ago.
    Open(ConnectionLease),
    /// Room for a connection that the request has to make.
    Room(Room),
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = Mutex::new(State::new(limits));
        Self { limits, key_hasher: RandomState::default(), state }
    }

    /// The key of a request that goes through `proxy`.
    pub(crate) fn key(
        &self,
        request: &NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<PoolKey, NetworkError> {
        PoolKey::of(request, proxy, &self.key_hasher)
    }

    /// The same key for connections that speak HTTP/1.1.
    pub(crate) fn key_over_http1(&self, key: &PoolKey) -> PoolKey {
        key.over_http1(&self.key_hasher)
    }

    /// [Obtain a connection](https://fetch.spec.whatwg.org/#concept-connection-obtain), or room to make
    /// one, as soon as there is either.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        needs_new: bool,
    ) -> Result<Checkout, NetworkError> {
        let granted = self.lock().checkout_or_wait(key, needs_new);
        let mut place = match granted {
            Ok(grant) => return Ok(self.hold(key, grant)),
            Err((ticket, receiver)) => Place { pool: self, key, ticket, receiver },
        };
        // By reference: the request has to leave the queue before the receiver is dropped.
        let granted = (&mut place.receiver).await;
        // The queue keeps the sender until it uses it.
        let granted =
            granted.unwrap_or_else(|_| Err(NetworkError::Connect("the pool is gone".into())));
        granted.map(|grant| self.hold(key, grant))
    }

    /// Closes every idle connection, and lets the connections in use take no further requests.
    pub(crate) fn network_changed(&self) {
        self.lock().network_changed();
    }

    /// Makes a lease of a grant, so that it cannot be lost.
    fn hold(self: &Arc<Self>, key: &Arc<PoolKey>, grant: Grant) -> Checkout {
        match grant {
            Grant::Http1 { connection, reusable_for, network } => {
                let lease = Http1Lease::new(self, key, network, connection, reusable_for);
                Checkout::Open(ConnectionLease::Http1(lease))
            }
            Grant::Http2 { connection, is_doubted, network } => {
                let lease = Http2Lease::new(self, key, network, connection, is_doubted);
                Checkout::Open(ConnectionLease::Http2(lease))
            }
            Grant::Room(grant) => Checkout::Room(Room::new(self, key, grant)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic at any point under the lock, the connections and their counts still agree.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place in the queue.
///
/// Dropping it first leaves the queue, so that no grant is sent to a receiver that is gone. A grant that
/// was sent before that becomes a lease, which is dropped unused.
struct Place<'a> {
    pool: &'a Arc<Pool>,
    key: &'a Arc<PoolKey>,
    ticket: u64,
    receiver: oneshot::Receiver<Result<Grant, NetworkError>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.lock().leave(self.key, self.ticket);
        if let Ok(Ok(grant)) = self.receiver.try_recv() {
            drop(self.pool.hold(self.key, grant));
        }
    }
}

/// The use of an open connection.
pub(crate) enum ConnectionLease {
    Http1(Http1Lease),
    Http2(Http2Lease),
}

/// The use of an HTTP/1.1 connection. Dropping it closes the connection.
pub(crate) struct Http1Lease {
    pub(crate) connection: Box<Http1Connection>,
    /// How long the connection may be idle after this use. Before a response has come, this is the rest of
    /// the time that it may still be idle.
    reusable_for: Duration,
    in_use: Http1InUse,
}

/// Tells the pool when the use of an HTTP/1.1 connection ends.
struct Http1InUse {
    /// Weak, so that a connection in use does not keep the pool alive.
    pool: Weak<Pool>,
    key: Arc<PoolKey>,
    /// The number of the machine's network that the connection is on.
    network: u64,
    /// The connection and how long it may be idle, once it is given back.
    idle: Option<(Box<Http1Connection>, Duration)>,
}

impl Http1Lease {
    fn new(
        pool: &Arc<Pool>,
        key: &Arc<PoolKey>,
        network: u64,
        connection: Box<Http1Connection>,
        reusable_for: Duration,
    ) -> Self {
        let (pool, key) = (Arc::downgrade(pool), Arc::clone(key));
        Self { connection, reusable_for, in_use: Http1InUse { pool, key, network, idle: None } }
    }

    /// Waits until the connection takes a request: the reader of a response gets its end a moment before
    /// hyper is ready for the next request. Returns whether it does.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let sender = &mut self.connection.sender;
        sender.is_ready() || matches!(timeout(READY_TIMEOUT, sender.ready()).await, Ok(Ok(())))
    }

    /// Follows the headers of the response that is being read from the connection. After the response,
    /// the connection may be idle for `limit`, or for less if the server says so.
    pub(crate) fn follow(&mut self, headers: &HeaderMap, limit: Duration) {
        self.reusable_for = keep_alive_timeout(headers).map_or(limit, |timeout| timeout.min(limit));
    }

    /// Whether the machine is still on the network that the connection is on.
    pub(crate) fn is_on_current_network(&self) -> bool {
        let pool = self.in_use.pool.upgrade();
        pool.is_some_and(|pool| pool.lock().network() == self.in_use.network)
    }

    /// Gives the connection back, after the response was read to its end or if nothing was sent.
    pub(crate) fn give_back(self) {
        let Self { connection, reusable_for, mut in_use } = self;
        in_use.idle = Some((connection, reusable_for));
    }

    /// Closes the connection, and keeps its place in the pool for another connection.
    pub(crate) fn into_room(self, pool: &Arc<Pool>) -> Room {
        let Self { mut in_use, .. } = self;
        // The pool is not told that the use ends, because the room continues it.
        in_use.pool = Weak::new();
        let network = in_use.network;
        let grant = RoomGrant { network, needs_new: false, is_awaited: false };
        Room::new(pool, &in_use.key, grant)
    }
}

impl Drop for Http1InUse {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.lock().http1_ended(&self.key, self.network, self.idle.take());
        }
    }
}

/// The use of an HTTP/2 connection by one request.
pub(crate) struct Http2Lease {
    pool: Weak<Pool>,
    key: Arc<PoolKey>,
    /// The number of the machine's network that the connection is on.
    network: u64,
    pub(crate) connection: Arc<Http2Connection>,
    /// Whether the request has to ask first whether the server still answers.
    is_doubted: bool,
}

impl Http2Lease {
    fn new(
        pool: &Arc<Pool>,
        key: &Arc<PoolKey>,
        network: u64,
        connection: Arc<Http2Connection>,
        is_doubted: bool,
    ) -> Self {
        Self { pool: Arc::downgrade(pool), key: Arc::clone(key), network, connection, is_doubted }
    }

    /// Whether the connection takes a request and, if that is in doubt, whether the server answers.
    pub(crate) async fn is_ready(&self) -> bool {
        if self.is_doubted {
            if !self.connection.answers().await {
                return false;
            }
            if let Some(pool) = self.pool.upgrade() {
                pool.lock().trust(&self.key, &self.connection);
            }
        }
        self.connection.is_ready().await
    }

    /// Whether the machine is still on the network that the connection is on.
    pub(crate) fn is_on_current_network(&self) -> bool {
        self.pool.upgrade().is_some_and(|pool| pool.lock().network() == self.network)
    }

    /// Lets the connection take no further requests.
    pub(crate) fn retire(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.lock().retire(&self.key, &self.connection);
        }
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.lock().stream_ended(&self.key, &self.connection);
        }
    }
}

/// Room for a connection that a request is to make.
pub(crate) struct Room {
    pool: Arc<Pool>,
    key: Arc<PoolKey>,
    // The fields of the grant stand here one by one beside `is_filled`, which makes every request's future smaller.
    network: u64,
    needs_new: bool,
    is_awaited: bool,
    /// Whether the pool already knows what became of the room.
    is_filled: bool,
}

impl Room {
    fn new(pool: &Arc<Pool>, key: &Arc<PoolKey>, grant: RoomGrant) -> Self {
        let RoomGrant { network, needs_new, is_awaited } = grant;
        let (pool, key) = (Arc::clone(pool), Arc::clone(key));
        Self { pool, key, network, needs_new, is_awaited, is_filled: false }
    }

    fn grant(&self) -> RoomGrant {
        let Self { network, needs_new, is_awaited, .. } = *self;
        RoomGrant { network, needs_new, is_awaited }
    }

    /// Uses the connection that was made, or tells the pool why no connection was made.
    pub(crate) fn fill(
        mut self,
        made: Result<OpenConnection, NetworkError>,
    ) -> Result<ConnectionLease, NetworkError> {
        self.is_filled = true;
        let (Self { pool, key, .. }, grant) = (&self, self.grant());
        match made {
            Ok(OpenConnection::Http1(connection)) => {
                let idle = pool.limits.http1_idle;
                let lease = Http1Lease::new(pool, key, grant.network, connection, idle);
                pool.lock().opened_http1(key, grant);
                Ok(ConnectionLease::Http1(lease))
            }
            Ok(OpenConnection::Http2(connection)) => {
                let connection = Arc::new(connection);
                pool.lock().opened_http2(key, grant, Arc::clone(&connection));
                let lease = Http2Lease::new(pool, key, grant.network, connection, false);
                Ok(ConnectionLease::Http2(lease))
            }
            Err(reason) => {
                // The permission of another client may differ.
                let is_for_all = !matches!(reason, NetworkError::LocalNetworkAccess { .. });
                pool.lock().not_opened(key, grant, is_for_all.then_some(&reason));
                Err(reason)
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.is_filled {
            self.pool.lock().not_opened(&self.key, self.grant(), None);
        }
    }
}

/// How long the server keeps an idle connection: the `timeout` parameter of `Keep-Alive`, in seconds.
fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(KEEP_ALIVE)
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
    fn keep_alive_without_a_number_of_seconds_is_ignored() {
        assert_eq!(timeout(&[]), None);
        assert_eq!(timeout(&["timeout"]), None);
        assert_eq!(timeout(&["timeout=-1"]), None);
        assert_eq!(timeout(&["timeout=99999999999999999999"]), None);
    }
}
