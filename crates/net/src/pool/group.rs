//! The connections of one pool key, and the requests that wait for one.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use sendbeacon_fetch::NetworkError;
use tokio::{sync::oneshot, time::Instant};

use crate::{http1::Http1Connection, http2::Http2Connection};

/// Where a group is in the [index](super::index::Index) of the pool.
#[derive(Default)]
pub(crate) struct Places {
    pub(crate) open: usize,
    pub(crate) servable: Option<u64>,
    pub(crate) servable_with_room: Option<u64>,
    pub(crate) idle: Option<(Instant, u64)>,
}

/// How many later requests may share an open connection while an earlier request waits for a new
/// connection of its own. Further requests wait behind it, until the open connection is idle and can be
/// closed to make room.
const MAX_OVERTAKEN: usize = 32;

/// How long an HTTP/2 connection may have been idle before a request first asks by a PING whether the
/// server still answers. Chromium takes the same time, but sends the request together with the PING and
/// loses it if nobody answers.
const DOUBTED_AFTER: Duration = Duration::from_secs(10);

/// The connections of one pool key, and the requests that wait for one.
#[derive(Default)]
pub(crate) struct ConnectionGroup {
    /// How many HTTP/1.1 connections are in use, plus how many connections of either protocol are being
    /// made.
    pub(crate) busy: usize,
    /// The HTTP/1.1 connections that no request uses. The one that is idle for longest is in front.
    idle: VecDeque<Idle>,
    /// The HTTP/2 connections. At most one of them is current.
    http2: Vec<Shared>,
    /// Whether the server is known to speak HTTP/1.1, so that one connection cannot serve all requests.
    pub(crate) speaks_http1: bool,
    /// Whether other requests wait for a connection that is being made, because it may serve them all.
    pub(crate) is_awaited: bool,
    /// The requests that wait, in the order of their tickets.
    pub(crate) waiting: VecDeque<Waiter>,
    pub(crate) places: Places,
}

/// A request that waits.
pub(crate) struct Waiter {
    /// A number that grows with every request that waits, whatever its key.
    pub(crate) ticket: u64,
    /// Whether the request needs a new connection of its own.
    pub(crate) needs_new: bool,
    /// How many later requests were served before this one, because they need no new connection.
    pub(crate) overtaken: usize,
    pub(crate) grant: oneshot::Sender<Result<Grant, NetworkError>>,
}

/// What the pool gives to a request.
pub(crate) enum Grant {
    /// An HTTP/1.1 connection that was idle.
    Http1 {
        connection: Box<Http1Connection>,
        /// How much longer the connection may be idle.
        reusable_for: Duration,
        /// The number of the machine's network that the connection is on.
        network: u64,
    },
    /// A share of an HTTP/2 connection.
    Http2 {
        connection: Arc<Http2Connection>,
        /// Whether the request has to ask first whether the server still answers.
        is_doubted: bool,
        /// The number of the machine's network that the connection is on.
        network: u64,
    },
    /// Room for a connection that the request has to make.
    Room(RoomGrant),
}

/// Room for a connection that a request has to make.
#[derive(Clone, Copy)]
pub(crate) struct RoomGrant {
    /// The number of the machine's network that the connection will be on.
    pub(crate) network: u64,
    /// Whether the connection replaces those that are open.
    pub(crate) needs_new: bool,
    /// Whether other requests wait for this connection, because it may serve them all.
    pub(crate) is_awaited: bool,
}

/// An HTTP/1.1 connection that no request uses.
struct Idle {
    connection: Box<Http1Connection>,
    since: Instant,
    /// How long after `since` the connection may be reused.
    reusable_for: Duration,
}

impl Idle {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    fn is_good(&self, now: Instant) -> bool {
        !self.connection.sender.is_closed() && self.age(now) < self.reusable_for
    }
}

/// An HTTP/2 connection.
struct Shared {
    connection: Arc<Http2Connection>,
    /// Whether further requests may use the connection.
    is_current: bool,
    /// Whether a request is asking if the server still answers. Other requests wait meanwhile.
    is_doubted: bool,
    /// How many requests use the connection.
    streams: usize,
    /// When the last of its requests ended.
    idle_since: Instant,
}

