//! When each fetch starts and when it is given up: a state machine without I/O.
//!
//! It says [`Action::Start`] and [`Action::Cancel`]; the [driver](crate::driver) owns the futures
//! and the timer. After every [`handle`](Dispatcher::handle), and when
//! [`next_timeout`](Dispatcher::next_timeout) has come, call [`poll`](Dispatcher::poll) until it
//! returns `None`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque, hash_map::Entry},
    time::{Duration, Instant},
};

use sendbeacon_fetch::{AbandonReason, NetworkError, TimeoutKind};

/// Limits on time. Reaching one ends the fetch with
/// [`NetworkError::Timeout`](sendbeacon_fetch::NetworkError::Timeout) and gives its quota back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// A whole fetch, from its first dispatch to the end of the response. Default 300 seconds.
    pub fetch: Duration,
    /// A keepalive request after its document has gone, from the later of that moment and the
    /// request's first dispatch. Default 30 seconds.
    pub after_document: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { fetch: Duration::from_secs(300), after_document: Duration::from_secs(30) }
    }
}

/// How many fetches are on the wire at once. What is over the limit waits; nothing is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireLimits {
    /// To one origin from one network partition. Default 6, as browsers have over HTTP/1.1.
    pub per_destination: usize,
    /// Altogether. Default 256.
    pub overall: usize,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self { per_destination: 6, overall: 256 }
    }
}

/// A fetch, unique within its user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub(crate) u64);

/// A fetch group, unique within its user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupId(pub(crate) u64);

/// A hash of network partition and origin. A collision makes two destinations share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Destination(pub(crate) u64);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A fetch was handed over. Its document may have gone meanwhile.
    Queued { id: FetchId, group: GroupId, gone: bool, destination: Destination, keepalive: bool },
    /// A started fetch has ended by itself.
    Finished { id: FetchId },
    /// The [fetch group was terminated](https://fetch.spec.whatwg.org/#concept-fetch-group-terminate):
    /// its document has gone.
    GroupTerminated { group: GroupId },
    /// Stop what has no keepalive flag, start everything else, and give up what is left at
    /// `deadline`.
    ShutDown { deadline: Option<Instant> },
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Run this fetch, and say [`Event::Finished`] at its end.
    Start(FetchId),
    /// Drop this fetch, which is over with this error, and say nothing more of it.
    Cancel(FetchId, NetworkError),
}

#[derive(Debug)]
pub(crate) struct Dispatcher {
    timeouts: Timeouts,
    limits: WireLimits,
    fetches: HashMap<FetchId, Fetch>,
    on_wire: usize,
    destinations: HashMap<Destination, Queue>,
    /// Destinations with something waiting and room for it, in turn.
    ready: VecDeque<Destination>,
    groups: HashMap<GroupId, Group>,
    /// When to give up each started fetch, and why.
    deadlines: BTreeMap<(Instant, FetchId), TimeoutKind>,
    cancels: VecDeque<(FetchId, NetworkError)>,
    shutdown_deadline: Option<Instant>,
}

#[derive(Debug)]
struct Fetch {
    group: GroupId,
    destination: Destination,
    keepalive: bool,
    started: Option<Started>,
}

#[derive(Clone, Copy, Debug)]
struct Started {
    at: Instant,
    deadline: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<FetchId>,
    on_wire: usize,
    /// Whether it stands in the line of those that are ready.
    lined_up: bool,
}

#[derive(Debug, Default)]
struct Group {
    unfinished: HashSet<FetchId>,
    gone: Option<Instant>,
}

impl Dispatcher {
    pub(crate) fn new(timeouts: Timeouts, limits: WireLimits) -> Self {
        Self {
            timeouts,
            limits,
            fetches: HashMap::new(),
            on_wire: 0,
            destinations: HashMap::new(),
            ready: VecDeque::new(),
            groups: HashMap::new(),
            deadlines: BTreeMap::new(),
            cancels: VecDeque::new(),
            shutdown_deadline: None,
        }
    }

    /// Whether nothing waits and nothing is on the wire.
    pub(crate) fn is_idle(&self) -> bool {
        self.fetches.is_empty() && self.cancels.is_empty()
    }

