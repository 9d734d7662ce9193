//! Who is next on the wire: partitions take turns, in each its destinations, in each the documents.

use std::{
    collections::{VecDeque, hash_map::Entry},
    time::Duration,
};

use rustc_hash::FxHashMap;

use super::{FetchId, GroupId};

/// How many times as many plain fetches a partition may have on the wire as keepalive fetches: their
/// documents may leave responses unread.
const PLAIN_SHARE: usize = 4;

/// What is started when. What has to wait waits; nothing is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduling {
    /// How many keepalive fetches are on the wire at once to one origin from one network partition,
    /// and one less of the others, which leaves a connection to what must not be lost. Default 6, as
    /// browsers have connections over HTTP/1.1; at least 1.
    pub per_destination: usize,
    /// How many keepalive fetches are on the wire from one network partition, so that no site can
    /// take the wire from the others, and four times as many others. Default 32; at least 1.
    pub per_partition: usize,
    /// How many keepalive fetches are on the wire altogether, and half as many others: a network has
    /// no end of connections, and a plain fetch may keep one as long as its document likes. Default 256;
    /// at least 1.
    pub overall: usize,
    /// How long a beacon lets important loads go first
    /// ([`UserAgent::important_loads`](crate::UserAgent::important_loads)). Default 2 seconds.
    pub max_delay: Duration,
}

impl Default for Scheduling {
    fn default() -> Self {
        Self {
            per_destination: 6,
            per_partition: 32,
            overall: 256,
            max_delay: Duration::from_secs(2),
        }
    }
}

/// Where a fetch goes: what shares a limit. Hashes of the network partition, and of it with the
/// origin; a collision makes two of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    pub(crate) partition: u64,
    pub(crate) origin: u64,
    /// Plain fetches have a line of their own: they take no room from those that must not be lost.
    pub(crate) keepalive: bool,
}

#[derive(Debug)]
pub(crate) struct Wire {
    limits: Scheduling,
    /// How many keepalive fetches are on it.
    keepalive: usize,
    /// And how many others.
    plain: usize,
    destinations: FxHashMap<Destination, Queue>,
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

/// The destinations of a network partition, in turn.
#[derive(Debug, Default)]
struct Partition {
    ready: VecDeque<Destination>,
    on_wire: usize,
    lined_up: bool,
}

impl Wire {
    pub(crate) fn new(mut limits: Scheduling) -> Self {
        // With no room at all, what was accepted would wait for ever.
        limits.per_destination = limits.per_destination.max(1);
        limits.per_partition = limits.per_partition.max(1);
        limits.overall = limits.overall.max(1);
        let (destinations, partitions) = (FxHashMap::default(), FxHashMap::default());
        Self { limits, keepalive: 0, plain: 0, destinations, partitions, ready: Lines::default() }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let is_ready = |line: &VecDeque<u64>| !line.is_empty();
        self.destinations.is_empty()
            && self.partitions.is_empty()
            && !is_ready(&self.ready.keepalive)
            && !is_ready(&self.ready.plain)
    }

    /// Lines a fetch up behind those of its group.
    pub(super) fn line_up(&mut self, id: FetchId, group: GroupId, destination: Destination) {
        let queue = self.destinations.entry(destination).or_default();
        let of_group = queue.waiting.entry(group).or_default();
        if of_group.is_empty() {
            queue.turns.push_back(group);
        }
        of_group.push_back(id);
        self.line_up_destination(destination);
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
            let Some(destination) = partition.ready.pop_front() else { continue };
            let Some(queue) = self.destinations.get_mut(&destination) else { continue };
            queue.lined_up = false;
            let next = queue.next().filter(&there);
            if next.is_some() {
                self.count(destination, 1);
            }
            self.line_up_destination(destination);
            self.tidy(destination);
            if next.is_some() {
                return next;
            }
        }
    }

    /// A fetch that was on the wire is over.
    pub(super) fn leave(&mut self, destination: Destination) {
        self.count(destination, -1);
        self.line_up_destination(destination);
        self.tidy(destination);
    }

    /// Counts one more, or less.
    fn count(&mut self, destination: Destination, change: isize) {
        let key = (destination.partition, destination.keepalive);
        let queue = self.destinations.get_mut(&destination).map(|queue| &mut queue.on_wire);
        let partition = self.partitions.get_mut(&key).map(|partition| &mut partition.on_wire);
        let overall = if destination.keepalive { &mut self.keepalive } else { &mut self.plain };
        for on_wire in [queue, partition, Some(overall)].into_iter().flatten() {
            *on_wire = on_wire.saturating_add_signed(change);
        }
    }

    /// Lines a destination up with its partition, and the partition with the others, if there is
    /// something waiting and room for it.
    fn line_up_destination(&mut self, destination: Destination) {
        let Some(queue) = self.destinations.get_mut(&destination) else { return };
        let key = (destination.partition, destination.keepalive);
        let partition = self.partitions.entry(key).or_default();
        let limit = self.limits.per_destination - usize::from(!destination.keepalive);
        let has_room = queue.on_wire < limit.max(1);
        if has_room && !queue.turns.is_empty() && !queue.lined_up {
            queue.lined_up = true;
            partition.ready.push_back(destination);
        }
        let share = if destination.keepalive { 1 } else { PLAIN_SHARE };
        let has_room = partition.on_wire < self.limits.per_partition.saturating_mul(share);
        if has_room && !partition.ready.is_empty() && !partition.lined_up {
            partition.lined_up = true;
            self.ready.of(destination.keepalive).push_back(destination.partition);
        }
    }

    /// Forgets a destination, and a partition, of which there is nothing to remember.
    fn tidy(&mut self, destination: Destination) {
        if let Entry::Occupied(entry) = self.destinations.entry(destination)
            && entry.get().turns.is_empty()
            && entry.get().on_wire == 0
        {
            entry.remove();
        }
        let key = (destination.partition, destination.keepalive);
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
