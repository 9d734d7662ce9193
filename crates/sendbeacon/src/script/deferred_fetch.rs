//! A call of `fetchLater()` that has returned.

use std::{fmt, sync::Arc};

use sendbeacon_fetch::deferred::DeferredFetchRecord;

use crate::{
    id::FetchId,
    message::{GroupMessage, NetworkSide},
};

/// A call of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) that has returned:
/// what a `FetchLaterResult` and the abort steps of a signal need.
///
/// Dropping it changes nothing: the request is sent all the same.
pub struct DeferredFetch {
    id: FetchId,
    record: Arc<DeferredFetchRecord>,
    network_side: Arc<dyn NetworkSide>,
}

impl DeferredFetch {
    pub(super) fn new(
        id: FetchId,
        record: Arc<DeferredFetchRecord>,
        network_side: Arc<dyn NetworkSide>,
    ) -> Self {
        Self { id, record, network_side }
    }

    /// The identifier of the fetch, as events have it. Its first event,
    /// [`Queued`](crate::EventKind::Queued), comes when the request is sent. A request that is aborted before
    /// has no events.
    #[must_use]
    pub fn id(&self) -> FetchId {
        self.id
    }

    /// Whether the request was sent. Any thread.
    ///
    /// The answer changes at the moment when the network side sends the request. Script must see
    /// [`FetchLaterResult.activated`](https://fetch.spec.whatwg.org/#dom-fetchlaterresult-activated) change
    /// in a task on the deferred fetch task source, so that it stays the same while a script runs. So post
    /// that task from the event sink, and answer script by whether the task has run.
    #[must_use]
    pub fn is_activated(&self) -> bool {
        self.record.is_sent()
    }

    #[cfg(feature = "remote")]
    pub(crate) fn is_pending(&self) -> bool {
        self.record.is_pending()
    }

    /// Aborts the request, as its signal does. Nothing happens if it was sent.
    pub fn abort(&self) {
        if self.record.abort() {
            // If the network side has gone, so has the request.
            self.network_side.send(GroupMessage::AbortDeferred(self.id));
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
