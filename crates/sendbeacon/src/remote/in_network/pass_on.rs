//! Passing the response to a `fetch()` on to a content process.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use sendbeacon_fetch::{Response, ResponseType};
use tokio::sync::Semaphore;

use super::channel::{Channel, Credit};
use crate::{
    remote::{
        limits::MAX_PIECE,
        protocol::{ResponseFrame, ToContent},
    },
    request_frame::Headers,
    script::PendingResponse,
};

/// Passes a response on, as fast as the content process takes its pieces.
pub(super) async fn pass_on(
    id: u64,
    pending: PendingResponse,
    window: Arc<Semaphore>,
    channel: Arc<Channel>,
    credit: Arc<Credit>,
) {
    let end = match pending.await {
        Ok(response) => pass_on_response(id, response, &window, &channel).await,
        Err(_) => ToContent::Failed { id },
    };
    channel.tell(&end);
    // The frame that gives the credit back must come after the end.
    drop(credit);
}

/// Passes on the head and the pieces of a response, and returns the frame that ends it.
async fn pass_on_response(
    id: u64,
    mut response: Response,
    window: &Semaphore,
    channel: &Channel,
) -> ToContent {
    // The process of a script must not contain what the script may not see.
    let is_opaque =
        matches!(response.response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect);
    if is_opaque {
        response.status = StatusCode::OK;
        response.url_list.truncate(1);
    }
    let Some(headers) = Headers::new(&response.headers) else { return ToContent::Failed { id } };
    let head = ResponseFrame {
        response_type: response.response_type,
        status: response.status.as_u16(),
        status_message: Bytes::copy_from_slice(&response.status_message),
        headers,
        url_list: response.url_list.iter().map(|url| url.as_str().to_owned()).collect(),
        timing_allow_passed: response.timing_allow_passed,
        request_includes_credentials: response.request_includes_credentials,
        range_requested: response.range_requested,
    };
    if !channel.tell_in_turn(&ToContent::Response { id, response: head }).await {
        return ToContent::Failed { id };
    }
    while let Some(chunk) = response.chunk().await {
        let Ok(mut chunk) = chunk else { return ToContent::Failed { id } };
        while !is_opaque && !chunk.is_empty() {
            let bytes = chunk.split_to(chunk.len().min(MAX_PIECE));
            // The semaphore is never closed.
            if let Ok(permit) = window.acquire().await {
                permit.forget();
            }
            channel.tell_in_turn(&ToContent::Piece { id, bytes }).await;
        }
    }
    ToContent::End { id }
}
