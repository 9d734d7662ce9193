//! The [map of active timers](https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#map-of-active-timers)
//! of all realms of an event loop. The prelude of each realm holds the callbacks.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use super::RealmId;

/// Identifies a timer within its event loop. Never zero.
pub(super) type TimerId = u32;

/// The timers of an event loop.
#[derive(Default)]
pub(super) struct Timers {
    last_id: TimerId,
    /// The active timers, and the number of each in `started`.
    active: HashMap<(RealmId, TimerId), u64>,
    /// The timers by expiry, then in the order they were started. An entry whose number `active` does not have is that of
    /// a timer that was cleared, or was started again.
    heap: BinaryHeap<Reverse<Entry>>,
    /// How many timers were started, which tells the order of timers with the same expiry.
    started: u64,
}

/// When a timer expires, and its number.
type Entry = (Instant, u64, RealmId, TimerId);

impl Timers {
    /// Starts a new timer, or starts the timer `id` of an interval again.
    pub(super) fn start(&mut self, realm: RealmId, id: Option<TimerId>, at: Instant) -> TimerId {
        let id = id.unwrap_or_else(|| {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            self.last_id
        });
        self.started += 1;
        self.active.insert((realm, id), self.started);
        self.heap.push(Reverse((at, self.started, realm, id)));
        if self.heap.len() > 2 * self.active.len() + FEW {
            let active = &self.active;
            self.heap.retain(|Reverse(entry)| is_active(active, entry));
        }
        id
    }

    pub(super) fn clear(&mut self, realm: RealmId, id: TimerId) {
        self.active.remove(&(realm, id));
    }

    /// Clears the timers of a realm. Returns them with the time that each has left.
    pub(super) fn take_realm(&mut self, realm: RealmId, now: Instant) -> Vec<(TimerId, Duration)> {
        let of_realm = self
            .heap
            .iter()
            .filter(|Reverse(entry)| entry.2 == realm && is_active(&self.active, entry));
        let left =
            |Reverse((at, _, _, id)): &Reverse<Entry>| (*id, at.saturating_duration_since(now));
        let timers = of_realm.map(left).collect();
        self.clear_realm(realm);
        timers
    }

    pub(super) fn clear_realm(&mut self, realm: RealmId) {
        self.active.retain(|(owner, _), _| *owner != realm);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// When the next timer expires.
    pub(super) fn next_expiry(&mut self) -> Option<Instant> {
        while let Some(Reverse(entry)) = self.heap.peek() {
            if is_active(&self.active, entry) {
                return Some(entry.0);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the next timer that has expired.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<(RealmId, TimerId)> {
        if self.next_expiry()? > now {
            return None;
        }
        let Reverse((_, _, realm, id)) = self.heap.pop()?;
        self.active.remove(&(realm, id));
        Some((realm, id))
    }
}

/// How many entries the heap may have of timers that are not active, beside as many as there are active ones.
const FEW: usize = 64;

fn is_active(active: &HashMap<(RealmId, TimerId), u64>, entry: &Entry) -> bool {
    let (_, number, realm, id) = entry;
    active.get(&(*realm, *id)) == Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_by_time_and_then_in_the_order_they_were_started() {
        let realm = RealmId(1);
        let now = Instant::now();
        let mut timers = Timers::default();
        let late = timers.start(realm, None, now + Duration::from_millis(5));
        let first = timers.start(realm, None, now);
        let second = timers.start(realm, None, now);
        assert_eq!(timers.pop_expired(now), Some((realm, first)));
        assert_eq!(timers.pop_expired(now), Some((realm, second)));
        assert_eq!(timers.pop_expired(now), None);
        assert_eq!(timers.pop_expired(now + Duration::from_millis(5)), Some((realm, late)));
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cleared_timer_does_not_expire_and_does_not_wake_the_loop() {
        let realm = RealmId(1);
        let now = Instant::now();
        let mut timers = Timers::default();
        let id = timers.start(realm, None, now);
        timers.clear(realm, id);
        assert_eq!(timers.next_expiry(), None);
        assert_eq!(timers.pop_expired(now), None);
    }

    #[test]
    fn a_timer_that_is_started_again_expires_once() {
        let (realm, now) = (RealmId(1), Instant::now());
        let mut timers = Timers::default();
        let id = timers.start(realm, None, now);
        for _ in 0..10 {
            let taken = timers.take_realm(realm, now);
            assert_eq!(taken, [(id, Duration::ZERO)]);
            timers.start(realm, Some(id), now);
        }
        assert_eq!(timers.pop_expired(now), Some((realm, id)));
        assert_eq!(timers.pop_expired(now), None);
    }

    #[test]
    fn cleared_timers_take_no_memory() {
        let (realm, late) = (RealmId(1), Instant::now() + Duration::from_secs(1000));
        let mut timers = Timers::default();
        for _ in 0..10_000 {
            let id = timers.start(realm, None, late);
            timers.clear(realm, id);
        }
        assert!(timers.heap.len() <= FEW + 1);
    }
}
