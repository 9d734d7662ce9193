//! The [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool): which connections
//! there are, and who waits for one.
//!
//! One lock holds all of it, for as long as it takes to look something up. A connection in use has a
//! [lease](crate::lease), which tells the pool when it ends.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::quality::RandomState;
// What is hashed is a hash with a secret.
use rustc_hash::FxHashMap;
use sendbeacon_fetch::{
    NetworkError,
    host::{ConnectionKey, NetworkRequest},
};
use tokio::{sync::oneshot, time::Instant};
use url::Host;

use crate::{
    connection::{Connection, Http1Connection},
    destination::{Destination, Waiter},
    http2::Http2Connection,
    lease::{Http1Lease, Http2Lease, Lease, Room},
    proxy::{Proxy, ProxyProtocol},
};

/// How often the idle connections are looked at that no request asks for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What two requests must share to share a connection: the standard's network partition key,
/// credentials flag and origin, and the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolKey {
    /// Of all the rest: a request looks its key up several times.
    hash: u64,
    pub(crate) connection: ConnectionKey,
    pub(crate) tls: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// `None`: straight to the origin.
    pub(crate) proxy: Option<Arc<Proxy>>,
}

impl Hash for PoolKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl PoolKey {
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

/// How many connections there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long an HTTP/1.1 connection may be idle.
    pub(crate) http1_idle: Duration,
    /// How long an HTTP/2 connection may be idle.
    pub(crate) http2_idle: Duration,
    /// How many connections of one key may be open, those being made included.
    pub(crate) per_key: usize,
    /// The same of all keys.
    pub(crate) overall: usize,
}

/// What a request is given.
pub(crate) enum Checkout {
    /// An open connection. It may have been closed without anybody having noticed.
    Open(Lease),
    /// Room for a connection that the request has to make.
    Room(Room),
}

/// What a request that waits is told.
pub(crate) type Grant = Result<Checkout, NetworkError>;

/// All connections, and who waits for one.
pub(crate) struct Pool {
    pub(crate) limits: Limits,
    key_hasher: RandomState,
    state: Mutex<State>,
}

