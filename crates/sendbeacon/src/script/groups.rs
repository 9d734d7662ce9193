//! Making fetch groups.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use sendbeacon_fetch::{Ledger, PartitionKey, deferred::DeferredFetching};

use super::fetch_group::FetchGroup;
#[cfg(feature = "outbox")]
use crate::message::GroupMessage;
use crate::{
    budget::Budget,
    documents::Documents,
    id::{FetchIds, GroupId},
    message::{GroupState, NetworkSide},
};

/// Makes the fetch groups of a user agent, or of a content process, and has what they share.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    pub(crate) network_side: Arc<dyn NetworkSide>,
    /// The ledger of the reports of all groups of a content process. `None` for groups of this process.
    reports: Option<Arc<Ledger>>,
    /// Where the memory of the groups' requests counts. `None` in a content process, and for its groups.
    budget: Option<Arc<Budget>>,
    /// The identifier of the next group.
    next: Arc<AtomicU64>,
    /// Makes the identifiers of the fetches.
    ids: Arc<FetchIds>,
    /// The documents, of which a fetch may need one that is fully active.
    documents: Arc<Documents>,
    /// Whether the network side hears of each new document: there may be records of its partition in the outbox.
    #[cfg(feature = "outbox")]
    wakes: bool,
}

impl Groups {
    pub(crate) fn new(
        network_side: Arc<dyn NetworkSide>,
        ids: Arc<FetchIds>,
        documents: Arc<Documents>,
    ) -> Self {
        Self {
            network_side,
            reports: None,
            budget: None,
            next: Arc::default(),
            ids,
            documents,
            #[cfg(feature = "outbox")]
            wakes: false,
        }
    }

    /// The same, for a network side that hears of each new document if `wakes` is true.
    #[cfg(feature = "outbox")]
    pub(crate) fn waking(self, wakes: bool) -> Self {
        Self { wakes, ..self }
    }

    /// The documents of these groups.
    pub(crate) fn documents(&self) -> &Arc<Documents> {
        &self.documents
    }

    /// The same, for fetch groups whose requests count in a memory budget.
    pub(crate) fn within(self, budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// The same, for the fetch groups of a content process. All their reports count in `reports`, too.
    #[cfg(feature = "remote")]
    pub(crate) fn for_content_process(&self, reports: Arc<Ledger>) -> Self {
        Self { reports: Some(reports), budget: None, ..self.clone() }
    }

    /// Opens a fetch group, whose keepalive requests count in `ledger`.
    pub(crate) fn open(&self, ledger: Arc<Ledger>, deferred: DeferredFetching) -> FetchGroup {
        let id = GroupId(self.next.fetch_add(1, Relaxed));
        let state = Arc::new(GroupState::new(id, self.reports.clone()));
        let network_side = Arc::clone(&self.network_side);
        let (budget, ids) = (self.budget.clone(), Arc::clone(&self.ids));
        FetchGroup::new(state, ledger, deferred, budget, network_side, ids)
    }

    /// Opens the fetch group of a document in this network partition.
    pub(crate) fn open_for_document(
        &self,
        partition: &PartitionKey,
        ledger: Arc<Ledger>,
        deferred: DeferredFetching,
    ) -> FetchGroup {
        let group = self.open(ledger, deferred);
        self.documents.add(partition, group.state());
        #[cfg(feature = "outbox")]
        if self.wakes {
            self.network_side.send(GroupMessage::Wake);
        }
        group
    }
}
