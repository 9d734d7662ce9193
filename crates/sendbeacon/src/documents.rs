//! The documents of a user agent, by their network partition.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sendbeacon_fetch::{PartitionKey, Pruning};

use crate::message::{Flag, GroupState};

/// The fetch groups of the documents that are there, by their network partition.
///
/// It is locked when a document is made, and when a fetch is tried again after the network has changed. What a
/// question costs does not grow with the documents of other partitions.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    partitions: HashMap<PartitionKey, Partition>,
    pruning: Pruning,
}

/// The documents of one partition.
#[derive(Default)]
struct Partition {
    groups: Vec<Weak<GroupState>>,
}

impl Documents {
    /// Adds the document of a fetch group.
    pub(crate) fn add(&self, partition: &PartitionKey, group: &Arc<GroupState>) {
        let mut inner = self.lock();
        if let Some(partition) = inner.partitions.get_mut(partition) {
            partition.add(group);
            return;
        }
        inner.prune();
        inner.partitions.entry(partition.clone()).or_default().add(group);
    }

    /// Whether a document of this partition is fully active.
    pub(crate) fn is_any_fully_active(&self, partition: &PartitionKey) -> bool {
        let mut inner = self.lock();
        let Some(documents) = inner.partitions.get_mut(partition) else { return false };
        let is_any = documents.is_any(GroupState::is_fully_active);
        if !is_any {
            // Many fetches may ask one after the other. Only the first of them looks at the documents that have gone.
            documents.prune();
            if documents.groups.is_empty() {
                inner.partitions.remove(partition);
            }
        }
        is_any
    }

    /// Whether every document has gone.
    pub(crate) fn are_gone(&self) -> bool {
        !self.lock().partitions.values_mut().any(|documents| documents.is_any(is_there))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Removes the partitions that have no document any more, now and then.
    fn prune(&mut self) {
        if self.pruning.is_due(self.partitions.len()) {
            self.partitions.retain(|_, documents| documents.is_any(is_there));
            self.pruning.done(self.partitions.len());
        }
    }
}

impl Partition {
    fn add(&mut self, group: &Arc<GroupState>) {
        if self.groups.len() == self.groups.capacity() {
            self.prune();
            // As many fit beside those that are left, so the cost of pruning is constant for each document.
            self.groups.reserve_exact(self.groups.len() + 1);
        }
        self.groups.push(Arc::downgrade(group));
    }

    /// Whether `condition` is true of a document. The next question looks at that one first.
    fn is_any(&mut self, condition: impl Fn(&GroupState) -> bool) -> bool {
        let is_it = |group: &Weak<GroupState>| group.upgrade().is_some_and(|it| condition(&it));
        let found = self.groups.iter().position(is_it);
        found.inspect(|&at| self.groups.swap(0, at)).is_some()
    }

    /// Removes the documents that have gone.
    fn prune(&mut self) {
        self.groups.retain(|group| group.upgrade().is_some_and(|group| is_there(&group)));
    }
}

/// Whether the document has not gone. Its group may be there without it, as long as its fetches go on.
fn is_there(group: &GroupState) -> bool {
    !group.is(Flag::Terminated)
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
