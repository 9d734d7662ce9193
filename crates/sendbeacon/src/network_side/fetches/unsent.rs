//! Requests that end without a fetch.

use std::{sync::Arc, time::Instant};

use sendbeacon_fetch::{AbandonReason, Request, host::Progress};

use super::{Fetches, Record, Work};
use crate::{
    event::{EventKind, FetchInfo, Outcome},
    id::FetchId,
    message::GroupState,
    network_side::teller::Teller,
};

impl Fetches {
    /// Tells the sink of a request that ends without a fetch.
    pub(super) fn tell_over_without_fetch(
        &self,
        info: FetchInfo,
        group: Arc<GroupState>,
        outcome: Outcome,
        now: Instant,
    ) {
        let teller = Teller::new(info, group, false, Arc::clone(&self.listeners), now);
        teller.tell_at(now, || EventKind::Queued);
        Record::new(teller, None).done(outcome, now);
    }

    /// Tells the sink that a deferred fetch was given up before it was sent.
    pub(in crate::network_side) fn deferred_abandoned(
        &mut self,
        id: FetchId,
        request: &Request,
        group: Arc<GroupState>,
        reason: AbandonReason,
        now: Instant,
    ) {
        #[cfg(feature = "outbox")]
        self.deferred_aborted(id, now);
        let info = Work::info_of(request, id);
        let outcome = Outcome::Failed { error: reason.into(), progress: Progress::Unsent };
        self.tell_over_without_fetch(info, group, outcome, now);
    }
}
