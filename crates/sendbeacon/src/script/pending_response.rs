//! The future of the response to a `fetch()`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sendbeacon_fetch::{NetworkError, Response};
use tokio::sync::oneshot;

use crate::{
    id::FetchId,
    message::{Cause, GroupMessage, NetworkSide, Responder},
};

/// The future of the response to a [`FetchGroup::fetch`](crate::FetchGroup::fetch). Await it on any runtime.
///
/// Dropping it, or dropping the response's body, tells the network side that nobody reads the response. A
/// keepalive request then goes on, and any other request is stopped.
/// [`FetchGroup::abort_fetch`](crate::FetchGroup::abort_fetch) stops both kinds.
///
/// A body that is cut off ends with an error. While the document is in the back/forward cache, at most about
/// 64 KiB of the body arrive; the rest arrives when the document is back. After the document has gone, a body
/// that is not read at once is cut off.
#[derive(Debug)]
#[must_use = "dropping it stops a request without keepalive"]
pub struct PendingResponse {
    id: FetchId,
    receiver: oneshot::Receiver<Result<Response, NetworkError>>,
    /// Why there is no answer, if the sender is dropped without one.
    cause: Cause,
    /// Hears when this is dropped before there is an answer. `None` once there is one.
    network_side: Option<Arc<dyn NetworkSide>>,
}

impl PendingResponse {
    /// Makes a pending response, and the responder that answers it.
    pub(crate) fn new(id: FetchId, network_side: Arc<dyn NetworkSide>) -> (Responder, Self) {
        let (sender, receiver) = oneshot::channel();
        let cause = Cause::default();
        let responder = Responder::new(sender, cause.clone());
        (responder, Self { id, receiver, cause, network_side: Some(network_side) })
    }

    /// The identifier of the fetch, as events have it.
    #[must_use]
    pub fn id(&self) -> FetchId {
        self.id
    }
}

impl Future for PendingResponse {
    type Output = Result<Response, NetworkError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.receiver).poll(cx);
        if polled.is_ready() {
            self.network_side = None;
        }
        polled.map(|result| result.unwrap_or_else(|_| Err(self.cause.get())))
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if let Some(network_side) = &self.network_side {
            network_side.send(GroupMessage::Unwanted(self.id));
        }
    }
}
