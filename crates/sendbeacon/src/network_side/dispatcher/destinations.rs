//! The destinations that cannot be reached, and the fetches that wait for them: a state machine without I/O.
//!
//! A destination is the origin of a request, seen from one network partition. When a request did not reach it, the
//! destination is *away*. Then one fetch at a time tries it, and the others wait. Once it was reached, the others
//! follow in a ramp: one at a time, then two, four and so on. The last one to follow ends the entry.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;
use sendbeacon_fetch::NetworkError;

use crate::id::FetchId;

/// The longest wait before the second attempt. It doubles with each further attempt.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How many fetches may try a destination at once before all may.
const RAMP_END: usize = 32;

/// How long a request that is tried again may take to connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a fetch that tries a destination may be silent. Then it has reached it, because otherwise its network would
/// have given up the connection. NB: a second more than connecting may take, because the turn comes before the network
/// begins to connect.
const LONGEST_SILENCE: Duration = Duration::from_secs(11);

/// A hash of the network partition key and the origin of a request. Requests with equal keys wait together.
pub(crate) type DestinationKey = u64;

/// Chooses a wait between zero and the given time, each as likely as any other.
pub(crate) type Jitter = fn(Duration) -> Duration;

/// The destinations that are away.
#[derive(Debug)]
pub(super) struct Destinations {
    jitter: Jitter,
    away: FxHashMap<DestinationKey, Destination>,
    /// Each fetch that waits for a destination, or tries it.
    members: FxHashMap<FetchId, DestinationKey>,
    /// The alarm of each destination that has one.
    alarms: BTreeSet<(Instant, DestinationKey)>,
    /// The fetches that are to try their destination now.
    ready: VecDeque<FetchId>,
    /// During a shutdown with a deadline: when the last attempt begins.
    last_attempt: Option<Instant>,
}

#[derive(Debug)]
struct Destination {
    /// The fetches that wait, the next first. Those that have ended meanwhile are no members any more.
    waiting: VecDeque<FetchId>,
    /// How many of these are members.
    waiters: usize,
    /// The fetches that try it.
    trying: Vec<FetchId>,
    /// How many may try it at once. 0: none before the alarm.
    window: usize,
    /// How many attempts have failed since it was reached last.
    failures: u32,
    alarm: Option<Instant>,
    error: NetworkError,
}

