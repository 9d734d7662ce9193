//! When deferred fetches are processed: a state machine without I/O and without a clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// Deferred fetches that wait, for their time or for the end of their fetch group. Identifiers are the
/// caller's; of a group what was queued first is processed first, if they ascend.
///
/// After every call that may make something due, and when [`next_timeout`](Self::next_timeout) has
/// come, call [`poll`](Self::poll) until it returns `None`.
#[derive(Debug)]
pub struct DeferredQueue<T> {
    waiting: BTreeMap<u64, Waiting<T>>,
    groups: HashMap<u64, BTreeSet<u64>>,
    alarms: BTreeSet<(Instant, u64)>,
    /// Their time has come; they go as soon as there is room for them.
    ripe: BTreeSet<u64>,
    /// They go in any case.
    due: BTreeSet<u64>,
}

#[derive(Debug)]
struct Waiting<T> {
    group: u64,
    has_timer: bool,
    alarm: Option<Instant>,
    fetch: T,
}

impl<T> DeferredQueue<T> {
    /// Adds one: [queue a deferred fetch](https://fetch.spec.whatwg.org/#queue-a-deferred-fetch)'s
    /// Step 6.
    pub fn add(
        &mut self,
        id: u64,
        group: u64,
        activate_after: Option<Duration>,
        fetch: T,
        now: Instant,
    ) {
        // Step 6.1. A moment beyond the clock's end never comes.
        let alarm = activate_after.and_then(|after| now.checked_add(after));
        self.alarms.extend(alarm.map(|at| (at, id)));
        self.groups.entry(group).or_default().insert(id);
        let has_timer = activate_after.is_some();
        self.waiting.insert(id, Waiting { group, has_timer, alarm, fetch });
    }

    /// The fetch group was terminated, or its document is not fully active any more: everything of it is
    /// due that was there then, as `was_there` knows.
    pub fn process_deferred_fetches(&mut self, group: u64, was_there: impl Fn(&T) -> bool) {
        let ids = self.groups.get(&group).into_iter().flatten();
        let is_due = |id: &&u64| self.waiting.get(id).is_some_and(|it| was_there(&it.fetch));
        self.due.extend(ids.filter(is_due));
    }

    /// One fetch is due, if it still waits.
    pub fn process_deferred_fetch(&mut self, id: u64) {
        if self.waiting.contains_key(&id) {
            self.due.insert(id);
        }
    }

    /// The group's scripts will not run for a while: what waits for its time need not any longer.
    ///
    /// It is the reason to believe so that Step 6.1 has; what waits for the end goes on waiting.
    pub fn scripts_stop(&mut self, group: u64) {
        let ids = self.groups.get(&group).into_iter().flatten();
        let has_timer = |id: &&u64| self.waiting.get(id).is_some_and(|it| it.has_timer);
        self.due.extend(ids.filter(has_timer));
    }

    /// The user agent shuts down: everything is due.
    pub fn process_all(&mut self) {
        self.due.extend(self.waiting.keys());
    }

    /// Takes one out, if it still waits.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let Waiting { group, alarm, fetch, .. } = self.waiting.remove(&id)?;
        if let Some(members) = self.groups.get_mut(&group) {
            members.remove(&id);
            if members.is_empty() {
                self.groups.remove(&group);
            }
        }
        alarm.map(|at| self.alarms.remove(&(at, id)));
        self.ripe.remove(&id);
        self.due.remove(&id);
        Some(fetch)
    }

    /// Those of which this is true.
    pub fn remove_where(&mut self, condition: impl Fn(&T) -> bool) -> Vec<(u64, T)> {
        let matches = self.waiting.iter().filter(|(_, waiting)| condition(&waiting.fetch));
        let ids: Vec<_> = matches.map(|(&id, _)| id).collect();
        ids.into_iter().filter_map(|id| Some((id, self.remove(id)?))).collect()
    }

    /// The next to be processed, or `None` if there is none before the next call or timeout.
    ///
    /// `has_room` says whether one whose time has come may go now; if not it waits on, and is asked for
    /// again at the next poll. What goes in any case is not asked for.
    pub fn poll(
        &mut self,
        now: Instant,
        mut has_room: impl FnMut(&mut T) -> bool,
    ) -> Option<(u64, T)> {
        while let Some(&(at, id)) = self.alarms.first()
            && at <= now
        {
            self.alarms.pop_first();
            self.ripe.insert(id);
        }
        let ripe = || {
            self.ripe.iter().copied().find(|id| {
                self.waiting.get_mut(id).is_some_and(|waiting| has_room(&mut waiting.fetch))
            })
        };
        // Step 6.2.
        let id = self.due.first().copied().or_else(ripe)?;
        Some((id, self.remove(id)?))
    }

    /// When to call [`poll`](Self::poll) although nothing has happened.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }
}

impl<T> Default for DeferredQueue<T> {
    fn default() -> Self {
        let (waiting, groups, alarms) = Default::default();
        Self { waiting, groups, alarms, ripe: BTreeSet::new(), due: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_goes_by_time_end_and_stopped_scripts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let after = |ms| Some(Duration::from_millis(ms));
        let mut queue = DeferredQueue::default();
        let poll = |queue: &mut DeferredQueue<u64>, now| {
            let mut polled = Vec::new();
            while let Some((id, _)) = queue.poll(now, |_| true) {
                polled.push(id);
            }
            polled
        };
        for (id, group, activate_after) in [
            (1, 1, None),
            (2, 1, after(500)),
            (3, 2, after(0)),
            (4, 2, after(500)),
            (5, 2, None),
            (6, 3, Some(Duration::MAX)),
            (7, 3, None),
        ] {
            queue.add(id, group, activate_after, id, start);
        }
        assert_eq!(queue.next_timeout(), Some(start));
        assert_eq!(poll(&mut queue, start), [3]);
        assert_eq!(queue.next_timeout(), Some(at(500)));
        queue.process_deferred_fetches(1, |_| true);
        assert_eq!(poll(&mut queue, at(499)), [1, 2]);
        assert_eq!(poll(&mut queue, at(500)), [4]);
        assert_eq!(queue.next_timeout(), None);
        queue.scripts_stop(3);
        assert_eq!(poll(&mut queue, at(500)), [6]);
        assert_eq!(queue.remove(7), Some(7));
        assert_eq!(queue.remove(7), None);
        queue.process_all();
        assert_eq!(poll(&mut queue, at(500)), [5]);
        assert!(queue.groups.is_empty() && queue.due.is_empty() && queue.ripe.is_empty());
    }

    #[test]
    fn what_is_ripe_waits_for_room_and_what_is_due_does_not() {
        let now = Instant::now();
        let mut queue = DeferredQueue::default();
        for id in [1, 2, 3] {
            queue.add(id, id, Some(Duration::ZERO), id, now);
        }
        assert_eq!(queue.poll(now, |_| false), None);
        assert_eq!(queue.poll(now, |&mut id| id == 2), Some((2, 2)));
        queue.process_deferred_fetches(3, |_| true);
        assert_eq!(queue.poll(now, |_| false), Some((3, 3)));
        assert_eq!(queue.poll(now, |_| false), None);
        assert_eq!(queue.remove_where(|_| true), [(1, 1)]);
        assert!(queue.ripe.is_empty());
    }
}
