//! The queue that decides when deferred fetches are processed: a state machine without I/O and without a clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

/// The deferred fetches that wait, for their time or for the end of their fetch group.
///
/// The caller gives the identifiers of fetches and groups. If the identifiers ascend, the fetches of a group are
/// processed in the order in which they were added.
///
/// Call [`poll`](Self::poll) until it returns `None`, after every call that may make a fetch due, and when the time
/// of [`next_timeout`](Self::next_timeout) has come. Call [`room_freed`](Self::room_freed) when a fetch may have room
/// that had none before.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use sendbeacon_fetch::deferred::DeferredQueue;
///
/// let (now, second) = (Instant::now(), Duration::from_secs(1));
/// let mut queue = DeferredQueue::default();
/// queue.add(1, 7, Some(second), 0, "after a second", now);
/// queue.add(2, 7, None, 0, "at the end", now);
/// assert_eq!(queue.next_timeout(), Some(now + second));
/// assert_eq!(queue.poll(now, |_| true), None);
/// assert_eq!(queue.poll(now + second, |_| true), Some((1, "after a second")));
///
/// // The fetch group is terminated.
/// queue.make_group_due(7, |_| true);
/// assert_eq!(queue.poll(now + second, |_| true), Some((2, "at the end")));
/// ```
#[derive(Debug)]
pub struct DeferredQueue<T> {
    /// Every fetch in the queue, by its identifier.
    waiting: BTreeMap<u64, Waiting<T>>,
    /// The groups of these fetches.
    groups: HashMap<u64, Group>,
    /// When the time of a fetch comes.
    alarms: BTreeSet<(Instant, u64)>,
    /// The groups with a ripe fetch that may have room.
    may_have_room: BTreeSet<u64>,
    /// The fetches that are processed next, with or without room.
    due: BTreeSet<u64>,
}

/// The fetches of a group.
#[derive(Debug, Default)]
struct Group {
    members: BTreeSet<u64>,
    /// The members whose time has come, by age. Each is processed as soon as there is room for it.
    ripe: BTreeSet<u64>,
    /// The same members, each after its size.
    ripe_by_size: BTreeSet<(u64, u64)>,
}

impl Group {
    /// The ripe fetches to ask for room: the oldest and the smallest. If neither has room, the others wait, so that
    /// a group costs the same however many ripe fetches it has.
    fn candidates(&self) -> impl Iterator<Item = u64> + use<> {
        let oldest = self.ripe.first().copied();
        let smallest =
            self.ripe_by_size.first().map(|(_, id)| *id).filter(|id| Some(*id) != oldest);
        oldest.into_iter().chain(smallest)
    }
}

/// A deferred fetch that waits.
#[derive(Debug)]
struct Waiting<T> {
    group: u64,
    /// The length of its body in bytes.
    size: u64,
    /// Whether it has an `activateAfter`.
    has_timer: bool,
    /// When its time comes. `None` if it never does.
    alarm: Option<Instant>,
    fetch: T,
}

impl<T> DeferredQueue<T> {
    /// Adds a fetch: Step 6 of [queue a deferred fetch](https://fetch.spec.whatwg.org/#queue-a-deferred-fetch).
    ///
    /// `size` is the length of its body in bytes. When the oldest ripe fetch of a group has no room, the queue asks
    /// for room for the smallest one.
    pub fn add(
        &mut self,
        id: u64,
        group: u64,
        activate_after: Option<Duration>,
        size: u64,
        fetch: T,
        now: Instant,
    ) {
        // Step 6.1. A time that the clock cannot express never comes.
        let alarm = activate_after.and_then(|after| now.checked_add(after));
        self.alarms.extend(alarm.map(|at| (at, id)));
        self.groups.entry(group).or_default().members.insert(id);
        let has_timer = activate_after.is_some();
        self.waiting.insert(id, Waiting { group, size, has_timer, alarm, fetch });
    }

    /// Makes the fetches of a group due: the group was terminated, or its document has stopped being fully active.
    /// `was_there` says whether a fetch was in the group at that moment: script may have queued others since then.
    pub fn make_group_due(&mut self, group: u64, was_there: impl Fn(&T) -> bool) {
        let ids = self.groups.get(&group).into_iter().flat_map(|it| &it.members);
        let is_due = |id: &&u64| self.waiting.get(id).is_some_and(|it| was_there(&it.fetch));
        self.due.extend(ids.filter(is_due));
    }

