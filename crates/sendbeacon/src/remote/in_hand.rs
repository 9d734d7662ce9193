//! What a content process has sent and not yet heard the end of.

use std::{collections::HashMap, sync::Arc};

use sendbeacon_fetch::{Ledger, Reservation, Weight, deferred::DeferredFetchRecord};

use super::{incoming::Incoming, limits::Cost};

#[derive(Default)]
pub(super) struct Unfinished {
    cost: Cost,
    pub(super) fetches: HashMap<u64, InHand>,
    /// The channel has ended.
    is_lost: bool,
}

impl Unfinished {
    /// Takes a fetch in hand in any case, and says whether there are credits for it.
    pub(super) fn take(&mut self, id: u64, mut in_hand: InHand) -> bool {
        let cost = self.cost.plus(in_hand.cost).filter(|_| !self.is_lost);
        match cost {
            Some(cost) => self.cost = cost,
            None => in_hand.cost = Cost::default(),
        }
        self.fetches.insert(id, in_hand);
        cost.is_some()
    }

    pub(super) fn put_down(&mut self, id: u64) -> Option<InHand> {
        let in_hand = self.fetches.remove(&id)?;
        self.cost = self.cost.minus(in_hand.cost);
        Some(in_hand)
    }

    /// The channel has ended: takes all there is, and no more.
    pub(super) fn lose(&mut self) -> HashMap<u64, InHand> {
        self.is_lost = true;
        self.cost = Cost::default();
        std::mem::take(&mut self.fetches)
    }
}

/// What is held until the network process says that a fetch is over.
pub(super) struct InHand {
    pub(super) cost: Cost,
    reservation: Option<Reservation>,
    pub(super) incoming: Option<Incoming>,
    pub(super) deferred: Option<DeferredInHand>,
}

/// What is pending of a deferred fetch, and where it counts once it was sent, and how much.
pub(super) struct DeferredInHand {
    pub(super) record: Arc<DeferredFetchRecord>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) weight: Weight,
}

impl InHand {
    pub(super) fn new(reservation: Option<Reservation>, incoming: Option<Incoming>) -> Self {
        Self { cost: Cost::default(), reservation, incoming, deferred: None }
    }

    /// The deferred fetch was sent.
    pub(super) fn activated(&mut self) {
        if let Some(DeferredInHand { record, ledger, weight }) = self.deferred.take() {
            record.process();
            self.reservation = Some(ledger.reserve_accepted(weight));
        }
    }
}
