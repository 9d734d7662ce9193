//! The requests that a content process has sent, until the network process says that they are done.

use std::{collections::HashMap, sync::Arc};

use sendbeacon_fetch::{Ledger, Reservation, Weight, deferred::DeferredFetchRecord};

use super::incoming::Incoming;
use crate::remote::limits::Cost;

/// The unfinished requests of a content process, by their identifiers, and the credits that they use.
#[derive(Default)]
pub(super) struct Unfinished {
    /// The credits in use.
    cost: Cost,
    pub(super) requests: HashMap<u64, UnfinishedRequest>,
    /// Whether the channel has ended.
    is_lost: bool,
}

impl Unfinished {
    /// Adds a request, and says whether there are credits for it. It is added in both cases: without credits the
    /// caller has to remove it again.
    pub(super) fn add(&mut self, id: u64, mut request: UnfinishedRequest) -> bool {
        let cost = self.cost.plus(request.cost).filter(|_| !self.is_lost);
        match cost {
            Some(cost) => self.cost = cost,
            None => request.cost = Cost::default(),
        }
        self.requests.insert(id, request);
        cost.is_some()
    }

    /// Removes a request, and frees its credits.
    pub(super) fn remove(&mut self, id: u64) -> Option<UnfinishedRequest> {
        let request = self.requests.remove(&id)?;
        self.cost = self.cost.minus(request.cost);
        Some(request)
    }

    /// Removes every request, because the channel has ended. From now on there are no credits.
    pub(super) fn lose(&mut self) -> HashMap<u64, UnfinishedRequest> {
        self.is_lost = true;
        self.cost = Cost::default();
        std::mem::take(&mut self.requests)
    }
}

/// An unfinished request.
pub(super) struct UnfinishedRequest {
    /// The credits that it uses.
    pub(super) cost: Cost,
    /// Its room in the fetch group's ledger.
    reservation: Option<Reservation>,
    /// The receiver of its response, if it is a `fetch()`.
    pub(super) incoming: Option<Incoming>,
    /// `Some` for a deferred fetch that was not sent.
    pub(super) deferred: Option<UnsentDeferredFetch>,
}

/// A deferred fetch that was not sent.
pub(super) struct UnsentDeferredFetch {
    pub(super) record: Arc<DeferredFetchRecord>,
    /// The ledger in which it counts once it is sent.
    pub(super) ledger: Arc<Ledger>,
    /// How much it will count there.
    pub(super) weight: Weight,
}

impl UnfinishedRequest {
    pub(super) fn new(reservation: Option<Reservation>, incoming: Option<Incoming>) -> Self {
        Self { cost: Cost::default(), reservation, incoming, deferred: None }
    }

    /// Gives the request's room in the ledger back, before it is done.
    pub(super) fn give_back_early(&mut self) {
        self.reservation = None;
    }

    /// Notes that the deferred fetch was sent. Does nothing for other requests.
    pub(super) fn activated(&mut self) {
        if let Some(UnsentDeferredFetch { record, ledger, weight }) = self.deferred.take() {
            record.process();
            self.reservation = Some(ledger.reserve_accepted(weight));
        }
    }
}
