//! A `fetch()`'s response on its way through the channel.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use sendbeacon_fetch::{
    NetworkError, Response, ResponseType,
    host::{BodyStream, ResponseBody},
};
use tokio::sync::{Semaphore, mpsc};

use super::{
    channel::{Channel, Lease},
    connection::Connection,
    frame::{Headers, MAX_PIECE, ResponseFrame, ToContent, ToNetwork, WINDOW, received},
};
use crate::response::{Cause, ChannelBody, PendingResponse, Piece, Responder};

/// In the network process: passes a response on, as fast as the content process takes it.
pub(super) async fn pass_on(
    id: u64,
    pending: PendingResponse,
    window: Arc<Semaphore>,
    channel: Arc<Channel>,
    lease: Arc<Lease>,
) {
    let end = match pending.await {
        Ok(response) => pass_on_response(id, response, &window, &channel).await,
        Err(_) => ToContent::Failed { id },
    };
    channel.tell(&end);
    // What the fetch took is given back behind its end.
    drop(lease);
}

async fn pass_on_response(
    id: u64,
    mut response: Response,
    window: &Semaphore,
    channel: &Channel,
) -> ToContent {
    // What a script may not see does not get into its process.
    let is_opaque =
        matches!(response.response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect);
    if is_opaque {
        response.status = StatusCode::OK;
        response.url_list.truncate(1);
    }
    let Some(headers) = Headers::new(&response.headers) else { return ToContent::Failed { id } };
    let head = ResponseFrame {
        type_: response.response_type,
        status: response.status.as_u16(),
        headers,
        url_list: response.url_list.iter().map(|url| url.as_str().to_owned()).collect(),
        timing_allow_passed: response.timing_allow_passed,
    };
    if !channel.tell_in_turn(&ToContent::Response { id, response: head }).await {
        return ToContent::Failed { id };
    }
    while let Some(chunk) = response.chunk().await {
        let Ok(mut chunk) = chunk else { return ToContent::Failed { id } };
        while !is_opaque && !chunk.is_empty() {
            let bytes = chunk.split_to(chunk.len().min(MAX_PIECE));
            // Neither semaphore is ever closed.
            if let Ok(permit) = window.acquire().await {
                permit.forget();
            }
            channel.tell_in_turn(&ToContent::Piece { id, bytes }).await;
        }
    }
    ToContent::End { id }
}

/// In the content process: where the parts of a response go as they come.
pub(super) enum Incoming {
    Head(Responder),
    Body(mpsc::Sender<Piece>, Cause),
}

impl Incoming {
    /// The head has come: where its body goes, unless it makes no sense.
    pub(super) fn response(
        self,
        id: u64,
        frame: ResponseFrame,
        connection: &Arc<Connection>,
    ) -> Option<Self> {
        let Self::Head(responder) = self else { return None };
        let status = StatusCode::from_u16(frame.status).ok();
        let urls = frame.url_list.iter().map(|url| received(url).ok());
        let parsed = status.zip(frame.headers.into_map().ok()).zip(urls.collect());
        let Some(((status, headers), url_list)) = parsed else {
            responder.fail(NetworkError::OtherProcess);
            return None;
        };
        // The window, and the end.
        let (pieces, receiver) = mpsc::channel(WINDOW + 1);
        let cause = responder.cause.clone();
        let body = ChannelBody::new(receiver, cause.clone());
        let body: ResponseBody =
            Box::pin(RemoteBody { body, id, connection: Arc::clone(connection) });
        let mut response = Response::new(frame.type_, status, headers, url_list, body);
        response.timing_allow_passed = frame.timing_allow_passed;
        responder.succeed(response);
        Some(Self::Body(pieces, cause))
    }

    pub(super) fn piece(&self, piece: Piece) {
        if let Self::Body(pieces, _) = self {
            // There is room for what the window allows. If nobody reads, nobody misses it.
            let _ = pieces.try_send(piece);
        }
    }

    /// There is no more: whoever waits is told why.
    pub(super) fn fail(self, error: NetworkError) {
        match self {
            Self::Head(responder) => responder.fail(error),
            // Without an end it was cut off.
            Self::Body(_, cause) => cause.tell(error),
        }
    }
}

/// A body whose pieces come from the network process, which hears of each one that was taken.
struct RemoteBody {
    body: ChannelBody,
    id: u64,
    connection: Arc<Connection>,
}

impl BodyStream for RemoteBody {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        let polled = Pin::new(&mut self.body).poll_chunk(cx);
        if let Poll::Ready(Some(Ok(_))) = polled {
            self.connection.tell(ToNetwork::Taken { id: self.id });
        }
        polled
    }
}

impl Drop for RemoteBody {
    fn drop(&mut self) {
        if !self.body.is_over() {
            self.connection.tell(ToNetwork::Unwanted { id: self.id });
        }
    }
}
