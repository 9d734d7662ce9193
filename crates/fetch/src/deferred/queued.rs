//! A deferred fetch from the call of `fetchLater()` until its request is sent.

use std::{fmt, sync::Arc, time::Duration};

use super::record::DeferredFetchRecord;
use crate::{Ledger, Request, Reservation, Weight};

/// A request that [`fetch_later`](super::fetch_later) has queued. The network side keeps it until it is sent
/// or aborted.
pub struct QueuedDeferredFetch {
    request: Box<Request>,
    record: Arc<DeferredFetchRecord>,
    activate_after: Option<Duration>,
    weight: Weight,
    /// Its memory, and its room in the group from the moment when there is room.
    reservation: Reservation,
    has_room: bool,
    /// Called when the request is sent.
    when_sent: Option<WhenSent>,
}

type WhenSent = Box<dyn FnOnce(Reservation) -> Reservation + Send>;

impl QueuedDeferredFetch {
    pub(super) fn new(
        request: Request,
        record: Arc<DeferredFetchRecord>,
        activate_after: Option<Duration>,
        weight: Weight,
        reservation: Reservation,
    ) -> Self {
        let (request, has_room) = (Box::new(request), false);
        Self { request, record, activate_after, weight, reservation, has_room, when_sent: None }
    }

    /// Sets a function that is called when the request is sent. It may exchange the request's reservation. If the
    /// request is never sent, the function is dropped.
    #[must_use]
    pub fn when_sent(
        mut self,
        when_sent: impl FnOnce(Reservation) -> Reservation + Send + 'static,
    ) -> Self {
        self.when_sent = Some(Box::new(when_sent));
        self
    }

    /// The request, as it will be fetched.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Its deferred fetch record.
    #[must_use]
    pub fn record(&self) -> &Arc<DeferredFetchRecord> {
        &self.record
    }

    /// How long the request waits while its document is fully active. `None`: until the document's end.
    #[must_use]
    pub fn activate_after(&self) -> Option<Duration> {
        self.activate_after
    }

    /// The ledger in which the request counts once it is sent.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.reservation.ledger()
    }

    /// Whether the request may be sent beside the unfinished requests of its fetch group. If there is room, this
    /// reserves it. If the group has no unfinished request, the request may be sent without room.
    pub fn has_room(&mut self) -> bool {
        self.has_room = self.reservation.enter(self.weight);
        self.has_room || self.ledger().inflight().requests == 0
    }

    /// [Processes](https://fetch.spec.whatwg.org/#process-a-deferred-fetch) the deferred fetch: returns the
    /// request to fetch, and the reservation to keep until the fetch is done. `None` if it was aborted.
    #[must_use]
    pub fn process(self) -> Option<(Box<Request>, Reservation)> {
        if !self.record.process() {
            return None;
        }
        let Self { request, weight, mut reservation, has_room, when_sent, .. } = self;
        if !has_room {
            reservation.enter_anyway(weight);
        }
        let reservation = match when_sent {
            Some(when_sent) => when_sent(reservation),
            None => reservation,
        };
        Some((request, reservation))
    }
}

impl fmt::Debug for QueuedDeferredFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedDeferredFetch")
            .field("url", &self.request.url().as_str())
            .field("record", &self.record)
            .field("activate_after", &self.activate_after)
            .finish_non_exhaustive()
    }
}