    /// Makes one fetch due, if it still waits.
    pub fn make_due(&mut self, id: u64) {
        if self.waiting.contains_key(&id) {
            self.due.insert(id);
        }
    }

    /// Makes each fetch of a group due that has an `activateAfter`. The scripts of the group are about to stop,
    /// which is one of the conditions in Step 6.1. The fetches without an `activateAfter` wait for the end of the
    /// group.
    pub fn scripts_stop(&mut self, group: u64) {
        let ids = self.groups.get(&group).into_iter().flat_map(|it| &it.members);
        let has_timer = |id: &&u64| self.waiting.get(id).is_some_and(|it| it.has_timer);
        self.due.extend(ids.filter(has_timer));
    }

    /// Makes every fetch due: the user agent shuts down.
    pub fn make_all_due(&mut self) {
        self.due.extend(self.waiting.keys());
    }

    /// A fetch that still waits.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&T> {
        self.waiting.get(&id).map(|it| &it.fetch)
    }

    /// The fetches that still wait.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.waiting.keys().copied()
    }

    /// Removes a fetch, if it still waits.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let Waiting { group, size, alarm, fetch, .. } = self.waiting.remove(&id)?;
        if let Entry::Occupied(mut entry) = self.groups.entry(group) {
            entry.get_mut().members.remove(&id);
            entry.get_mut().ripe_by_size.remove(&(size, id));
            if entry.get_mut().ripe.remove(&id) {
                // The next oldest fetch may have room.
                self.may_have_room.insert(group);
            }
            if entry.get().members.is_empty() {
                self.may_have_room.remove(&group);
                entry.remove();
            }
        }
        alarm.map(|at| self.alarms.remove(&(at, id)));
        self.due.remove(&id);
        Some(fetch)
    }

    /// Removes the fetches for which `condition` is true.
    pub fn remove_where(&mut self, condition: impl Fn(&T) -> bool) -> Vec<(u64, T)> {
        let matches = self.waiting.iter().filter(|(_, waiting)| condition(&waiting.fetch));
        let ids: Vec<_> = matches.map(|(&id, _)| id).collect();
        ids.into_iter().filter_map(|id| Some((id, self.remove(id)?))).collect()
    }

    /// Tells that there may be room in a group: one of its requests has given room back.
    pub fn room_freed(&mut self, group: u64) {
        if self.groups.get(&group).is_some_and(|group| !group.ripe.is_empty()) {
            self.may_have_room.insert(group);
        }
    }

    /// Removes and returns the next fetch to process. `None`: nothing is to be processed until the next call or
    /// timeout.
    ///
    /// `has_room` says whether there is room for a ripe fetch: one whose time has come. The queue asks for the
    /// oldest ripe fetch of a group, and then for the smallest. If neither has room, all ripe fetches of the group
    /// wait until [`room_freed`](Self::room_freed). A fetch that was made due needs no room.
    pub fn poll(&mut self, now: Instant, has_room: impl FnMut(&mut T) -> bool) -> Option<(u64, T)> {
        while let Some(&(at, id)) = self.alarms.first()
            && at <= now
        {
            self.alarms.pop_first();
            self.ripen(id);
        }
        // Step 6.2.
        let id = self.due.first().copied().or_else(|| self.next_ripe(has_room))?;
        Some((id, self.remove(id)?))
    }

    /// The time of a fetch has come.
    fn ripen(&mut self, id: u64) {
        let Some(Waiting { group, size, .. }) = self.waiting.get(&id) else { return };
        let of_group = self.groups.entry(*group).or_default();
        of_group.ripe.insert(id);
        of_group.ripe_by_size.insert((*size, id));
        self.may_have_room.insert(*group);
    }

    /// The next ripe fetch that has room. A group without room is not asked again before something changes in it.
    fn next_ripe(&mut self, mut has_room: impl FnMut(&mut T) -> bool) -> Option<u64> {
        while let Some(group) = self.may_have_room.first() {
            let mut candidates = self.groups.get(group).into_iter().flat_map(Group::candidates);
            let next = candidates.find(|id| {
                self.waiting.get_mut(id).is_some_and(|waiting| has_room(&mut waiting.fetch))
            });
            if next.is_some() {
                return next;
            }
            self.may_have_room.pop_first();
        }
        None
    }

    /// When to call [`poll`](Self::poll) if there is no other call before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }
}

