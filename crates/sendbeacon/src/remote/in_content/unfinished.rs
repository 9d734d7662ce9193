//! The requests that a content process has sent, until the network process says that they are done.

use std::{collections::HashMap, sync::Arc};

use sendbeacon_fetch::{Ledger, Reservation, Weight, deferred::DeferredFetchRecord};

use super::incoming::Incoming;
use crate::remote::limits::{FIRST_CREDITS, KEPT_CREDITS};

/// The unfinished requests of a content process, by their identifiers, and its credits.
pub(super) struct Unfinished {
    /// The credits that no request uses, in bytes.
    credits: u64,
    /// Whether the network process was asked for more credits and has not answered.
    wants_credits: bool,
    pub(super) requests: HashMap<u64, UnfinishedRequest>,
    /// Whether the channel has ended.
    is_lost: bool,
}

impl Default for Unfinished {
    fn default() -> Self {
        let requests = HashMap::new();
        Self { credits: FIRST_CREDITS, wants_credits: false, requests, is_lost: false }
    }
}

impl Unfinished {
    /// Adds a request, which uses no credits yet.
    pub(super) fn add(&mut self, id: u64, request: UnfinishedRequest) {
        self.requests.insert(id, request);
    }

    /// Lets a request use credits, if there are as many.
    pub(super) fn spend(&mut self, id: u64, cost: u64) -> Spending {
        match (self.credits.checked_sub(cost), self.requests.get_mut(&id)) {
            (Some(rest), Some(request)) if !self.is_lost => {
                (self.credits, request.cost) = (rest, cost);
                Spending::Done
            }
            (None, Some(_)) if self.wants_credits && !self.is_lost => Spending::Waiting,
            _ => Spending::Refused,
        }
    }

    /// Whether to ask the network process for more credits, so that a request of this cost finds some. It is then
    /// asked.
    pub(super) fn asks_for_credits(&mut self, cost: u64) -> bool {
        let asks = self.credits < cost.max(KEPT_CREDITS) && !self.wants_credits && !self.is_lost;
        self.wants_credits |= asks;
        asks
    }

    /// Receives the answer to a question for credits.
    pub(super) fn lent(&mut self, bytes: u64) {
        self.credits = self.credits.saturating_add(bytes);
        self.wants_credits = false;
    }

    /// The credits to give back to the network process, if no request uses any.
    pub(super) fn give_back(&mut self) -> Option<u64> {
        let surplus = self.credits.saturating_sub(KEPT_CREDITS);
        let gives_back = surplus > 0 && self.requests.is_empty() && !self.is_lost;
        gives_back.then(|| {
            self.credits -= surplus;
            surplus
        })
    }

    /// Removes a request, and frees its credits.
    pub(super) fn remove(&mut self, id: u64) -> Option<UnfinishedRequest> {
        let request = self.requests.remove(&id)?;
        self.credits += request.cost;
        Some(request)
    }

    /// Removes every request, because the channel has ended. From now on there are no credits.
    pub(super) fn lose(&mut self) -> HashMap<u64, UnfinishedRequest> {
        self.is_lost = true;
        self.credits = 0;
        std::mem::take(&mut self.requests)
    }
}

/// What became of an attempt to spend credits.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Spending {
    /// They are spent.
    Done,
    /// There are too few, and the network process was asked for more.
    Waiting,
    /// There are too few.
    Refused,
}

/// An unfinished request.
pub(super) struct UnfinishedRequest {
    /// The credits that it uses, in bytes.
    cost: u64,
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
        Self { cost: 0, reservation, incoming, deferred: None }
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
