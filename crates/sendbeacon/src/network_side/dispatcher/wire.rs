//! The order in which waiting fetches start, and the limits on how many run.
//!
//! Network partitions take turns. In a partition its endpoints take turns, and in an endpoint the documents do.
//! "On the wire" means started and not finished. A plain fetch is one without the keepalive flag.

use std::collections::{VecDeque, hash_map::Entry};

use rustc_hash::FxHashMap;

use crate::{
    id::{FetchId, GroupId},
    limits::Scheduling,
};

/// How many plain fetches a partition may have on the wire for each keepalive fetch that it may have there. NB: a
/// document may leave the responses of its plain fetches unread, so they may be on the wire for long.
const PLAIN_SHARE: usize = 4;

/// Where a fetch goes: fetches with equal endpoints share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// A hash of the network partition key. If two keys collide, they share their limits.
    pub(crate) partition: u64,
    /// A hash of the network partition key and the URL's origin.
    pub(crate) origin: u64,
    /// Whether the fetch has the keepalive flag. Plain fetches have limits of their own: they must not take the room
    /// of keepalive fetches.
    pub(crate) keepalive: bool,
}

/// The fetches that wait and the numbers of those on the wire.
///
/// `ready` has each partition that may start a fetch; each partition has those of its endpoints that may; each
/// endpoint has the groups with a waiting fetch. Each of these is a queue, and what has had its turn goes to the
/// end. So the next fetch is found without a search.
#[derive(Debug)]
pub(super) struct Wire {
    limits: Scheduling,
    /// How many keepalive fetches are on the wire.
    keepalive: usize,
    /// How many plain fetches are on the wire.
    plain: usize,
    endpoints: FxHashMap<Endpoint, Queue>,
    /// The key is the partition, and whether the entry is that of its keepalive fetches.
    partitions: FxHashMap<(u64, bool), Partition>,
    /// The partitions with a ready endpoint that have not reached their limit.
    ready: Lines,
}

/// The fetches of one endpoint.
#[derive(Debug, Default)]
struct Queue {
    /// The only waiting fetch, while there is no other: most fetches do not wait long, and this takes no allocation.
    only: Option<(GroupId, FetchId)>,
    /// The waiting fetches of each group. A cancelled fetch may stay here until its turn.
    waiting: FxHashMap<GroupId, VecDeque<FetchId>>,
    /// The groups with a waiting fetch, the next first.
    turns: VecDeque<GroupId>,
    /// How many fetches wait here, with the cancelled ones.
    count: usize,
    /// How many of them were cancelled, at most: one that was not lined up yet counts, too.
    cancelled: usize,
    on_wire: usize,
    /// Whether the endpoint is in `ready` of its partition.
    lined_up: bool,
}

/// The partitions whose turn comes: one line for keepalive fetches, one for plain fetches.
#[derive(Debug, Default)]
struct Lines {
    keepalive: VecDeque<u64>,
    plain: VecDeque<u64>,
}

impl Lines {
    fn of(&mut self, keepalive: bool) -> &mut VecDeque<u64> {
        if keepalive { &mut self.keepalive } else { &mut self.plain }
    }
}

/// The endpoints of one network partition.
#[derive(Debug, Default)]
struct Partition {
    /// The endpoints with a waiting fetch that have not reached their limit, the next first.
    ready: VecDeque<Endpoint>,
    /// How many of these have lost all their waiting fetches, at most: one that gets a fetch again still counts.
    empty: usize,
    on_wire: usize,
    /// Whether the partition is in `ready` of the wire.
    lined_up: bool,
}

impl Wire {
    pub(super) fn new(limits: Scheduling) -> Self {
        debug_assert!(limits.is_possible(), "the builder checks it");
        let (endpoints, partitions) = (FxHashMap::default(), FxHashMap::default());
        Self { limits, keepalive: 0, plain: 0, endpoints, partitions, ready: Lines::default() }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let is_ready = |line: &VecDeque<u64>| !line.is_empty();
        self.endpoints.is_empty()
            && self.partitions.is_empty()
            && !is_ready(&self.ready.keepalive)
            && !is_ready(&self.ready.plain)
    }

