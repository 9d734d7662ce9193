//! Who is next on the wire: partitions take turns, in each its endpoints, in each the documents.

use std::collections::{VecDeque, hash_map::Entry};

use rustc_hash::FxHashMap;

use crate::{
    id::{FetchId, GroupId},
    limits::Scheduling,
};

/// How many times as many plain fetches a partition may have on the wire as keepalive fetches: their
/// documents may leave responses unread.
const PLAIN_SHARE: usize = 4;

/// Where a fetch goes: what shares a limit. Hashes of the network partition, and of it with the
/// origin; a collision makes two of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) partition: u64,
    pub(crate) origin: u64,
    /// Plain fetches have a line of their own: they take no room from those that must not be lost.
    pub(crate) keepalive: bool,
}

#[derive(Debug)]
pub(super) struct Wire {
    limits: Scheduling,
    /// How many keepalive fetches are on it.
    keepalive: usize,
    /// And how many others.
    plain: usize,
    endpoints: FxHashMap<Endpoint, Queue>,
    partitions: FxHashMap<(u64, bool), Partition>,
    /// Partitions with something that is ready and room for it, in turn.
    ready: Lines,
}

#[derive(Debug, Default)]
struct Queue {
    /// What waits, by group; an identifier of a fetch that was cancelled stays until its turn.
    waiting: FxHashMap<GroupId, VecDeque<FetchId>>,
    /// The groups, in turn.
    turns: VecDeque<GroupId>,
    on_wire: usize,
    /// Whether it stands in the line of those that are ready.
    lined_up: bool,
}

/// One line for keepalive fetches, one for the others.
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

/// The endpoints of a network partition, in turn.
#[derive(Debug, Default)]
struct Partition {
    ready: VecDeque<Endpoint>,
    on_wire: usize,
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

    /// Lines a fetch up behind those of its group.
    pub(super) fn line_up(&mut self, id: FetchId, group: GroupId, endpoint: Endpoint) {
        let queue = self.endpoints.entry(endpoint).or_default();
        let of_group = queue.waiting.entry(group).or_default();
        if of_group.is_empty() {
            queue.turns.push_back(group);
        }
        of_group.push_back(id);
        self.line_up_endpoint(endpoint);
    }

    /// Takes the next fetch out of its line and puts it on the wire, if there is room for one. What
    /// is not `there` any more was cancelled, and is passed over.
    pub(super) fn take_next(&mut self, there: impl Fn(&FetchId) -> bool) -> Option<FetchId> {
        let has_room = self.plain < (self.limits.overall / 2).max(1);
        let plain = has_room.then(|| self.take_next_of(false, &there)).flatten();
        if plain.is_some() || self.keepalive >= self.limits.overall {
            return plain;
        }
        self.take_next_of(true, &there)
    }

    fn take_next_of(
        &mut self,
        keepalive: bool,
        there: impl Fn(&FetchId) -> bool,
    ) -> Option<FetchId> {
        loop {
            let key = (self.ready.of(keepalive).pop_front()?, keepalive);
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            partition.lined_up = false;
            let Some(endpoint) = partition.ready.pop_front() else { continue };
            let Some(queue) = self.endpoints.get_mut(&endpoint) else { continue };
            queue.lined_up = false;
            let next = queue.next().filter(&there);
            if next.is_some() {
                self.count(endpoint, 1);
            }
            self.line_up_endpoint(endpoint);
            self.tidy(endpoint);
            if next.is_some() {
                return next;
            }
        }
    }

    /// A fetch that was on the wire is over.
    pub(super) fn leave(&mut self, endpoint: Endpoint) {
        self.count(endpoint, -1);
        self.line_up_endpoint(endpoint);
        self.tidy(endpoint);
    }

    /// Counts one more, or less.
    fn count(&mut self, endpoint: Endpoint, change: isize) {
        let key = (endpoint.partition, endpoint.keepalive);
        let queue = self.endpoints.get_mut(&endpoint).map(|queue| &mut queue.on_wire);
        let partition = self.partitions.get_mut(&key).map(|partition| &mut partition.on_wire);
        let overall = if endpoint.keepalive { &mut self.keepalive } else { &mut self.plain };
        for on_wire in [queue, partition, Some(overall)].into_iter().flatten() {
            *on_wire = on_wire.saturating_add_signed(change);
        }
    }

    /// Lines a endpoint up with its partition, and the partition with the others, if there is
    /// something waiting and room for it.
    fn line_up_endpoint(&mut self, endpoint: Endpoint) {
        let Some(queue) = self.endpoints.get_mut(&endpoint) else { return };
        let key = (endpoint.partition, endpoint.keepalive);
        let partition = self.partitions.entry(key).or_default();
        let limit = self.limits.per_origin - usize::from(!endpoint.keepalive);
        let has_room = queue.on_wire < limit.max(1);
        if has_room && !queue.turns.is_empty() && !queue.lined_up {
            queue.lined_up = true;
            partition.ready.push_back(endpoint);
        }
        let share = if endpoint.keepalive { 1 } else { PLAIN_SHARE };
        let has_room = partition.on_wire < self.limits.per_partition.saturating_mul(share);
        if has_room && !partition.ready.is_empty() && !partition.lined_up {
            partition.lined_up = true;
            self.ready.of(endpoint.keepalive).push_back(endpoint.partition);
        }
    }

    /// Forgets a endpoint, and a partition, of which there is nothing to remember.
    fn tidy(&mut self, endpoint: Endpoint) {
        if let Entry::Occupied(entry) = self.endpoints.entry(endpoint)
            && entry.get().turns.is_empty()
            && entry.get().on_wire == 0
        {
            entry.remove();
        }
        let key = (endpoint.partition, endpoint.keepalive);
        if let Entry::Occupied(entry) = self.partitions.entry(key)
            && entry.get().ready.is_empty()
            && entry.get().on_wire == 0
            && !entry.get().lined_up
        {
            entry.remove();
        }
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
