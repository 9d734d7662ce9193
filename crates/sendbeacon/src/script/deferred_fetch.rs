//! A call of `fetchLater()` that has returned.

use std::{fmt, sync::Arc};

use sendbeacon_fetch::deferred::DeferredFetchRecord;

use crate::{
    id::FetchId,
    message::{GroupMessage, NetworkSide},
};

/// The result of [`Document::fetch_later`](crate::Document::fetch_later), from which an engine makes its
/// `FetchLaterResult` and the abort steps of the signal.
///
/// Dropping it changes nothing: the request is still sent.
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
    /// [`Queued`](crate::EventKind::Queued), comes when the request is sent. If its site data are cleared before,
    /// `Queued` and `Done` come then, and [`is_activated`](Self::is_activated) stays false. A request that is aborted
    /// before has no events.
    #[must_use]
    pub fn id(&self) -> FetchId {
        self.id
    }

    /// Whether the request was sent. May be called on any thread.
    ///
    /// The answer changes at the moment when the request is sent, which may be while a script runs. Script may
    /// see [`FetchLaterResult.activated`](https://fetch.spec.whatwg.org/#dom-fetchlaterresult-activated) change
    /// only in a task on the deferred fetch task source. So post that task from the event sink, and let
    /// `activated` say whether the task has run.
    #[must_use]
    pub fn is_activated(&self) -> bool {
        self.record.is_sent()
    }

    #[cfg(feature = "remote")]
    pub(crate) fn is_pending(&self) -> bool {
        self.record.is_pending()
    }

    /// Aborts the request, as its signal does. Does nothing if the request was sent.
    pub fn abort(&self) {
        if self.record.abort() {
            // The answer does not matter: without a network side there is no request.
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
