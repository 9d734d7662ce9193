//! The documents of a user agent, by their network partition.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use sendbeacon_fetch::{PartitionKey, Pruning};

use crate::message::GroupState;

/// The fetch groups of the documents that are there, each with its network partition.
///
/// It is locked when a document is made, and when a fetch is tried again after the network has changed.
#[derive(Default)]
pub(crate) struct Documents(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    groups: Vec<(PartitionKey, Weak<GroupState>)>,
    pruning: Pruning,
}

impl Documents {
    /// Adds the document of a fetch group.
    pub(crate) fn add(&self, partition: &PartitionKey, group: &Arc<GroupState>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.pruning.is_due(inner.groups.len()) {
            inner.groups.retain(|(_, group)| group.strong_count() > 0);
            let length = inner.groups.len();
            inner.pruning.done(length);
        }
        inner.groups.push((partition.clone(), Arc::downgrade(group)));
    }

    /// Whether a document of this partition is fully active.
    pub(crate) fn is_any_fully_active(&self, partition: &PartitionKey) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups = inner.groups.iter().filter(|(of_group, _)| of_group == partition);
        groups.any(|(_, group)| group.upgrade().is_some_and(|group| group.is_fully_active()))
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").finish_non_exhaustive()
    }
}
