//! The dispatcher decides when each fetch starts and when it is given up: a state machine without I/O.
//!
//! It returns an [`Action::Start`] or an [`Action::Cancel`] for a fetch. [`Fetches`](super::fetches::Fetches) has
//! the futures and carries it out; the [driver](super::driver) has the timer. Call [`poll`](Dispatcher::poll) until
//! it returns `None` after every [`handle`](Dispatcher::handle), and when the time of
//! [`next_timeout`](Dispatcher::next_timeout) has come.

mod alarm_queue;
mod alarms;
mod destinations;
mod event;
mod parking;
mod wire;

use std::{
    collections::{VecDeque, hash_map::Entry},
    time::{Duration, Instant},
};

// NB: this hash has no secret, so a page must not choose its keys: identifiers are counters, and endpoints are
// hashes with a secret.
use rustc_hash::{FxHashMap, FxHashSet};
use sendbeacon_fetch::{AbandonReason, NetworkError, TimeoutKind};

pub(crate) use self::destinations::{CONNECT_TIMEOUT, DestinationKey, Jitter};
use self::{
    alarm_queue::{Alarm, AlarmQueue},
    destinations::Destinations,
    wire::Wire,
};
pub(super) use self::{
    event::{Action, Event, Queued},
    wire::Endpoint,
};
use crate::{
    id::{FetchId, GroupId},
    limits::{Scheduling, Timeouts},
};

#[derive(Debug)]
pub(crate) struct Dispatcher {
    timeouts: Timeouts,
    max_delay: Duration,
    /// Every unfinished fetch.
    fetches: FxHashMap<FetchId, Fetch>,
    /// The order of the fetches that wait, and the numbers of those that run.
    wire: Wire,
    /// The destinations that are away, and the fetches that wait for them.
    destinations: Destinations,
    /// Every group with an unfinished fetch.
    groups: FxHashMap<GroupId, Group>,
    /// When something happens to a fetch by the passing of time. A fetch has at most one alarm: its next.
    alarms: AlarmQueue,
    /// The fetches that were given up and have not been returned by `poll`.
    cancels: VecDeque<(FetchId, NetworkError)>,
    /// The fetches that have begun to wait for a destination and have not been returned by `poll`.
    parked: VecDeque<FetchId>,
    /// The awaited fetches that start next. While there is no network, they do not wait for room on the wire.
    starts: VecDeque<FetchId>,
    important_loads: bool,
    offline_since: Option<Instant>,
    shutdown: Option<Shutdown>,
}

#[derive(Debug)]
enum Shutdown {
    Draining {
        deadline: Option<Instant>,
    },
    /// Every fetch that still comes is given up at once.
    PastDeadline,
}

#[derive(Debug)]
struct Fetch {
    group: GroupId,
    endpoint: Endpoint,
    is_awaited: bool,
    /// When it came.
    queued: Instant,
    state: State,
    /// When its time began to run: when it started, or began to wait for a destination.
    begun: Option<Instant>,
    /// The time of its alarm, which is part of the key in `alarms`.
    alarm: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// It is held back while important loads run.
    Held,
    /// It waits for room on the wire, or for a network.
    Waiting,
    /// It waits for its turn to try a destination that is away.
    Parked,
    /// It runs.
    Started,
}

#[derive(Debug, Default)]
struct Group {
    unfinished: FxHashSet<FetchId>,
    /// How many of the unfinished fetches are held back.
    held: usize,
    /// When the document has gone.
    gone: Option<Instant>,
}

impl Dispatcher {
    pub(crate) fn new(timeouts: Timeouts, scheduling: Scheduling, jitter: Jitter) -> Self {
        Self {
            timeouts,
            max_delay: scheduling.max_delay,
            fetches: FxHashMap::default(),
            wire: Wire::new(scheduling),
            destinations: Destinations::new(jitter),
            groups: FxHashMap::default(),
            alarms: AlarmQueue::default(),
            cancels: VecDeque::new(),
            parked: VecDeque::new(),
            starts: VecDeque::new(),
            important_loads: false,
            offline_since: None,
            shutdown: None,
        }
    }

    /// Whether there is no unfinished fetch, and `poll` would return no `Cancel`.
    pub(super) fn is_idle(&self) -> bool {
        self.fetches.is_empty() && self.cancels.is_empty()
    }

    /// Whether a destination is away. If none is, an [`Event::Reached`] would change nothing.
    pub(super) fn is_any_away(&self) -> bool {
        !self.destinations.is_empty()
    }

