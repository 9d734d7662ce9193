//! How fetch groups are opened.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use sendbeacon_fetch::{Ledger, deferred::DeferredFetching};

use super::fetch_group::FetchGroup;
use crate::{
    id::{FetchIds, GroupId},
    message::{GroupState, NetworkSide},
};

/// What the fetch groups of a user agent, or of a content process, share.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    pub(crate) network_side: Arc<dyn NetworkSide>,
    /// Room for the reports of all groups of a content process.
    pub(crate) reports: Option<Arc<Ledger>>,
    next: Arc<AtomicU64>,
    ids: Arc<FetchIds>,
}

impl Groups {
    pub(crate) fn new(network_side: Arc<dyn NetworkSide>, ids: Arc<FetchIds>) -> Self {
        Self { network_side, reports: None, next: Arc::default(), ids }
    }

    /// Opens a fetch group, whose keepalive requests count in `ledger`.
    pub(crate) fn open(&self, ledger: Arc<Ledger>, deferred: DeferredFetching) -> FetchGroup {
        let id = GroupId(self.next.fetch_add(1, Relaxed));
        let state = Arc::new(GroupState::new(id, self.reports.clone()));
        let network_side = Arc::clone(&self.network_side);
        FetchGroup::new(state, ledger, deferred, network_side, Arc::clone(&self.ids))
    }
}
