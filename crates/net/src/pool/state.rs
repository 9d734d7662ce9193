//! The state of the connection pool, without its lock.

use std::{sync::Arc, time::Duration};

// The key to hash is itself a hash with a secret.
use rustc_hash::FxHashMap;
use sendbeacon_fetch::NetworkError;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    http1::Http1Connection,
    http2::Http2Connection,
    pool::{
        group::{ConnectionGroup, Grant, RoomGrant, Waiter},
        index::Index,
        key::PoolKey,
    },
};

/// How often the pool sweeps the groups that no request asks for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How many connections may be open, and for how long they may be idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long an HTTP/1.1 connection may be idle.
    pub(crate) http1_idle: Duration,
    /// How long an HTTP/2 connection may be idle.
    pub(crate) http2_idle: Duration,
    /// How many connections of one group may be open or being made.
    pub(crate) per_group: usize,
    /// How many connections of all groups may be open or being made.
    pub(crate) overall: usize,
}

/// All connections, and all requests that wait for one.
pub(crate) struct State {
    limits: Limits,
    /// The groups that have a connection or a waiting request.
    groups: FxHashMap<Arc<PoolKey>, ConnectionGroup>,
    /// It takes note of each change of a group, which [`change`](Self::change) makes.
    index: Index,
    /// How many requests wait.
    waiting: usize,
    next_ticket: u64,
    /// The number of the machine's network: how often it has changed.
    network: u64,
    swept: Instant,
}

/// The place of a request in the queue, and where its grant arrives.
pub(crate) type Ticket = (u64, oneshot::Receiver<Result<Grant, NetworkError>>);