    /// Receives an event. Call [`poll`](Self::poll) after it.
    pub(super) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Queued(queued) => self.queue(queued, now),
            Event::Finished { id } => self.forget(id),
            Event::Held { id, destination } => {
                if self.leave_the_wire(id) {
                    self.destinations.wait(id, destination);
                }
            }
            Event::Unreached { id, destination, error } => {
                if self.leave_the_wire(id) {
                    let given_up = self.destinations.failed(id, destination, error, now);
                    for (id, error) in given_up {
                        self.cancel(id, error);
                    }
                }
            }
            Event::Reached { id, destination } => self.destinations.reached(id, destination),
            Event::Flush { group } => {
                if self.groups.get(&group).is_some_and(|group| group.held > 0) {
                    for id in self.members(group) {
                        self.release(id);
                    }
                }
            }
            Event::GroupTerminated { group } => self.terminate(group, now),
            Event::Abandon { id, reason } => self.cancel(id, reason.into()),
            Event::AbandonGroup { group, reason } => {
                for id in self.members(group) {
                    self.cancel(id, reason.into());
                }
            }
            Event::ImportantLoads(running) => {
                self.important_loads = running;
                if !running {
                    self.release_all();
                }
            }
            Event::Online(true) => {
                self.offline_since = None;
                self.destinations.wake(now);
                self.reset_alarms();
            }
            Event::Online(false) => {
                self.offline_since.get_or_insert(now);
                let is_next = |fetch: &Fetch| {
                    fetch.is_awaited && fetch.state == State::Waiting && fetch.begun.is_none()
                };
                self.starts = self.all_where(is_next).into();
                self.reset_alarms();
            }
            Event::NetworkChanged => self.destinations.wake(now),
            Event::ShutDown { deadline } => {
                self.shutdown = Some(self.shutdown_by(deadline));
                let half = |deadline: Instant| now + deadline.saturating_duration_since(now) / 2;
                self.destinations.drain(deadline.map(half), now);
                for id in self.all_where(|fetch| !fetch.endpoint.keepalive) {
                    self.cancel(id, AbandonReason::Shutdown.into());
                }
                self.release_all();
            }
        }
    }

    /// Returns what to do next. `None`: nothing until the next event or timeout.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some(Shutdown::Draining { deadline: Some(deadline) }) = self.shutdown
            && deadline <= now
        {
            self.shutdown = Some(Shutdown::PastDeadline);
            for id in self.all_where(|_| true) {
                self.cancel(id, AbandonReason::Shutdown.into());
            }
        }
        while let Some(((at, id), alarm)) = self.alarms.first()
            && at <= now
        {
            match alarm {
                Alarm::Release => self.release(id),
                Alarm::GiveUp(kind) => {
                    let after = match kind {
                        TimeoutKind::AfterDocument => self.timeouts.after_document,
                        TimeoutKind::Offline => self.timeouts.offline,
                        _ => self.timeouts.fetch,
                    };
                    self.cancel(id, NetworkError::Timeout { kind, after });
                }
            }
        }
        if let Some((id, error)) = self.cancels.pop_front() {
            return Some(Action::Cancel(id, error));
        }
        if let Some(id) = self.parked.pop_front() {
            return Some(Action::Park(id));
        }
        while let Some(id) = self.starts.pop_front() {
            if let Some(fetch) = self.fetches.get(&id).filter(|fetch| waits(fetch)) {
                self.wire.enter(fetch.endpoint);
                return self.start(id, now);
            }
        }
        if self.offline_since.is_some() {
            return None;
        }
        while let Some(id) = self.destinations.poll(now) {
            self.unpark(id);
        }
        let id = self.wire.take_next(|id| self.fetches.get(id).is_some_and(waits))?;
        // NB: it may have lined up before its destination was away.
        if !self.must_park(id) {
            return self.start(id, now);
        }
        self.wire.leave(self.fetches.get(&id)?.endpoint);
        self.park(id, now);
        Some(Action::Park(id))
    }

    fn start(&mut self, id: FetchId, now: Instant) -> Option<Action> {
        let fetch = self.fetches.get_mut(&id)?;
        fetch.state = State::Started;
        let has_waited = fetch.begun.is_some();
        fetch.begun.get_or_insert(now);
        self.reset_alarm(id);
        if !has_waited {
            return Some(Action::Start(id));
        }
        self.destinations.begun(id, now);
        Some(Action::Resume(id))
    }

    /// When to call [`poll`](Self::poll) if there is no event before.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let alarm = self.alarms.first().map(|((at, _), _)| at);
        let is_online = self.offline_since.is_none();
        let attempt = self.destinations.next_timeout().filter(|_| is_online);
        let shutdown = match self.shutdown {
            Some(Shutdown::Draining { deadline }) => deadline,
            Some(Shutdown::PastDeadline) | None => None,
        };
        [alarm, attempt, shutdown].into_iter().flatten().min()
    }

    /// The state after a shutdown with this deadline was asked for. Of several deadlines the earliest counts.
    fn shutdown_by(&self, deadline: Option<Instant>) -> Shutdown {
        match self.shutdown {
            Some(Shutdown::PastDeadline) => Shutdown::PastDeadline,
            Some(Shutdown::Draining { deadline: earlier }) => {
                Shutdown::Draining { deadline: earlier.into_iter().chain(deadline).min() }
            }
            None => Shutdown::Draining { deadline },
        }
    }

    /// Adds a fetch: it is held back, waits, or is given up at once.
    fn queue(&mut self, queued: Queued, now: Instant) {
        let Queued { id, group, endpoint, may_wait, is_awaited, gone } = queued;
        let members = self.groups.entry(group).or_default();
        members.unfinished.insert(id);
        let is_held = self.important_loads && may_wait && !gone && self.shutdown.is_none();
        members.held += usize::from(is_held);
        let was_gone = members.gone.is_some();
        let state = if is_held { State::Held } else { State::Waiting };
        let (begun, alarm) = (None, None);
        let fetch = Fetch { group, endpoint, is_awaited, queued: now, state, begun, alarm };
        self.fetches.insert(id, fetch);
        if let Some(reason) = self.refuses(endpoint.keepalive, was_gone) {
            return self.cancel(id, reason.into());
        }
        if !is_held {
            self.line_up(id);
        }
        self.reset_alarm(id);
        if gone && !was_gone {
            // `Event::GroupTerminated` has not come yet. When it comes, it changes nothing more.
            self.terminate(group, now);
        }
    }

    /// Why a fetch that comes now is given up at once, if it is. `was_gone` says whether the dispatcher knew before
    /// that its document has gone.
    fn refuses(&self, keepalive: bool, was_gone: bool) -> Option<AbandonReason> {
        match self.shutdown {
            Some(Shutdown::PastDeadline) => Some(AbandonReason::Shutdown),
            Some(Shutdown::Draining { .. }) if !keepalive => Some(AbandonReason::Shutdown),
            _ => (was_gone && !keepalive).then_some(AbandonReason::Terminated),
        }
    }

    /// Releases a held-back fetch: it waits for room on the wire like the others.
    fn release(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        if fetch.state == State::Held {
            fetch.state = State::Waiting;
            if let Some(group) = self.groups.get_mut(&fetch.group) {
                group.held -= 1;
            }
            self.line_up(id);
            self.reset_alarm(id);
        }
    }

    /// Lets a waiting fetch start as soon as there is room on the wire, or at once if the wire does not matter.
    fn line_up(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get(&id) else { return };
        if fetch.is_awaited && self.offline_since.is_some() {
            self.starts.push_back(id);
        } else {
            self.wire.line_up(id, fetch.group, fetch.endpoint);
        }
    }

    fn release_all(&mut self) {
        for id in self.all_where(|fetch| fetch.state == State::Held) {
            self.release(id);
        }
    }

    /// Terminates a group: keepalive fetches go on for their lifetime after the document, others are stopped.
    fn terminate(&mut self, group: GroupId, now: Instant) {
        let Some(members) = self.groups.get_mut(&group) else { return };
        members.gone.get_or_insert(now);
        for id in self.members(group) {
            if self.fetches.get(&id).is_some_and(|fetch| !fetch.endpoint.keepalive) {
                self.cancel(id, AbandonReason::Terminated.into());
            } else {
                self.release(id);
                self.reset_alarm(id);
            }
        }
    }

    /// Gives a fetch up. `poll` will say so.
    fn cancel(&mut self, id: FetchId, error: NetworkError) {
        if self.fetches.contains_key(&id) {
            self.forget(id);
            self.cancels.push_back((id, error));
        }
    }

    /// Removes a fetch that is over.
    fn forget(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.remove(&id) else { return };
        if let Some(at) = fetch.alarm {
            self.alarms.remove((at, id));
        }
        if let Entry::Occupied(mut entry) = self.groups.entry(fetch.group) {
            entry.get_mut().unfinished.remove(&id);
            entry.get_mut().held -= usize::from(fetch.state == State::Held);
            // Nothing is lost with the entry: the next fetch makes it again, and says whether the document has
            // gone.
            if entry.get().unfinished.is_empty() {
                entry.remove();
            }
        }
        match fetch.state {
            State::Started => self.wire.leave(fetch.endpoint),
            State::Waiting => {
                self.wire.cancel(fetch.endpoint, |id| self.fetches.get(id).is_some_and(waits));
            }
            State::Held | State::Parked => {}
        }
        self.destinations.forget(id);
    }

    /// The unfinished fetches of a group, the oldest first.
    pub(super) fn members(&self, group: GroupId) -> Vec<FetchId> {
        let unfinished = self.groups.get(&group).map(|group| &group.unfinished);
        sorted(unfinished.into_iter().flatten().copied())
    }

    /// The unfinished fetches for which `condition` is true, the oldest first.
    fn all_where(&self, condition: impl Fn(&Fetch) -> bool) -> Vec<FetchId> {
        sorted(self.fetches.iter().filter(|(_, fetch)| condition(fetch)).map(|(id, _)| *id))
    }
}

/// Whether a fetch waits for room on the wire, or for a network.
fn waits(fetch: &Fetch) -> bool {
    fetch.state == State::Waiting
}

fn sorted(ids: impl Iterator<Item = FetchId>) -> Vec<FetchId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
mod tests;