    /// How many entries there are for fetches that wait.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let endpoints = self.endpoints.values().map(|queue| queue.count).sum::<usize>();
        let partitions = self.partitions.values().map(|it| it.ready.len()).sum::<usize>();
        endpoints + partitions
    }

    /// Adds a waiting fetch, behind those of its group.
    pub(super) fn line_up(&mut self, id: FetchId, group: GroupId, endpoint: Endpoint) {
        self.change(endpoint, |queue| {
            queue.add(id, group);
            0
        });
    }

    /// Puts the next fetch on the wire, if there is room, and returns it. Skips those for which `is_there` is
    /// false: they were cancelled, or have started while there was no network.
    pub(super) fn take_next(&mut self, is_there: impl Fn(&FetchId) -> bool) -> Option<FetchId> {
        let has_room = self.plain < (self.limits.overall / 2).max(1);
        let plain = has_room.then(|| self.take_next_of(false, &is_there)).flatten();
        if plain.is_some() || self.keepalive >= self.limits.overall {
            return plain;
        }
        self.take_next_of(true, &is_there)
    }

    fn take_next_of(
        &mut self,
        keepalive: bool,
        is_there: impl Fn(&FetchId) -> bool,
    ) -> Option<FetchId> {
        loop {
            let key = (self.ready.of(keepalive).pop_front()?, keepalive);
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            partition.lined_up = false;
            let Some(endpoint) = partition.ready.pop_front() else {
                if partition.on_wire == 0 {
                    self.partitions.remove(&key);
                }
                continue;
            };
            let mut next = None;
            self.change(endpoint, |queue| {
                queue.lined_up = false;
                let first = queue.next();
                next = first.filter(&is_there);
                if next.is_none() && first.is_some() {
                    // NB: the count may be 0. A fetch that was started while there was no network did not wait for its
                    // turn. It is still in this queue, and was not counted as cancelled.
                    queue.cancelled = queue.cancelled.saturating_sub(1);
                }
                isize::from(next.is_some())
            });
            if next.is_some() {
                return next;
            }
        }
    }

    /// Notes that a waiting fetch was cancelled, for which `is_there` is false.
    ///
    /// NB: a page may queue and cancel as many as it likes. So the cancelled fetches of an endpoint are removed when they
    /// are more than half, and likewise the endpoints of a partition that have no waiting fetch.
    pub(super) fn cancel(&mut self, endpoint: Endpoint, is_there: impl Fn(&FetchId) -> bool) {
        self.change(endpoint, |queue| {
            queue.cancelled += 1;
            if queue.cancelled > queue.count / 2 {
                queue.retain(is_there);
            }
            0
        });
        let key = (endpoint.partition, endpoint.keepalive);
        let is_empty = self.endpoints.get(&endpoint).is_some_and(|it| it.is_empty() && it.lined_up);
        let Some(partition) = self.partitions.get_mut(&key).filter(|_| is_empty) else { return };
        partition.empty += 1;
        if partition.empty > partition.ready.len() / 2 {
            partition.empty = 0;
            partition.ready.retain(|endpoint| {
                let Entry::Occupied(mut queue) = self.endpoints.entry(*endpoint) else {
                    return false;
                };
                let is_ready = !queue.get().is_empty();
                queue.get_mut().lined_up = is_ready;
                if !is_ready && queue.get().on_wire == 0 {
                    queue.remove();
                }
                is_ready
            });
        }
    }

    /// Puts a fetch on the wire that does not wait for room.
    pub(super) fn enter(&mut self, endpoint: Endpoint) {
        self.change(endpoint, |_| 1);
    }

    /// Removes a fetch that was on the wire and is over.
    pub(super) fn leave(&mut self, endpoint: Endpoint) {
        self.change(endpoint, |_| -1);
    }

    /// Calls `change` with the queue of an endpoint. `change` returns how many more of its fetches are on the wire then.
    ///
    /// An endpoint that has a waiting fetch, and room for it on the wire, is then lined up in its partition. A partition
    /// in which an endpoint is lined up, and which has room, is lined up in the wire. Empty entries are removed.
    fn change(&mut self, endpoint: Endpoint, change: impl FnOnce(&mut Queue) -> isize) {
        let key = (endpoint.partition, endpoint.keepalive);
        let queue = self.endpoints.entry(endpoint).or_default();
        let partition = self.partitions.entry(key).or_default();
        let overall = if endpoint.keepalive { &mut self.keepalive } else { &mut self.plain };
        let more = change(queue);
        for on_wire in [&mut queue.on_wire, &mut partition.on_wire, overall] {
            *on_wire = on_wire.saturating_add_signed(more);
        }

        let limit = self.limits.per_origin - usize::from(!endpoint.keepalive);
        let has_room = queue.on_wire < limit.max(1);
        if has_room && !queue.is_empty() && !queue.lined_up {
            queue.lined_up = true;
            partition.ready.push_back(endpoint);
        }
        let share = if endpoint.keepalive { 1 } else { PLAIN_SHARE };
        let has_room = partition.on_wire < self.limits.per_partition.saturating_mul(share);
        if has_room && !partition.ready.is_empty() && !partition.lined_up {
            partition.lined_up = true;
            self.ready.of(endpoint.keepalive).push_back(endpoint.partition);
        }

        let is_partition_over =
            partition.ready.is_empty() && partition.on_wire == 0 && !partition.lined_up;
        if queue.is_empty() && queue.on_wire == 0 && !queue.lined_up {
            self.endpoints.remove(&endpoint);
        }
        if is_partition_over {
            self.partitions.remove(&key);
        }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.only.is_none() && self.turns.is_empty()
    }

    fn add(&mut self, id: FetchId, group: GroupId) {
        self.count += 1;
        if self.is_empty() {
            self.only = Some((group, id));
            return;
        }
        for (group, id) in self.only.take().into_iter().chain([(group, id)]) {
            let of_group = self.waiting.entry(group).or_default();
            if of_group.is_empty() {
                self.turns.push_back(group);
            }
            of_group.push_back(id);
        }
    }

    /// Keeps the fetches for which `is_there` is true.
    fn retain(&mut self, is_there: impl Fn(&FetchId) -> bool) {
        self.only = self.only.filter(|(_, id)| is_there(id));
        self.waiting.retain(|_, ids| {
            ids.retain(&is_there);
            !ids.is_empty()
        });
        self.turns.retain(|group| self.waiting.contains_key(group));
        let waiting = self.waiting.values().map(VecDeque::len).sum::<usize>();
        (self.count, self.cancelled) = (usize::from(self.only.is_some()) + waiting, 0);
    }

    /// Takes out the first fetch of the group whose turn it is.
    fn next(&mut self) -> Option<FetchId> {
        if let Some((_, id)) = self.only.take() {
            self.count -= 1;
            return Some(id);
        }
        let group = self.turns.pop_front()?;
        self.count -= 1;
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