impl Shared {
    fn has_ended(&self) -> bool {
        self.streams == 0 && !self.is_current
    }

    fn has_stream(&self) -> bool {
        !self.is_doubted && self.streams < self.connection.max_streams()
    }
}

impl ConnectionGroup {
    /// How many connections are open or being made.
    pub(crate) fn open(&self) -> usize {
        self.busy + self.idle.len() + self.http2.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open() == 0 && self.waiting.is_empty()
    }

    /// Whether a request could have an open connection at once.
    pub(crate) fn has_connection(&self) -> bool {
        !self.idle.is_empty() || self.current().is_some_and(Shared::has_stream)
    }

    /// Whether the limits and the connections of this group let a request make a connection.
    pub(crate) fn may_open(&self, needs_new: bool, limit: usize) -> bool {
        let has_room = self.open() < limit || self.longest_idle().is_some();
        has_room && (needs_new || !self.is_awaited && self.current().is_none())
    }

    /// The position of the waiting request to serve next, if one can be served.
    ///
    /// That is the first request. While the first request waits for a new connection of its own, it is
    /// the first one that an open connection serves. `has_room` says whether any group may open a
    /// connection.
    pub(crate) fn next_to_serve(&self, has_room: bool, limit: usize) -> Option<usize> {
        let Waiter { needs_new, overtaken, .. } = *self.waiting.front()?;
        let has_connection = self.has_connection();
        if !needs_new && has_connection || has_room && self.may_open(needs_new, limit) {
            return Some(0);
        }
        let may_pass = needs_new && has_connection && overtaken < MAX_OVERTAKEN;
        may_pass.then(|| self.waiting.iter().position(|waiter| !waiter.needs_new))?
    }

    /// Takes the waiting request at a position out of the queue.
    pub(crate) fn take_waiter(&mut self, at: usize) -> Option<Waiter> {
        if at > 0
            && let Some(first) = self.waiting.front_mut()
        {
            first.overtaken += 1;
        }
        self.waiting.remove(at)
    }

    /// Lets requests wait for a connection that is about to be made, if it may serve all of them and no
    /// other connection does. Returns whether they now wait for it.
    pub(crate) fn await_connection(&mut self) -> bool {
        let begins = !self.speaks_http1 && !self.is_awaited && self.current().is_none();
        self.is_awaited |= begins;
        begins
    }

    /// A share of the current HTTP/2 connection, if it takes another request.
    pub(crate) fn share_http2(&mut self, network: u64, now: Instant) -> Option<Grant> {
        let current = self.http2.iter_mut().find(|http2| http2.is_current)?;
        if !current.has_stream() {
            return None;
        }
        let idle = now.saturating_duration_since(current.idle_since);
        current.is_doubted = current.streams == 0 && idle >= DOUBTED_AFTER;
        current.streams += 1;
        let connection = Arc::clone(&current.connection);
        Some(Grant::Http2 { connection, is_doubted: current.is_doubted, network })
    }

    /// Notes that the server of a doubted connection answers.
    pub(crate) fn trust_http2(&mut self, connection: &Arc<Http2Connection>) {
        if let Some(http2) = self.shared(connection) {
            http2.is_doubted = false;
        }
    }

    /// Adds a connection that one request uses. It becomes the current connection if `may_be_current` is true,
    /// and if the group has no current connection or `replaces_current` is true.
    pub(crate) fn add_http2(
        &mut self,
        connection: Arc<Http2Connection>,
        may_be_current: bool,
        replaces_current: bool,
    ) {
        let is_current = may_be_current && (replaces_current || self.current().is_none());
        if is_current {
            self.retire_http2(|_| true);
        }
        let (is_doubted, idle_since) = (false, Instant::now());
        self.http2.push(Shared { connection, is_current, is_doubted, streams: 1, idle_since });
    }

