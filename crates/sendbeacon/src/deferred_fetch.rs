use std::{fmt, sync::Arc, time::Duration};

use sendbeacon_fetch::{
    Body, Ledger, Request, Reservation,
    beacon::url_length,
    deferred::{DeferredFetchRecord, QueuedDeferredFetch},
};

use crate::{
    FetchId,
    driver::{Message, NetworkSide},
};

/// A call of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) that has returned:
/// what a `FetchLaterResult` and the abort steps of a signal need.
///
/// Dropping it changes nothing: the fetch is made all the same.
pub struct DeferredFetch {
    id: FetchId,
    record: Arc<DeferredFetchRecord>,
    network_side: NetworkSide,
}

impl DeferredFetch {
    pub(crate) fn new(
        id: FetchId,
        record: Arc<DeferredFetchRecord>,
        network_side: NetworkSide,
    ) -> Self {
        Self { id, record, network_side }
    }

    /// The fetch, as events name it. The first, [`Queued`](crate::EventKind::Queued), comes when it is
    /// activated; there is none if it is aborted before.
    #[must_use]
    pub fn id(&self) -> FetchId {
        self.id
    }

    /// Whether it was sent. Any thread.
    ///
    /// This changes the moment the network side sends it. In
    /// [`FetchLaterResult.activated`](https://fetch.spec.whatwg.org/#dom-fetchlaterresult-activated) it
    /// changes with a task on the deferred fetch task source, so that it stays the same while a script
    /// runs: post that from the event sink, and answer script by whether it has run.
    #[must_use]
    pub fn is_activated(&self) -> bool {
        self.record.is_sent()
    }

    #[cfg(feature = "remote")]
    pub(crate) fn is_pending(&self) -> bool {
        self.record.is_pending()
    }

    /// Aborts it, as its request's signal does. Nothing happens if it was sent.
    pub fn abort(&self) {
        if self.record.abort() {
            // If the network side has gone, so has the request.
            self.network_side.send(Message::AbortDeferred(self.id));
        }
    }
}

impl fmt::Debug for DeferredFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredFetch")
            .field("id", &self.id)
            .field("is_activated", &self.is_activated())
            .finish_non_exhaustive()
    }
}

/// A deferred fetch on its way to the network side, and there until it is sent.
pub(crate) struct Deferred {
    pub(crate) id: FetchId,
    pub(crate) request: Box<Request>,
    pub(crate) record: Arc<DeferredFetchRecord>,
    pub(crate) activate_after: Option<Duration>,
    /// Where it is counted once it is sent.
    pub(crate) ledger: Arc<Ledger>,
    /// Held until the network side has it.
    pub(crate) hand_over: Option<Reservation>,
    /// The content process that it came from is told when it is sent, and when it is done.
    #[cfg(feature = "remote")]
    pub(crate) lease: Option<Arc<crate::remote::Lease>>,
    reservation: Option<Reservation>,
}

impl Deferred {
    pub(crate) fn new(id: FetchId, queued: QueuedDeferredFetch, ledger: Arc<Ledger>) -> Self {
        let QueuedDeferredFetch { request, record, activate_after } = queued;
        Self {
            id,
            request,
            record,
            activate_after,
            ledger,
            hand_over: None,
            #[cfg(feature = "remote")]
            lease: None,
            reservation: None,
        }
    }

    /// Bytes of its body and of its URL.
    pub(crate) fn lengths(&self) -> (u64, u64) {
        let body = self.request.body.as_ref().map_or(0, Body::length);
        (body, url_length(self.request.url()) as u64)
    }

    /// Whether it may be sent beside what its fetch group has under way; then it has its share. Alone it
    /// always may.
    pub(crate) fn has_room(&mut self) -> bool {
        let (body, url) = self.lengths();
        self.reservation = self.ledger.reserve(body, url);
        self.reservation.is_some() || self.ledger.inflight().requests == 0
    }

    /// [Processes](https://fetch.spec.whatwg.org/#process-a-deferred-fetch) it: gives what is to be
    /// fetched, and what to hold until that is done. `None` if it was aborted.
    pub(crate) fn process(mut self) -> Option<(Box<Request>, Reservation)> {
        if !self.record.process() {
            return None;
        }
        let (body, url) = self.lengths();
        let reservation = self.reservation.take();
        let reservation = reservation.unwrap_or_else(|| self.ledger.reserve_accepted(body, url));
        #[cfg(feature = "remote")]
        if let Some(lease) = self.lease {
            lease.tell_activated();
            return Some((self.request, reservation.with_guard(lease)));
        }
        Some((self.request, reservation))
    }
}
