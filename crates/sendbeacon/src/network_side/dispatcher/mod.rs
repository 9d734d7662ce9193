//! When each fetch starts and when it is given up: a state machine without I/O.
//!
//! It says [`Action::Start`] and [`Action::Cancel`]; the [driver](super::driver) owns the futures
//! and the timer. After every [`handle`](Dispatcher::handle), and when
//! [`next_timeout`](Dispatcher::next_timeout) has come, call [`poll`](Dispatcher::poll) until it
//! returns `None`.

mod wire;

use std::{
    collections::{BTreeMap, VecDeque, hash_map::Entry},
    time::{Duration, Instant},
};

// Identifiers are counters, and endpoints are hashes with a secret: no page chooses what is hashed here.
use rustc_hash::{FxHashMap, FxHashSet};
use sendbeacon_fetch::{AbandonReason, NetworkError, TimeoutKind};

pub(super) use self::wire::Endpoint;
use self::wire::Wire;
use crate::{
    id::{FetchId, GroupId},
    limits::{Scheduling, Timeouts},
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A fetch was handed over.
    Queued(Queued),
    /// A started fetch has ended by itself.
    Finished { id: FetchId },
    /// The group's document is or was hidden or frozen: what of it is held back goes out.
    Flush { group: GroupId },
    /// The [fetch group was terminated](https://fetch.spec.whatwg.org/#concept-fetch-group-terminate):
    /// its document has gone.
    GroupTerminated { group: GroupId },
    /// The embedder wants this fetch to end.
    Abandon { id: FetchId, reason: AbandonReason },
    /// As [`Abandon`](Self::Abandon), every fetch of the group.
    AbandonGroup { group: GroupId, reason: AbandonReason },
    /// Important loads run, or no longer.
    ImportantLoads(bool),
    /// The network is there, or not.
    Online(bool),
    /// Stop what has no keepalive flag, start everything else, and give up what is left at
    /// `deadline`.
    ShutDown { deadline: Option<Instant> },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) id: FetchId,
    pub(super) group: GroupId,
    pub(super) endpoint: Endpoint,
    /// May it be held back? Not if script waits for it, or its document is hidden or frozen.
    pub(super) may_wait: bool,
    /// Has its document gone meanwhile?
    pub(super) gone: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// Run this fetch, and say [`Event::Finished`] at its end.
    Start(FetchId),
    /// Drop this fetch, which is over with this error, and say nothing more of it.
    Cancel(FetchId, NetworkError),
}

#[derive(Debug)]
pub(crate) struct Dispatcher {
    timeouts: Timeouts,
    max_delay: Duration,
    fetches: FxHashMap<FetchId, Fetch>,
    wire: Wire,
    groups: FxHashMap<GroupId, Group>,
    /// The next moment that matters to each fetch.
    alarms: BTreeMap<(Instant, FetchId), Alarm>,
    cancels: VecDeque<(FetchId, NetworkError)>,
    important_loads: bool,
    offline_since: Option<Instant>,
    shutdown: Option<Shutdown>,
}

#[derive(Debug)]
enum Shutdown {
    Draining {
        deadline: Option<Instant>,
    },
    /// Whatever is still handed over is given up at once.
    PastDeadline,
}

#[derive(Debug)]
struct Fetch {
    group: GroupId,
    endpoint: Endpoint,
    queued: Instant,
    state: State,
    /// Where its alarm is found.
    alarm: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Lets important loads go first.
    Held,
    /// Waits for room on the wire, or for the wire.
    Waiting,
    Started(Instant),
}

#[derive(Clone, Copy, Debug)]
enum Alarm {
    /// Held back long enough.
    Release,
    /// The limit is reached.
    GiveUp(TimeoutKind),
}

#[derive(Debug, Default)]
struct Group {
    unfinished: FxHashSet<FetchId>,
    /// How many of them are held back.
    held: usize,
    gone: Option<Instant>,
}