impl Destinations {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            jitter,
            away: FxHashMap::default(),
            members: FxHashMap::default(),
            alarms: BTreeSet::new(),
            ready: VecDeque::new(),
            last_attempt: None,
        }
    }

    /// Whether no destination is away, and [`poll`](Self::poll) would return nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.away.is_empty() && self.ready.is_empty()
    }

    pub(super) fn is_away(&self, key: DestinationKey) -> bool {
        self.away.contains_key(&key)
    }

    /// Adds a fetch that wants to try a destination. If the destination is not away, or if the fetch has its turn there
    /// already, its turn comes at once.
    pub(super) fn wait(&mut self, id: FetchId, key: DestinationKey) {
        let left = self.leave(id);
        match self.away.get_mut(&key) {
            Some(destination) if left == Some((key, true)) => {
                destination.trying.push(id);
                self.members.insert(id, key);
                self.ready.push_back(id);
            }
            Some(destination) => {
                destination.waiting.push_back(id);
                destination.waiters += 1;
                self.members.insert(id, key);
                self.fill(key);
            }
            None => self.ready.push_back(id),
        }
        self.replace(left, key);
    }

    /// A request of the fetch did not reach the destination. The fetch waits, as the first of those that wait. If
    /// no further attempt will be made, all that wait are returned with the error of the last attempt.
    pub(super) fn failed(
        &mut self,
        id: FetchId,
        key: DestinationKey,
        error: NetworkError,
        now: Instant,
    ) -> Vec<(FetchId, NetworkError)> {
        let left = self.leave(id);
        self.replace(left, key);
        let is_new = !self.is_away(key);
        let destination = self.away.entry(key).or_insert_with(|| Destination::new(error.clone()));
        destination.error = error;
        destination.waiting.push_front(id);
        destination.waiters += 1;
        self.members.insert(id, key);
        // Others may have been under way to it, and may fail later than this one. They only join it.
        let has_tried = left == Some((key, true));
        let is_attempt = is_new || has_tried && destination.window > 0;
        if !is_attempt {
            return Vec::new();
        }
        for other in destination.trying.drain(..) {
            self.members.remove(&other);
        }
        destination.window = 0;
        destination.failures = destination.failures.saturating_add(1);
        let longest = FIRST_WAIT.saturating_mul(1 << (destination.failures - 1).min(16));
        let next = now.checked_add((self.jitter)(longest.min(LONGEST_WAIT)));
        match self.last_attempt {
            Some(last) if last <= now => self.give_up(key),
            last => {
                self.set_alarm(key, next.into_iter().chain(last).min());
                Vec::new()
            }
        }
    }

    /// The destination was reached by a request of the fetch, which need not have waited for it.
    pub(super) fn reached(&mut self, id: FetchId, key: DestinationKey) {
        if self.members.get(&id) == Some(&key) {
            self.leave(id);
        }
        if let Some(destination) = self.away.get_mut(&key) {
            destination.failures = 0;
            destination.window = destination.window.max(1) + 1;
            self.fill(key);
        }
    }

    /// The fetch that [`poll`](Self::poll) has returned begins its attempt.
    pub(super) fn begun(&mut self, id: FetchId, now: Instant) {
        if let Some(&key) = self.members.get(&id)
            && self.away.get(&key).is_some_and(|destination| destination.alarm.is_none())
        {
            self.set_alarm(key, now.checked_add(LONGEST_SILENCE));
        }
    }

    /// Removes a fetch that is over. If it was trying the destination, another one tries it at once.
    pub(super) fn forget(&mut self, id: FetchId) {
        if let Some((key, _)) = self.leave(id) {
            self.fill(key);
        }
    }

    /// The network is back, or is another one: every destination is tried at once.
    pub(super) fn wake(&mut self, now: Instant) {
        let keys: Vec<_> = self.away.keys().copied().collect();
        for key in keys {
            let Some(destination) = self.away.get_mut(&key) else { continue };
            destination.failures = 0;
            if destination.window == 0 {
                self.set_alarm(key, Some(now));
            }
        }
    }

    /// The user agent shuts down: every destination is tried at once, and again until `last_attempt`.
    pub(super) fn drain(&mut self, last_attempt: Option<Instant>, now: Instant) {
        self.last_attempt = self.last_attempt.into_iter().chain(last_attempt).min();
        self.wake(now);
    }

    /// Returns the next fetch whose turn has come.
    pub(super) fn poll(&mut self, now: Instant) -> Option<FetchId> {
        while let Some(&(at, key)) = self.alarms.first()
            && at <= now
        {
            self.set_alarm(key, None);
            let Some(destination) = self.away.get_mut(&key) else { continue };
            // The fetches that try it were silent for so long that they count as having reached it.
            destination.window = (destination.window * 2).max(1);
            let is_tried = !destination.trying.is_empty();
            self.fill(key);
            if is_tried {
                self.set_alarm(key, now.checked_add(LONGEST_SILENCE));
            }
        }
        self.ready.pop_front()
    }

    /// When to call [`poll`](Self::poll) if nothing happens before.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Lets as many fetches try the destination as may. Ends the entry if none waits any more, unless the destination
    /// was not reached yet and one still tries.
    fn fill(&mut self, key: DestinationKey) {
        let Some(destination) = self.away.get_mut(&key) else { return };
        let may_all = destination.window > RAMP_END;
        while (may_all || destination.trying.len() < destination.window)
            && let Some(id) = destination.waiting.pop_front()
        {
            if self.members.get(&id) == Some(&key) {
                destination.waiters -= 1;
                destination.trying.push(id);
                self.ready.push_back(id);
            }
        }
        let is_decided = destination.window > 1 || destination.trying.is_empty();
        if destination.waiters == 0 && is_decided {
            self.remove(key);
        }
    }

    /// Ends the entry of a destination, and returns the fetches that waited for it with the last error.
    fn give_up(&mut self, key: DestinationKey) -> Vec<(FetchId, NetworkError)> {
        let members = &self.members;
        let waiting = self.away.get(&key).into_iter().flat_map(|destination| {
            let waiting = destination.waiting.iter().filter(|id| members.get(id) == Some(&key));
            waiting.map(|id| (*id, destination.error.clone()))
        });
        let given_up: Vec<_> = waiting.collect();
        self.remove(key);
        given_up
    }

    fn remove(&mut self, key: DestinationKey) {
        self.set_alarm(key, None);
        let Some(Destination { waiting, trying, .. }) = self.away.remove(&key) else { return };
        for id in waiting.into_iter().chain(trying) {
            if self.members.get(&id) == Some(&key) {
                self.members.remove(&id);
            }
        }
    }

    /// Removes a fetch, and returns its destination and whether it was trying that.
    fn leave(&mut self, id: FetchId) -> Option<(DestinationKey, bool)> {
        let key = self.members.remove(&id)?;
        let destination = self.away.get_mut(&key)?;
        let place = destination.trying.iter().position(|other| *other == id);
        if let Some(place) = place {
            destination.trying.swap_remove(place);
        } else {
            destination.waiters -= 1;
            if destination.waiting.len() > 2 * destination.waiters + 16 {
                let members = &self.members;
                destination.waiting.retain(|id| members.get(id) == Some(&key));
            }
        }
        Some((key, place.is_some()))
    }

    /// A fetch that has left a destination goes on to the one of `key`. If these differ, another fetch may try the
    /// destination that it has left.
    fn replace(&mut self, left: Option<(DestinationKey, bool)>, key: DestinationKey) {
        if let Some((other, _)) = left
            && other != key
        {
            self.fill(other);
        }
    }

    fn set_alarm(&mut self, key: DestinationKey, alarm: Option<Instant>) {
        let Some(destination) = self.away.get_mut(&key) else { return };
        if let Some(at) = std::mem::replace(&mut destination.alarm, alarm) {
            self.alarms.remove(&(at, key));
        }
        self.alarms.extend(alarm.map(|at| (at, key)));
    }
}

impl Destination {
    fn new(error: NetworkError) -> Self {
        let (waiting, trying) = (VecDeque::new(), Vec::new());
        Self { waiting, waiters: 0, trying, window: 0, failures: 0, alarm: None, error }
    }
}

#[cfg(test)]
mod tests;