impl<T> Default for DeferredQueue<T> {
    fn default() -> Self {
        let (waiting, groups, alarms) = Default::default();
        Self { waiting, groups, alarms, may_have_room: BTreeSet::new(), due: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_become_due_by_time_by_the_groups_end_and_by_stopped_scripts() {
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
            queue.add(id, group, activate_after, 0, id, start);
        }
        assert_eq!(queue.next_timeout(), Some(start));
        assert_eq!(poll(&mut queue, start), [3]);
        assert_eq!(queue.next_timeout(), Some(at(500)));
        queue.make_group_due(1, |_| true);
        assert_eq!(poll(&mut queue, at(499)), [1, 2]);
        assert_eq!(poll(&mut queue, at(500)), [4]);
        assert_eq!(queue.next_timeout(), None);
        queue.scripts_stop(3);
        assert_eq!(poll(&mut queue, at(500)), [6]);
        assert_eq!(queue.remove(7), Some(7));
        assert_eq!(queue.remove(7), None);
        queue.make_all_due();
        assert_eq!(poll(&mut queue, at(500)), [5]);
        assert!(queue.groups.is_empty() && queue.due.is_empty());
        assert!(queue.may_have_room.is_empty() && queue.alarms.is_empty());
    }

    #[test]
    fn a_ripe_fetch_waits_for_room_and_a_due_one_does_not() {
        let now = Instant::now();
        let mut queue = DeferredQueue::default();
        for id in [1, 2, 3] {
            queue.add(id, id, Some(Duration::ZERO), 0, id, now);
        }
        assert_eq!(queue.poll(now, |_| false), None);
        assert_eq!(queue.poll(now, |_| true), None, "nothing has told of room");
        for group in [1, 2] {
            queue.room_freed(group);
        }
        assert_eq!(queue.poll(now, |&mut id| id == 2), Some((2, 2)));
        queue.make_group_due(3, |_| true);
        assert_eq!(queue.poll(now, |_| false), Some((3, 3)));
        assert_eq!(queue.poll(now, |_| false), None);
        assert_eq!(queue.remove_where(|_| true), [(1, 1)]);
        assert!(queue.groups.is_empty() && queue.may_have_room.is_empty());
    }

    #[test]
    fn the_oldest_ripe_fetch_of_a_group_comes_first_and_the_smallest_takes_little_room() {
        let now = Instant::now();
        let mut queue = DeferredQueue::default();
        for (id, size) in [(1, 50), (2, 40), (3, 10), (4, 20), (5, 10)] {
            queue.add(id, 7, Some(Duration::ZERO), size, size, now);
        }
        let mut room = 30;
        let mut poll = |queue: &mut DeferredQueue<u64>, freed| {
            room += freed;
            if freed > 0 {
                queue.room_freed(7);
            }
            let (id, size) = queue.poll(now, |size| *size <= room)?;
            room -= size;
            Some(id)
        };
        assert_eq!([(); 3].map(|()| poll(&mut queue, 0)), [Some(3), Some(5), None]);
        assert_eq!([5, 0].map(|freed| poll(&mut queue, freed)), [None, None]);
        assert_eq!([35, 0].map(|freed| poll(&mut queue, freed)), [Some(1), None]);
        assert_eq!([60, 0, 0].map(|freed| poll(&mut queue, freed)), [Some(2), Some(4), None]);
        assert!(queue.groups.is_empty() && queue.may_have_room.is_empty());
    }

    #[test]
    fn fetches_without_room_are_asked_only_when_their_group_has_changed() {
        let now = Instant::now();
        let mut queue = DeferredQueue::default();
        for id in 0..4_096 {
            queue.add(id, id % 2, Some(Duration::ZERO), 4_096 - id, id, now);
        }
        let asked = |queue: &mut DeferredQueue<u64>| {
            let mut asked = Vec::new();
            for _ in 0..100 {
                let polled = queue.poll(now, |&mut id| {
                    asked.push(id);
                    false
                });
                assert_eq!(polled, None);
            }
            asked
        };
        assert_eq!(asked(&mut queue), [0, 4_094, 1, 4_095], "two of each group, once");
        queue.room_freed(2);
        assert_eq!(asked(&mut queue), [0; 0], "another group");
        queue.room_freed(1);
        assert_eq!(asked(&mut queue), [1, 4_095]);
    }
}