impl Dispatcher {
    pub(crate) fn new(timeouts: Timeouts, scheduling: Scheduling) -> Self {
        Self {
            timeouts,
            max_delay: scheduling.max_delay,
            fetches: FxHashMap::default(),
            wire: Wire::new(scheduling),
            groups: FxHashMap::default(),
            alarms: BTreeMap::new(),
            cancels: VecDeque::new(),
            important_loads: false,
            offline_since: None,
            shutdown: None,
        }
    }

    /// Whether nothing waits and nothing is on the wire.
    pub(super) fn is_idle(&self) -> bool {
        self.fetches.is_empty() && self.cancels.is_empty()
    }

    pub(super) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Queued(queued) => self.queue(queued, now),
            Event::Finished { id } => self.forget(id),
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
                self.reset_alarms();
            }
            Event::Online(false) => {
                self.offline_since.get_or_insert(now);
                self.reset_alarms();
            }
            Event::ShutDown { deadline } => {
                self.shutdown = Some(self.shutdown_by(deadline));
                for id in self.all_where(|fetch| !fetch.endpoint.keepalive) {
                    self.cancel(id, AbandonReason::Shutdown.into());
                }
                self.release_all();
            }
        }
    }

    /// What to do next, or `None` if nothing before the next event or timeout.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some(Shutdown::Draining { deadline: Some(deadline) }) = self.shutdown
            && deadline <= now
        {
            self.shutdown = Some(Shutdown::PastDeadline);
            for id in self.all_where(|_| true) {
                self.cancel(id, AbandonReason::Shutdown.into());
            }
        }
        while let Some((&(at, id), &alarm)) = self.alarms.first_key_value() {
            if at > now {
                break;
            }
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
        if self.offline_since.is_some() {
            return None;
        }
        let id = self.wire.take_next(|id| self.fetches.contains_key(id))?;
        self.fetches.get_mut(&id)?.state = State::Started(now);
        self.reset_alarm(id);
        Some(Action::Start(id))
    }

    /// When to call [`poll`](Self::poll) although nothing has happened.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let alarm = self.alarms.keys().next().map(|(at, _)| *at);
        let shutdown = match self.shutdown {
            Some(Shutdown::Draining { deadline }) => deadline,
            Some(Shutdown::PastDeadline) | None => None,
        };
        alarm.into_iter().chain(shutdown).min()
    }

    /// The shutdown that this deadline asks for: of several the earliest counts.
    fn shutdown_by(&self, deadline: Option<Instant>) -> Shutdown {
        match self.shutdown {
            Some(Shutdown::PastDeadline) => Shutdown::PastDeadline,
            Some(Shutdown::Draining { deadline: earlier }) => {
                Shutdown::Draining { deadline: earlier.into_iter().chain(deadline).min() }
            }
            None => Shutdown::Draining { deadline },
        }
    }

    fn queue(&mut self, queued: Queued, now: Instant) {
        let Queued { id, group, endpoint, may_wait, gone } = queued;
        let members = self.groups.entry(group).or_default();
        members.unfinished.insert(id);
        let is_held = self.important_loads && may_wait && !gone && self.shutdown.is_none();
        members.held += usize::from(is_held);
        let was_gone = members.gone.is_some();
        let state = if is_held { State::Held } else { State::Waiting };
        let fetch = Fetch { group, endpoint, queued: now, state, alarm: None };
        self.fetches.insert(id, fetch);
        let is_too_late = match self.shutdown {
            Some(Shutdown::PastDeadline) => true,
            Some(Shutdown::Draining { .. }) => !endpoint.keepalive,
            None => false,
        };
        if is_too_late {
            return self.cancel(id, AbandonReason::Shutdown.into());
        }
        if was_gone && !endpoint.keepalive {
            return self.cancel(id, AbandonReason::Terminated.into());
        }
        if !is_held {
            self.wire.line_up(id, group, endpoint);
        }
        self.reset_alarm(id);
        if gone && !was_gone {
            // This one says so before the event does, which then changes nothing.
            self.terminate(group, now);
        }
    }

    /// Lets a fetch that was held back wait for the wire like the others.
    fn release(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        if fetch.state == State::Held {
            fetch.state = State::Waiting;
            if let Some(group) = self.groups.get_mut(&fetch.group) {
                group.held -= 1;
            }
            self.wire.line_up(id, fetch.group, fetch.endpoint);
            self.reset_alarm(id);
        }
    }

    fn release_all(&mut self) {
        for id in self.all_where(|fetch| fetch.state == State::Held) {
            self.release(id);
        }
    }

    /// Keepalive fetches go on, with their lifetime; others are stopped.
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

    /// Sets the next moment that matters to a fetch, from all there is to know about it.
    fn reset_alarm(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        if let Some(at) = fetch.alarm.take() {
            self.alarms.remove(&(at, id));
        }
        let gone = self.groups.get(&fetch.group).and_then(|group| group.gone);
        let timeouts = &self.timeouts;
        // A moment beyond the clock's end never comes.
        let alarm = match (fetch.state, self.offline_since) {
            (State::Started(started), _) if fetch.endpoint.keepalive => {
                give_up(timeouts, started, gone)
            }
            (State::Held | State::Waiting, Some(since)) => {
                let at = since.max(fetch.queued).checked_add(timeouts.offline);
                at.map(|at| (at, Alarm::GiveUp(TimeoutKind::Offline)))
            }
            (State::Held, None) => {
                let at = fetch.queued.checked_add(self.max_delay);
                at.map(|at| (at, Alarm::Release))
            }
            (State::Started(_), _) | (State::Waiting, None) => None,
        };
        if let Some((at, alarm)) = alarm {
            fetch.alarm = Some(at);
            self.alarms.insert((at, id), alarm);
        }
    }

    fn reset_alarms(&mut self) {
        for id in self.all_where(|_| true) {
            self.reset_alarm(id);
        }
    }

    fn cancel(&mut self, id: FetchId, error: NetworkError) {
        if self.fetches.contains_key(&id) {
            self.forget(id);
            self.cancels.push_back((id, error));
        }
    }

    fn forget(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.remove(&id) else { return };
        if let Some(at) = fetch.alarm {
            self.alarms.remove(&(at, id));
        }
        if let Entry::Occupied(mut entry) = self.groups.entry(fetch.group) {
            entry.get_mut().unfinished.remove(&id);
            entry.get_mut().held -= usize::from(fetch.state == State::Held);
            // A group that has gone says so with each fetch; one that lives is made again by its next.
            if entry.get().unfinished.is_empty() {
                entry.remove();
            }
        }
        if let State::Started(_) = fetch.state {
            self.wire.leave(fetch.endpoint);
        }
    }

    /// A group's unfinished fetches, in order.
    fn members(&self, group: GroupId) -> Vec<FetchId> {
        let unfinished = self.groups.get(&group).map(|group| &group.unfinished);
        sorted(unfinished.into_iter().flatten().copied())
    }

    fn all_where(&self, condition: impl Fn(&Fetch) -> bool) -> Vec<FetchId> {
        sorted(self.fetches.iter().filter(|(_, fetch)| condition(fetch)).map(|(id, _)| *id))
    }
}

fn sorted(ids: impl Iterator<Item = FetchId>) -> Vec<FetchId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}

/// When a fetch started at `started` is given up, its document having gone at `gone`.
fn give_up(
    timeouts: &Timeouts,
    started: Instant,
    gone: Option<Instant>,
) -> Option<(Instant, Alarm)> {
    let whole = started.checked_add(timeouts.fetch).map(|at| (at, TimeoutKind::Fetch));
    let lifetime = gone
        .and_then(|gone| gone.max(started).checked_add(timeouts.after_document))
        .map(|at| (at, TimeoutKind::AfterDocument));
    let first = whole.into_iter().chain(lifetime).min_by_key(|(at, _)| *at);
    first.map(|(at, kind)| (at, Alarm::GiveUp(kind)))
}

#[cfg(test)]
mod tests;