struct State {
    /// Those with a connection or with somebody who waits.
    destinations: FxHashMap<Arc<PoolKey>, Destination>,
    /// How many requests wait.
    waiting: usize,
    next_ticket: u64,
    /// How often the machine's network has changed.
    network: u64,
    swept: Instant,
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            destinations: FxHashMap::default(),
            waiting: 0,
            next_ticket: 0,
            network: 0,
            swept: Instant::now(),
        };
        Self { limits, key_hasher: RandomState::default(), state: Mutex::new(state) }
    }

    /// The key of a request that takes this way.
    pub(crate) fn key(
        &self,
        request: &NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<PoolKey, NetworkError> {
        let NetworkRequest { url, connection, .. } = request;
        match (url.scheme(), url.host(), url.port_or_known_default()) {
            (scheme @ ("http" | "https"), Some(host), Some(port)) => {
                let tls = scheme == "https";
                let hash = self.key_hasher.hash_one((connection, tls, &host, port, &proxy));
                let (connection, host) = (connection.clone(), host.to_owned());
                Ok(PoolKey { hash, connection, tls, host, port, proxy })
            }
            (scheme, ..) => Err(NetworkError::Unsendable(format!(
                "its scheme is {scheme:?}, and only http and https have connections"
            ))),
        }
    }

    /// [Obtain a connection](https://fetch.spec.whatwg.org/#concept-connection-obtain), or room to
    /// make one, as soon as there is either. Who has waited longest is served first.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        needs_new: bool,
    ) -> Result<Checkout, NetworkError> {
        let mut place = match self.checkout_or_wait(key, needs_new) {
            Ok(checkout) => return Ok(checkout),
            Err(place) => place,
        };
        // By reference: the place is to be left before the receiver is dropped.
        let granted = (&mut place.grant).await;
        // The sender is in the queue until it is used.
        granted.unwrap_or_else(|_| Err(NetworkError::Connect("the pool is gone".into())))
    }

    fn checkout_or_wait<'a>(
        self: &'a Arc<Self>,
        key: &'a Arc<PoolKey>,
        needs_new: bool,
    ) -> Result<Checkout, Place<'a>> {
        let mut state = self.lock();
        let now = Instant::now();
        if now.saturating_duration_since(state.swept) >= SWEEP_INTERVAL {
            state.sweep(now, self.limits.http2_idle);
        }
        let network = state.network;
        let destination = state.destination(key);
        destination.sweep_next(now, self.limits.http2_idle);
        if destination.waiting.is_empty() {
            if !needs_new && let Some(lease) = self.reuse(key, network, destination, now) {
                return Ok(Checkout::Open(lease));
            }
            destination.sweep(now, self.limits.http2_idle);
            if destination.may_open(needs_new, self.limits.per_key) && state.has_room(&self.limits)
            {
                return Ok(Checkout::Room(self.make_room(&mut state, key, needs_new)));
            }
        }
        let (sender, grant) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting += 1;
        let destination = state.destination(key);
        destination.waiting.push_back(Waiter { ticket, needs_new, overtaken: 0, grant: sender });
        // Whoever is in front may have no use for it.
        if !needs_new && destination.has_connection() {
            self.serve(&mut state);
        }
        Err(Place { pool: self, key, ticket, grant })
    }

    /// The existing connection: the one for all requests, or the one that was used last.
    fn reuse(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        network: u64,
        destination: &mut Destination,
        now: Instant,
    ) -> Option<Lease> {
        if let Some((connection, is_doubted)) = destination.share_http2(now) {
            return Some(Lease::Http2(Http2Lease::new(self, key, connection, is_doubted)));
        }
        let idle = destination.take_idle()?;
        Some(Lease::Http1(Http1Lease::again(self, key, network, idle, now)))
    }

    /// Room that [`State::has_room`] has found to be there.
    fn make_room(self: &Arc<Self>, state: &mut State, key: &Arc<PoolKey>, needs_new: bool) -> Room {
        let network = state.network;
        if state.destination(key).open() >= self.limits.per_key {
            state.destination(key).close_longest_idle();
        } else if state.open() >= self.limits.overall {
            state.close_longest_idle();
        }
        let destination = state.destination(key);
        destination.busy += 1;
        let is_awaited = key.tls && destination.await_connection();
        Room::new(self, key, network, needs_new, is_awaited)
    }

    /// Gives what there is to those who wait for it.
    fn serve(self: &Arc<Self>, state: &mut State) {
        if state.waiting == 0 {
            return;
        }
        let now = Instant::now();
        while state.waiting > 0 {
            let Some((key, at)) = state.next_to_serve(&self.limits) else { return };
            let network = state.network;
            let destination = state.destination(&key);
            let Some(waiter) = destination.take_waiter(at) else { return };
            let may_reuse = !waiter.needs_new;
            let lease = may_reuse.then(|| self.reuse(&key, network, destination, now)).flatten();
            state.waiting -= 1;
            let checkout = match lease {
                Some(lease) => Checkout::Open(lease),
                None => Checkout::Room(self.make_room(state, &key, waiter.needs_new)),
            };
            // Somebody listens as long as there is a place in the queue.
            let _ = waiter.grant.send(Ok(checkout));
        }
    }

    /// Closes every idle connection, and lets those in use serve no further request.
    pub(crate) fn network_changed(self: &Arc<Self>) {
        let mut state = self.lock();
        state.network += 1;
        for destination in state.destinations.values_mut() {
            destination.close_idle_http1();
            destination.retire_http2(|_| true);
        }
        self.serve(&mut state);
    }

    /// Takes in the connection that there was room for.
    pub(crate) fn opened(self: &Arc<Self>, room: &Room, connection: Connection) -> Lease {
        let mut state = self.lock();
        let is_same_network = state.network == room.network;
        let destination = state.destination(&room.key);
        destination.is_awaited &= !room.is_awaited;
        destination.speaks_http1 = matches!(connection, Connection::Http1(_));
        let lease = match connection {
            Connection::Http1(connection) => {
                Lease::Http1(Http1Lease::new(self, &room.key, room.network, connection))
            }
            Connection::Http2(connection) => {
                destination.busy -= 1;
                let connection = Arc::new(connection);
                destination.add_http2(connection.clone(), is_same_network, room.needs_new);
                Lease::Http2(Http2Lease::new(self, &room.key, connection, false))
            }
        };
        self.serve(&mut state);
        lease
    }

    /// The connection that there was room for was not made. Those who waited for just this one are
    /// told why; if there is no reason, the next of them makes it.
    pub(crate) fn not_opened(self: &Arc<Self>, room: &Room, reason: Option<&NetworkError>) {
        let mut state = self.lock();
        let destination = state.destination(&room.key);
        destination.busy -= 1;
        destination.is_awaited &= !room.is_awaited;
        if let (Some(reason), true) = (reason, room.is_awaited) {
            let failed = destination.fail_waiting(reason);
            state.waiting -= failed;
        }
        self.serve(&mut state);
    }

    /// A connection is not in use any more; it is `idle`, or closed.
    pub(crate) fn http1_ended(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        network: u64,
        idle: Option<(Box<Http1Connection>, Duration)>,
    ) {
        let mut state = self.lock();
        let idle = idle.filter(|_| network == state.network);
        let destination = state.destination(key);
        destination.busy -= 1;
        if let Some((connection, reusable_for)) = idle {
            destination.add_idle(connection, reusable_for);
        }
        self.serve(&mut state);
    }

    /// A request on the connection is over.
    pub(crate) fn stream_ended(
        self: &Arc<Self>,
        key: &Arc<PoolKey>,
        connection: &Arc<Http2Connection>,
    ) {
        let mut state = self.lock();
        state.destination(key).end_stream(connection);
        self.serve(&mut state);
    }

    /// The server was asked, and is there.
    pub(crate) fn trust(self: &Arc<Self>, key: &Arc<PoolKey>, connection: &Arc<Http2Connection>) {
        let mut state = self.lock();
        state.destination(key).trust_http2(connection);
        self.serve(&mut state);
    }

    /// The connection is not to be used for further requests.
    pub(crate) fn retire(self: &Arc<Self>, key: &Arc<PoolKey>, connection: &Arc<Http2Connection>) {
        let mut state = self.lock();
        state.destination(key).retire_http2(|other| Arc::ptr_eq(other, connection));
        self.serve(&mut state);
    }

    fn leave(self: &Arc<Self>, key: &Arc<PoolKey>, ticket: u64) {
        let mut state = self.lock();
        let waiting = &mut state.destination(key).waiting;
        if let Ok(at) = waiting.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            waiting.remove(at);
            state.waiting -= 1;
            // Those behind may have waited for nothing else.
            self.serve(&mut state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever panicked, each of its steps leaves the connections and their counts in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn destination(&mut self, key: &Arc<PoolKey>) -> &mut Destination {
        self.destinations.entry(key.clone()).or_default()
    }

    fn sweep(&mut self, now: Instant, http2_idle: Duration) {
        self.swept = now;
        self.destinations.retain(|_, destination| {
            destination.sweep(now, http2_idle);
            !destination.is_empty()
        });
    }

    fn open(&self) -> usize {
        self.destinations.values().map(Destination::open).sum()
    }

    /// Whether a connection more may be open, one that is idle being closed for it if need be.
    fn has_room(&self, limits: &Limits) -> bool {
        self.open() < limits.overall
            || self.destinations.values().any(|destination| destination.longest_idle().is_some())
    }

    /// The request that waits longest of those that can be served: its key, and its place among those
    /// of the key.
    fn next_to_serve(&self, limits: &Limits) -> Option<(Arc<PoolKey>, usize)> {
        let has_room = self.has_room(limits);
        let waiting = self.destinations.iter().filter_map(|(key, destination)| {
            let at = destination.next_to_serve(has_room, limits.per_key)?;
            Some((destination.waiting[at].ticket, key, at))
        });
        waiting.min_by_key(|(ticket, ..)| *ticket).map(|(_, key, at)| (key.clone(), at))
    }

    fn close_longest_idle(&mut self) {
        let idle = self.destinations.values_mut();
        let idle = idle.filter_map(|destination| Some((destination.longest_idle()?, destination)));
        if let Some((_, destination)) = idle.min_by_key(|(since, _)| *since) {
            destination.close_longest_idle();
        }
    }
}

/// A request's place among those that wait. It is left first, and the receiver dropped then: nothing
/// is granted, with the pool locked, to somebody who does not listen, and would have to be given back.
struct Place<'a> {
    pool: &'a Arc<Pool>,
    key: &'a Arc<PoolKey>,
    ticket: u64,
    grant: oneshot::Receiver<Grant>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.leave(self.key, self.ticket);
    }
}