impl State {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            groups: FxHashMap::default(),
            index: Index::default(),
            waiting: 0,
            next_ticket: 0,
            network: 0,
            swept: Instant::now(),
        }
    }

    /// Gives a request a connection, or room for one. If there is neither, the request gets a place in
    /// the queue.
    pub(crate) fn checkout_or_wait(
        &mut self,
        key: &Arc<PoolKey>,
        needs_new: bool,
    ) -> Result<Grant, Ticket> {
        let limits = self.limits;
        let now = Instant::now();
        if now.saturating_duration_since(self.swept) >= SWEEP_INTERVAL {
            self.sweep(now);
        }
        let network = self.network;
        let (reused, may_open) = self.change(key, |group| {
            group.sweep_next(now, limits.http2_idle);
            if !group.waiting.is_empty() {
                return (None, false);
            }
            if !needs_new && let Some(connection) = reuse(group, network, now) {
                return (Some(connection), false);
            }
            group.sweep(now, limits.http2_idle);
            (None, group.may_open(needs_new, limits.per_group))
        });
        if let Some(connection) = reused {
            return Ok(connection);
        }
        if may_open && self.has_room() {
            return Ok(self.make_room(key, needs_new));
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting += 1;
        let has_connection = self.change(key, |group| {
            group.waiting.push_back(Waiter { ticket, needs_new, overtaken: 0, grant: sender });
            group.has_connection()
        });
        // The requests in front may need new connections, and leave an open one to this request.
        if !needs_new && has_connection {
            self.serve();
        }
        Err((ticket, receiver))
    }

    /// Gives up a place in the queue.
    pub(crate) fn leave(&mut self, key: &Arc<PoolKey>, ticket: u64) {
        let has_left = self.change(key, |group| {
            let at = group.waiting.binary_search_by_key(&ticket, |waiter| waiter.ticket);
            at.is_ok_and(|at| group.waiting.remove(at).is_some())
        });
        if has_left {
            self.waiting -= 1;
            // The requests behind it may have waited only because it stood in front of them.
            self.serve();
        }
    }

    /// Closes every idle connection, and lets the connections in use take no further requests.
    pub(crate) fn network_changed(&mut self) {
        self.network += 1;
        for (key, group) in &mut self.groups {
            group.close_idle_http1();
            group.retire_http2(|_| true);
            self.index.update(key, group, self.limits.per_group);
        }
        self.serve();
    }

    /// The number of the machine's network.
    pub(crate) fn network(&self) -> u64 {
        self.network
    }

    /// Notes that a request fills its room with an HTTP/1.1 connection, which it uses.
    pub(crate) fn opened_http1(&mut self, key: &Arc<PoolKey>, room: RoomGrant) {
        self.change(key, |group| {
            group.is_awaited &= !room.is_awaited;
            group.speaks_http1 = true;
        });
        self.serve();
    }

    /// Adds the HTTP/2 connection with which a request fills its room.
    pub(crate) fn opened_http2(
        &mut self,
        key: &Arc<PoolKey>,
        room: RoomGrant,
        connection: Arc<Http2Connection>,
    ) {
        let is_same_network = self.network == room.network;
        self.change(key, |group| {
            group.is_awaited &= !room.is_awaited;
            group.speaks_http1 = false;
            group.busy -= 1;
            group.add_http2(connection, is_same_network, room.needs_new);
        });
        self.serve();
    }

    /// Takes back room for a connection that was not made.
    ///
    /// The requests that waited for this connection fail with `reason`. If there is no reason, the next
    /// of them makes the connection.
    pub(crate) fn not_opened(
        &mut self,
        key: &Arc<PoolKey>,
        room: RoomGrant,
        reason: Option<&NetworkError>,
    ) {
        let failed = self.change(key, |group| {
            group.busy -= 1;
            group.is_awaited &= !room.is_awaited;
            let reason = reason.filter(|_| room.is_awaited);
            reason.map_or(0, |reason| group.fail_waiting(reason))
        });
        self.waiting -= failed;
        self.serve();
    }

    /// Ends the use of an HTTP/1.1 connection. `idle` holds the connection and how long it may be idle,
    /// unless it was closed.
    pub(crate) fn http1_ended(
        &mut self,
        key: &Arc<PoolKey>,
        network: u64,
        idle: Option<(Box<Http1Connection>, Duration)>,
    ) {
        let idle = idle.filter(|_| network == self.network);
        self.change(key, |group| {
            group.busy -= 1;
            if let Some((connection, reusable_for)) = idle {
                group.add_idle(connection, reusable_for);
            }
        });
        self.serve();
    }

    /// Ends the use of an HTTP/2 connection by one request.
    pub(crate) fn stream_ended(&mut self, key: &Arc<PoolKey>, connection: &Arc<Http2Connection>) {
        self.change(key, |group| group.end_stream(connection));
        self.serve();
    }

    /// Notes that the server of a doubted connection answers.
    pub(crate) fn trust(&mut self, key: &Arc<PoolKey>, connection: &Arc<Http2Connection>) {
        self.change(key, |group| group.trust_http2(connection));
        self.serve();
    }

    /// Lets an HTTP/2 connection take no further requests.
    pub(crate) fn retire(&mut self, key: &Arc<PoolKey>, connection: &Arc<Http2Connection>) {
        self.change(key, |group| group.retire_http2(|other| Arc::ptr_eq(other, connection)));
        self.serve();
    }

    /// Makes room for a connection, after [`has_room`](Self::has_room) has found that there is some.
    fn make_room(&mut self, key: &Arc<PoolKey>, needs_new: bool) -> Grant {
        let (limits, network) = (self.limits, self.network);
        let is_group_full = self.groups.get(key).is_some_and(|it| it.open() >= limits.per_group);
        if is_group_full {
            self.change(key, ConnectionGroup::close_longest_idle);
        } else if self.index.open() >= limits.overall
            && let Some(key) = self.longest_idle()
        {
            self.change(&key, ConnectionGroup::close_longest_idle);
        }
        let is_awaited = self.change(key, |group| {
            group.busy += 1;
            key.tls && group.await_connection()
        });
        Grant::Room(RoomGrant { network, needs_new, is_awaited })
    }

    /// Gives connections, and room for connections, to the requests that wait. The request that has waited
    /// longest comes first.
    fn serve(&mut self) {
        if self.waiting == 0 {
            return;
        }
        let now = Instant::now();
        while self.waiting > 0 {
            let Some((key, at)) = self.next_to_serve() else { return };
            let network = self.network;
            let served = self.change(&key, |group| {
                let waiter = group.take_waiter(at)?;
                let may_reuse = !waiter.needs_new;
                Some((waiter, may_reuse.then(|| reuse(group, network, now)).flatten()))
            });
            let Some((waiter, connection)) = served else { return };
            self.waiting -= 1;
            let grant = match connection {
                Some(connection) => connection,
                None => self.make_room(&key, waiter.needs_new),
            };
            // The receiver exists as long as the request has its place in the queue.
            let _ = waiter.grant.send(Ok(grant));
        }
    }

    /// The waiting request to serve next: its key, and its position in the queue of its group.
    fn next_to_serve(&mut self) -> Option<(Arc<PoolKey>, usize)> {
        let has_room = self.has_room();
        loop {
            let key = Arc::clone(self.index.next_to_serve(has_room)?);
            let group = self.groups.get(&key)?;
            if let Some(at) = group.next_to_serve(has_room, self.limits.per_group) {
                return Some((key, at));
            }
            // The server now allows fewer streams than when the index took note of the group.
            self.change(&key, |_| {});
        }
    }

    /// Changes the group of a key, which is added if it is new.
    fn change<R>(
        &mut self,
        key: &Arc<PoolKey>,
        change: impl FnOnce(&mut ConnectionGroup) -> R,
    ) -> R {
        let group = self.groups.entry(Arc::clone(key)).or_default();
        let result = change(group);
        self.index.update(key, group, self.limits.per_group);
        result
    }

    /// Removes what is too old. The index takes note of all groups again, because servers may have changed how many
    /// streams they allow.
    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.groups.retain(|key, group| {
            group.sweep(now, self.limits.http2_idle);
            self.index.update(key, group, self.limits.per_group);
            !group.is_empty()
        });
    }

    /// Whether one more connection may be open, if need be after an idle one is closed.
    fn has_room(&mut self) -> bool {
        self.index.open() < self.limits.overall || self.longest_idle().is_some()
    }

    /// The group with the connection that has been idle for longest.
    fn longest_idle(&mut self) -> Option<Arc<PoolKey>> {
        loop {
            let (since, key) = self.index.longest_idle()?;
            let key = Arc::clone(key);
            let group = self.groups.get_mut(&key)?;
            if group.longest_idle().is_some_and(|it| it <= since) {
                return Some(key);
            }
            // Its connection was used since it took its place in the index.
            self.index.update_idle(&key, group);
        }
    }
}

/// An open connection for another request: a share of the HTTP/2 connection, or the most recently used
/// HTTP/1.1 connection.
fn reuse(group: &mut ConnectionGroup, network: u64, now: Instant) -> Option<Grant> {
    group.share_http2(network, now).or_else(|| group.take_idle(network, now))
}

#[cfg(test)]
mod tests;