    pub(crate) fn end_stream(&mut self, connection: &Arc<Http2Connection>) {
        if let Some(http2) = self.shared(connection) {
            http2.streams -= 1;
            // A request that gave up before the server answered leaves the question to the next request:
            // the connection counts as idle for as long as before.
            if !std::mem::take(&mut http2.is_doubted) {
                http2.idle_since = Instant::now();
            }
        }
        self.http2.retain(|http2| !http2.has_ended());
    }

    pub(crate) fn close_idle_http1(&mut self) {
        self.idle.clear();
    }

    /// Lets the HTTP/2 connections that `is_meant` picks take no further requests.
    pub(crate) fn retire_http2(&mut self, is_meant: impl Fn(&Arc<Http2Connection>) -> bool) {
        for http2 in &mut self.http2 {
            http2.is_current &= !is_meant(&http2.connection);
        }
        self.http2.retain(|http2| !http2.has_ended());
    }

    /// The most recently used HTTP/1.1 connection, to be used again.
    pub(crate) fn take_idle(&mut self, network: u64, now: Instant) -> Option<Grant> {
        let idle = self.idle.pop_back()?;
        self.busy += 1;
        let reusable_for = idle.reusable_for.saturating_sub(idle.age(now));
        Some(Grant::Http1 { connection: idle.connection, reusable_for, network })
    }

    pub(crate) fn add_idle(&mut self, connection: Box<Http1Connection>, reusable_for: Duration) {
        if !reusable_for.is_zero() {
            self.idle.push_back(Idle { connection, since: Instant::now(), reusable_for });
        }
    }

    /// Closes every connection that was idle for too long or that the server closed.
    pub(crate) fn sweep(&mut self, now: Instant, http2_idle: Duration) {
        self.idle.retain(|idle| idle.is_good(now));
        self.sweep_next(now, http2_idle);
    }

    /// Does the same as [`sweep`](Self::sweep) to the connections that the next request would get, until one of
    /// them is good.
    pub(crate) fn sweep_next(&mut self, now: Instant, http2_idle: Duration) {
        while self.idle.back().is_some_and(|idle| !idle.is_good(now)) {
            self.idle.pop_back();
        }
        for http2 in &mut self.http2 {
            let age = now.saturating_duration_since(http2.idle_since);
            let is_too_old = http2.streams == 0 && age >= http2_idle;
            http2.is_current &= !is_too_old && !http2.connection.is_closed();
        }
        self.http2.retain(|http2| !http2.has_ended());
    }

    /// The time since which the longest-idle connection has been idle. `None` if no connection is idle.
    pub(crate) fn longest_idle(&self) -> Option<Instant> {
        let http1 = self.idle.front().map(|idle| idle.since);
        let http2 = self.http2.iter().filter(|http2| http2.streams == 0);
        http1.into_iter().chain(http2.map(|http2| http2.idle_since)).min()
    }

    pub(crate) fn close_longest_idle(&mut self) {
        let Some(longest) = self.longest_idle() else { return };
        if self.idle.front().is_some_and(|idle| idle.since == longest) {
            self.idle.pop_front();
        } else {
            self.http2.retain(|http2| http2.streams > 0 || http2.idle_since != longest);
        }
    }

    /// Fails the waiting requests that need no new connection of their own. Returns their number.
    pub(crate) fn fail_waiting(&mut self, reason: &NetworkError) -> usize {
        let (stay, failed): (_, VecDeque<_>) =
            self.waiting.drain(..).partition(|waiter| waiter.needs_new);
        self.waiting = stay;
        let count = failed.len();
        for waiter in failed {
            // The receiver exists as long as the request has its place in the queue.
            let _ = waiter.grant.send(Err(reason.clone()));
        }
        count
    }

    fn shared(&mut self, connection: &Arc<Http2Connection>) -> Option<&mut Shared> {
        self.http2.iter_mut().find(|http2| Arc::ptr_eq(&http2.connection, connection))
    }

    fn current(&self) -> Option<&Shared> {
        self.http2.iter().find(|http2| http2.is_current)
    }
}
