//! When each fetch starts and when it is given up: a state machine without I/O.
//!
//! It says [`Action::Start`] and [`Action::Cancel`]; the [driver](crate::driver) owns the futures
//! and the timer. After every [`handle`](Dispatcher::handle), and when
//! [`next_timeout`](Dispatcher::next_timeout) has come, call [`poll`](Dispatcher::poll) until it
//! returns `None`.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque, hash_map::Entry},
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
    /// Waiting for the network to come back, from the later of when it went and when the fetch was
    /// queued. Default 60 seconds.
    pub offline: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(300),
            after_document: Duration::from_secs(30),
            offline: Duration::from_secs(60),
        }
    }
}

/// What is started when. What has to wait waits; nothing is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduling {
    /// How many fetches are on the wire at once to one origin from one network partition. Default 6,
    /// as browsers have connections over HTTP/1.1.
    pub per_destination: usize,
    /// How many are on the wire altogether. Default 256.
    pub overall: usize,
    /// How long a beacon lets important loads go first
    /// ([`UserAgent::important_loads`](crate::UserAgent::important_loads)). Default 2 seconds.
    pub max_delay: Duration,
}

impl Default for Scheduling {
    fn default() -> Self {
        Self { per_destination: 6, overall: 256, max_delay: Duration::from_secs(2) }
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
    /// A fetch was handed over.
    Queued(Queued),
    /// A started fetch has ended by itself.
    Finished { id: FetchId },
    /// The group's document was hidden or frozen: what of it is held back goes out.
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
pub(crate) struct Queued {
    pub(crate) id: FetchId,
    pub(crate) group: GroupId,
    pub(crate) destination: Destination,
    pub(crate) keepalive: bool,
    /// May it be held back? Not if it is no beacon, or its document is hidden or frozen.
    pub(crate) may_wait: bool,
    /// Has its document gone meanwhile?
    pub(crate) gone: bool,
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
    scheduling: Scheduling,
    fetches: HashMap<FetchId, Fetch>,
    on_wire: usize,
    destinations: HashMap<Destination, Queue>,
    /// Destinations with something waiting and room for it, in turn.
    ready: VecDeque<Destination>,
    groups: HashMap<GroupId, Group>,
    /// The next moment that matters to each fetch.
    alarms: BTreeMap<(Instant, FetchId), Alarm>,
    cancels: VecDeque<(FetchId, NetworkError)>,
    important_loads: bool,
    offline_since: Option<Instant>,
    shutdown: Option<Shutdown>,
}

#[derive(Debug)]
struct Shutdown {
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Fetch {
    group: GroupId,
    destination: Destination,
    keepalive: bool,
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
struct Queue {
    /// What waits, by group; an identifier of a fetch that was cancelled stays until its turn.
    waiting: HashMap<GroupId, VecDeque<FetchId>>,
    /// The groups, in turn.
    turns: VecDeque<GroupId>,
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
    pub(crate) fn new(timeouts: Timeouts, scheduling: Scheduling) -> Self {
        Self {
            timeouts,
            scheduling,
            fetches: HashMap::new(),
            on_wire: 0,
            destinations: HashMap::new(),
            ready: VecDeque::new(),
            groups: HashMap::new(),
            alarms: BTreeMap::new(),
            cancels: VecDeque::new(),
            important_loads: false,
            offline_since: None,
            shutdown: None,
        }
    }

    /// Whether nothing waits and nothing is on the wire.
    pub(crate) fn is_idle(&self) -> bool {
        self.fetches.is_empty() && self.cancels.is_empty()
    }

    pub(crate) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Queued(queued) => self.queue(queued, now),
            Event::Finished { id } => self.forget(id),
            Event::Flush { group } => {
                for id in self.members(group) {
                    self.release(id);
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
                self.shutdown = Some(Shutdown { deadline });
                for id in self.all_where(|fetch| !fetch.keepalive) {
                    self.cancel(id, AbandonReason::Shutdown.into());
                }
                self.release_all();
            }
        }
    }

    /// What to do next, or `None` if nothing before the next event or timeout.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some(Shutdown { deadline }) = &mut self.shutdown
            && deadline.is_some_and(|deadline| deadline <= now)
        {
            *deadline = None;
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
        if self.on_wire < self.scheduling.overall && self.offline_since.is_none() {
            return self.start_next(now).map(Action::Start);
        }
        None
    }

    /// When to call [`poll`](Self::poll) although nothing has happened.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let alarm = self.alarms.keys().next().map(|(at, _)| *at);
        let shutdown = self.shutdown.as_ref().and_then(|shutdown| shutdown.deadline);
        alarm.into_iter().chain(shutdown).min()
    }

    fn queue(&mut self, queued: Queued, now: Instant) {
        let Queued { id, group, destination, keepalive, may_wait, gone } = queued;
        let members = self.groups.entry(group).or_default();
        members.unfinished.insert(id);
        if gone {
            members.gone.get_or_insert(now);
        }
        let is_held = self.important_loads && may_wait && !gone && self.shutdown.is_none();
        let state = if is_held { State::Held } else { State::Waiting };
        let fetch = Fetch { group, destination, keepalive, queued: now, state, alarm: None };
        self.fetches.insert(id, fetch);
        if !is_held {
            self.line_up_fetch(id);
        }
        self.reset_alarm(id);
    }

    /// Lets a fetch that was held back wait for the wire like the others.
    fn release(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        if fetch.state == State::Held {
            fetch.state = State::Waiting;
            self.line_up_fetch(id);
            self.reset_alarm(id);
        }
    }

    fn release_all(&mut self) {
        for id in self.all_where(|fetch| fetch.state == State::Held) {
            self.release(id);
        }
    }

    fn line_up_fetch(&mut self, id: FetchId) {
        let Some(Fetch { group, destination, .. }) = self.fetches.get(&id) else { return };
        let queue = self.destinations.entry(*destination).or_default();
        let of_group = queue.waiting.entry(*group).or_default();
        if of_group.is_empty() {
            queue.turns.push_back(*group);
        }
        of_group.push_back(id);
        self.line_up(*destination);
    }

    /// Lines a destination up if it has something waiting and room for it.
    fn line_up(&mut self, destination: Destination) {
        let Some(queue) = self.destinations.get_mut(&destination) else { return };
        let has_room = queue.on_wire < self.scheduling.per_destination;
        if has_room && !queue.turns.is_empty() && !queue.lined_up {
            queue.lined_up = true;
            self.ready.push_back(destination);
        }
    }

    fn start_next(&mut self, now: Instant) -> Option<FetchId> {
        loop {
            let destination = self.ready.pop_front()?;
            let Some(queue) = self.destinations.get_mut(&destination) else { continue };
            queue.lined_up = false;
            let next = queue.next();
            let is_waiting = |id: &FetchId| self.fetches.contains_key(id);
            if next.as_ref().is_some_and(is_waiting) {
                queue.on_wire += 1;
            }
            self.line_up(destination);
            self.remove_if_empty(destination);
            let Some(id) = next else { continue };
            // One that was cancelled meanwhile is not there.
            let Some(fetch) = self.fetches.get_mut(&id) else { continue };
            fetch.state = State::Started(now);
            self.on_wire += 1;
            self.reset_alarm(id);
            return Some(id);
        }
    }

    /// Keepalive fetches go on, with their lifetime; others are stopped.
    fn terminate(&mut self, group: GroupId, now: Instant) {
        let Some(members) = self.groups.get_mut(&group) else { return };
        if members.gone.replace(members.gone.unwrap_or(now)).is_some() {
            return;
        }
        for id in self.members(group) {
            if self.fetches.get(&id).is_some_and(|fetch| !fetch.keepalive) {
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
        let alarm = match (fetch.state, self.offline_since) {
            (State::Started(started), _) => Some(give_up(timeouts, started, gone)),
            (_, Some(since)) => {
                let give_up = since.max(fetch.queued) + timeouts.offline;
                Some((give_up, Alarm::GiveUp(TimeoutKind::Offline)))
            }
            (State::Held, None) => Some((fetch.queued + self.scheduling.max_delay, Alarm::Release)),
            (State::Waiting, None) => None,
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
            // A group that has gone says so with each fetch; one that lives is made again by its next.
            if entry.get().unfinished.is_empty() {
                entry.remove();
            }
        }
        if let State::Started(_) = fetch.state {
            self.on_wire -= 1;
            if let Some(queue) = self.destinations.get_mut(&fetch.destination) {
                queue.on_wire -= 1;
            }
            self.line_up(fetch.destination);
            self.remove_if_empty(fetch.destination);
        }
    }

    fn remove_if_empty(&mut self, destination: Destination) {
        if let Entry::Occupied(entry) = self.destinations.entry(destination)
            && entry.get().turns.is_empty()
            && entry.get().on_wire == 0
        {
            entry.remove();
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

impl Queue {
    /// The first of the group whose turn it is.
    fn next(&mut self) -> Option<FetchId> {
        let group = self.turns.pop_front()?;
        let Entry::Occupied(mut of_group) = self.waiting.entry(group) else { return None };
        let id = of_group.get_mut().pop_front();
        if of_group.get().is_empty() {
            of_group.remove();
        } else {
            self.turns.push_back(group);
        }
        id
    }
}

fn sorted(ids: impl Iterator<Item = FetchId>) -> Vec<FetchId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}

/// When a fetch started at `started` is given up, its document having gone at `gone`.
fn give_up(timeouts: &Timeouts, started: Instant, gone: Option<Instant>) -> (Instant, Alarm) {
    let whole = (started + timeouts.fetch, TimeoutKind::Fetch);
    let lifetime =
        gone.map(|gone| (gone.max(started) + timeouts.after_document, TimeoutKind::AfterDocument));
    let (at, kind) = lifetime.filter(|lifetime| lifetime.0 < whole.0).unwrap_or(whole);
    (at, Alarm::GiveUp(kind))
}

#[cfg(test)]
mod tests;