    pub(crate) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Queued { id, group, gone, destination, keepalive } => {
                self.fetches.insert(id, Fetch { group, destination, keepalive, started: None });
                let members = self.groups.entry(group).or_default();
                members.unfinished.insert(id);
                if gone {
                    members.gone.get_or_insert(now);
                }
                let queue = self.destinations.entry(destination).or_default();
                queue.waiting.insert(id);
                self.line_up(destination);
            }
            Event::Finished { id } => self.forget(id),
            Event::GroupTerminated { group } => self.terminate(group, now),
            Event::ShutDown { deadline } => {
                self.shutdown_deadline = deadline;
                let is_plain = |(id, fetch): (&FetchId, &Fetch)| (!fetch.keepalive).then_some(*id);
                let mut plain: Vec<_> = self.fetches.iter().filter_map(is_plain).collect();
                plain.sort_unstable();
                for id in plain {
                    self.cancel(id, AbandonReason::Shutdown.into());
                }
            }
        }
    }

    /// What to do next, or `None` if nothing before the next event or timeout.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Action> {
        if self.shutdown_deadline.is_some_and(|deadline| deadline <= now) {
            self.shutdown_deadline = None;
            let mut left: Vec<_> = self.fetches.keys().copied().collect();
            left.sort_unstable();
            for id in left {
                self.cancel(id, AbandonReason::Shutdown.into());
            }
        }
        while let Some(entry) = self.deadlines.first_entry() {
            let ((at, id), kind) = (*entry.key(), *entry.get());
            if at > now {
                break;
            }
            let after = match kind {
                TimeoutKind::AfterDocument => self.timeouts.after_document,
                _ => self.timeouts.fetch,
            };
            self.cancel(id, NetworkError::Timeout { kind, after });
        }
        if let Some((id, error)) = self.cancels.pop_front() {
            return Some(Action::Cancel(id, error));
        }
        if self.on_wire < self.limits.overall {
            return self.start_next(now).map(Action::Start);
        }
        None
    }

    /// When to call [`poll`](Self::poll) although nothing has happened.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let next_deadline = self.deadlines.keys().next().map(|(at, _)| *at);
        next_deadline.into_iter().chain(self.shutdown_deadline).min()
    }

    fn start_next(&mut self, now: Instant) -> Option<FetchId> {
        let (destination, id) = loop {
            let destination = self.ready.pop_front()?;
            let Some(queue) = self.destinations.get_mut(&destination) else { continue };
            queue.lined_up = false;
            // Nothing waits any more if it was cancelled.
            let Some(id) = queue.waiting.pop_first() else { continue };
            queue.on_wire += 1;
            break (destination, id);
        };
        self.line_up(destination);
        self.on_wire += 1;
        let fetch = self.fetches.get_mut(&id)?;
        let gone = self.groups.get(&fetch.group).and_then(|group| group.gone);
        let (deadline, kind) = deadline(&self.timeouts, now, gone);
        fetch.started = Some(Started { at: now, deadline });
        self.deadlines.insert((deadline, id), kind);
        Some(id)
    }

    /// Lines a destination up if it has something waiting and room for it.
    fn line_up(&mut self, destination: Destination) {
        let Some(queue) = self.destinations.get_mut(&destination) else { return };
        let has_room = queue.on_wire < self.limits.per_destination;
        if has_room && !queue.waiting.is_empty() && !queue.lined_up {
            queue.lined_up = true;
            self.ready.push_back(destination);
        }
    }

    /// Keepalive fetches go on, with their lifetime; others are stopped.
    fn terminate(&mut self, group: GroupId, now: Instant) {
        let Entry::Occupied(mut entry) = self.groups.entry(group) else { return };
        if entry.get().gone.is_some() {
            return;
        }
        entry.get_mut().gone = Some(now);
        let mut members: Vec<_> = entry.get().unfinished.iter().copied().collect();
        members.sort_unstable();
        for id in members {
            let Some(fetch) = self.fetches.get_mut(&id) else { continue };
            if !fetch.keepalive {
                self.cancel(id, AbandonReason::Terminated.into());
            } else if let Some(started) = &mut fetch.started {
                self.deadlines.remove(&(started.deadline, id));
                let (deadline, kind) = deadline(&self.timeouts, started.at, Some(now));
                started.deadline = deadline;
                self.deadlines.insert((deadline, id), kind);
            }
        }
    }

    fn cancel(&mut self, id: FetchId, error: NetworkError) {
        self.forget(id);
        self.cancels.push_back((id, error));
    }

    fn forget(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.remove(&id) else { return };
        if let Entry::Occupied(mut entry) = self.groups.entry(fetch.group) {
            entry.get_mut().unfinished.remove(&id);
            // A group that has gone gets no more fetches; one that lives is made again by its next.
            if entry.get().unfinished.is_empty() {
                entry.remove();
            }
        }
        let Entry::Occupied(mut entry) = self.destinations.entry(fetch.destination) else { return };
        let queue = entry.get_mut();
        if let Some(started) = fetch.started {
            self.deadlines.remove(&(started.deadline, id));
            self.on_wire -= 1;
            queue.on_wire -= 1;
        } else {
            queue.waiting.remove(&id);
        }
        if queue.waiting.is_empty() && queue.on_wire == 0 {
            entry.remove();
        } else {
            self.line_up(fetch.destination);
        }
    }
}

/// When a fetch started at `started` is given up, its document having gone at `gone`.
fn deadline(
    timeouts: &Timeouts,
    started: Instant,
    gone: Option<Instant>,
) -> (Instant, TimeoutKind) {
    let whole = (started + timeouts.fetch, TimeoutKind::Fetch);
    match gone {
        Some(gone) => {
            let lifetime =
                (gone.max(started) + timeouts.after_document, TimeoutKind::AfterDocument);
            if lifetime.0 < whole.0 { lifetime } else { whole }
        }
        None => whole,
    }
}

#[cfg(test)]
mod tests;
