//! What the pool has for one key.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use sendbeacon_fetch::NetworkError;
use tokio::{sync::oneshot, time::Instant};

use crate::{connection::Http1Connection, http2::Http2Connection, pool::Grant};

/// How many requests may share an open connection past one that came earlier and waits for a connection
/// of its own. Then they wait, too, until the connection is idle and can be closed for it.
const MAX_OVERTAKEN: usize = 32;

/// The connections of one key, and who waits for one.
#[derive(Default)]
pub(crate) struct Destination {
    /// How many HTTP/1.1 connections are in use, and connections of either kind being made.
    pub(crate) busy: usize,
    /// The HTTP/1.1 connections that nobody uses, the longest idle in front.
    idle: VecDeque<Idle>,
    /// The HTTP/2 connections. At most one is current.
    http2: Vec<Shared>,
    /// Whether the server is known to speak HTTP/1.1, so that one connection will not do for all.
    pub(crate) speaks_http1: bool,
    /// Whether a connection is being made that may do for all.
    pub(crate) is_awaited: bool,
    /// In the order of their tickets.
    pub(crate) waiting: VecDeque<Waiter>,
}

/// An HTTP/1.1 connection that nobody uses.
pub(crate) struct Idle {
    pub(crate) connection: Box<Http1Connection>,
    pub(crate) since: Instant,
    /// How long after `since` it may be reused.
    pub(crate) reusable_for: Duration,
}

impl Idle {
    fn is_good(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        !self.connection.sender.is_closed() && age < self.reusable_for
    }
}

/// For how long an HTTP/2 connection may have been idle and still be used without asking whether there
/// is anybody: as long as in Chromium, which sends the request with the PING, though, and loses it.
const DOUBTED_AFTER: Duration = Duration::from_secs(10);

struct Shared {
    connection: Arc<Http2Connection>,
    /// Whether further requests may use it.
    is_current: bool,
    /// Whether a request is asking if the server is there. The others wait for it.
    is_doubted: bool,
    /// How many requests use it.
    streams: usize,
    /// When the last of them ended.
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

/// A request that waits.
pub(crate) struct Waiter {
    /// Lower than those of all who came later, whatever they wait for.
    pub(crate) ticket: u64,
    /// Whether only a connection of its own making will do.
    pub(crate) needs_new: bool,
    /// How many who came later were served before it, being content with less.
    pub(crate) overtaken: usize,
    pub(crate) grant: oneshot::Sender<Grant>,
}

impl Destination {
    pub(crate) fn open(&self) -> usize {
        self.busy + self.idle.len() + self.http2.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open() == 0 && self.waiting.is_empty()
    }

    /// Whether a request can be given a connection at once.
    pub(crate) fn has_connection(&self) -> bool {
        !self.idle.is_empty() || self.current().is_some_and(Shared::has_stream)
    }

    /// Whether a request may make a connection, as far as this key is concerned.
    pub(crate) fn may_open(&self, needs_new: bool, limit: usize) -> bool {
        let has_room = self.open() < limit || self.longest_idle().is_some();
        has_room && (needs_new || !self.is_awaited && self.current().is_none())
    }

    /// Who of those that wait can be served: the first, or while that waits for a connection of its
    /// own, the first that is content with an open one. `has_room` is for whether any key may open one.
    pub(crate) fn next_to_serve(&self, has_room: bool, limit: usize) -> Option<usize> {
        let Waiter { needs_new, overtaken, .. } = *self.waiting.front()?;
        let has_connection = self.has_connection();
        if !needs_new && has_connection || has_room && self.may_open(needs_new, limit) {
            return Some(0);
        }
        let may_pass = needs_new && has_connection && overtaken < MAX_OVERTAKEN;
        may_pass.then(|| self.waiting.iter().position(|waiter| !waiter.needs_new))?
    }

    /// Takes one of those that wait out of the queue.
    pub(crate) fn take_waiter(&mut self, at: usize) -> Option<Waiter> {
        if at > 0
            && let Some(first) = self.waiting.front_mut()
        {
            first.overtaken += 1;
        }
        self.waiting.remove(at)
    }

    /// Lets requests wait for the connection that is going to be made, if it may do for all of them
    /// and nothing else does.
    pub(crate) fn await_connection(&mut self) -> bool {
        let begins = !self.speaks_http1 && !self.is_awaited && self.current().is_none();
        self.is_awaited |= begins;
        begins
    }

    /// Another share in the HTTP/2 connection, if there is one that takes another request, and whether
    /// it is doubtful that anybody is there.
    pub(crate) fn share_http2(&mut self, now: Instant) -> Option<(Arc<Http2Connection>, bool)> {
        let current = self.http2.iter_mut().find(|http2| http2.is_current)?;
        if !current.has_stream() {
            return None;
        }
        let idle = now.saturating_duration_since(current.idle_since);
        current.is_doubted = current.streams == 0 && idle >= DOUBTED_AFTER;
        current.streams += 1;
        Some((current.connection.clone(), current.is_doubted))
    }

    /// Somebody is there, and takes requests.
    pub(crate) fn trust_http2(&mut self, connection: &Arc<Http2Connection>) {
        if let Some(http2) = self.shared(connection) {
            http2.is_doubted = false;
        }
    }

    /// Adds a connection that one request uses. It is the current one unless it comes too late to
    /// be.
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
            // Who gave up asking leaves the question to the next.
            if !std::mem::take(&mut http2.is_doubted) {
                http2.idle_since = Instant::now();
            }
        }
        self.http2.retain(|http2| !http2.has_ended());
    }

    pub(crate) fn close_idle_http1(&mut self) {
        self.idle.clear();
    }

    /// Lets such HTTP/2 connections only finish what they have begun.
    pub(crate) fn retire_http2(&mut self, is_meant: impl Fn(&Arc<Http2Connection>) -> bool) {
        for http2 in &mut self.http2 {
            http2.is_current &= !is_meant(&http2.connection);
        }
        self.http2.retain(|http2| !http2.has_ended());
    }

    /// The HTTP/1.1 connection that was used last, to be used again.
    pub(crate) fn take_idle(&mut self) -> Option<Idle> {
        let idle = self.idle.pop_back()?;
        self.busy += 1;
        Some(idle)
    }

    pub(crate) fn add_idle(&mut self, connection: Box<Http1Connection>, reusable_for: Duration) {
        if !reusable_for.is_zero() {
            self.idle.push_back(Idle { connection, since: Instant::now(), reusable_for });
        }
    }

    /// Closes what has been idle for too long, or was closed by the server.
    pub(crate) fn sweep(&mut self, now: Instant, http2_idle: Duration) {
        self.idle.retain(|idle| idle.is_good(now));
        self.sweep_next(now, http2_idle);
    }

    /// The same of what the next request would be given, until that is good.
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

    /// Since when the connection is idle that has been so for longest.
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

    /// Tells those who do not need a connection of their own making that there will be none, and
    /// says how many they were.
    pub(crate) fn fail_waiting(&mut self, reason: &NetworkError) -> usize {
        let (stay, failed): (_, VecDeque<_>) =
            self.waiting.drain(..).partition(|waiter| waiter.needs_new);
        self.waiting = stay;
        let count = failed.len();
        for waiter in failed {
            // Somebody listens as long as there is a place in the queue.
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
