//! Running one fetch to the end of its response, and handing that to whoever waits for it.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use sendbeacon_fetch::{
    AbandonReason, NetworkError, Request, Response,
    fetch::{Observer, Profile, fetch},
    host::{BodyStream, ResponseBody},
};
use tokio::sync::{mpsc, oneshot};

/// How much of a response body that nobody reads is drained to keep its connection, in bytes.
const DRAIN_LIMIT: usize = 65_536;

/// The response to a [`FetchGroup::fetch`](crate::FetchGroup::fetch), to be awaited on any runtime.
///
/// Dropping it, or the response's body, says that nobody is interested: a keepalive request goes on
/// all the same, any other is stopped.
#[derive(Debug)]
pub struct PendingResponse(oneshot::Receiver<Result<Response, NetworkError>>);

impl Future for PendingResponse {
    type Output = Result<Response, NetworkError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|result| result.unwrap_or(Err(AbandonReason::Dropped.into())))
    }
}

/// The network side's end of a [`PendingResponse`].
pub(crate) struct Responder(oneshot::Sender<Result<Response, NetworkError>>);

impl Responder {
    pub(crate) fn new() -> (Self, PendingResponse) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), PendingResponse(receiver))
    }

    pub(crate) fn fail(self, error: NetworkError) {
        // Whoever asked may have stopped waiting.
        let _ = self.0.send(Err(error));
    }
}

/// Fetches `request` to the end of its response's body, and sets `answered` when its head is there.
pub(crate) async fn run_fetch(
    profile: Arc<Profile>,
    observer: impl Observer,
    request: Request,
    responder: Option<Responder>,
    answered: Arc<OnceLock<StatusCode>>,
) -> Result<StatusCode, NetworkError> {
    let keepalive = request.keepalive;
    let Some(mut responder) = responder else {
        let mut response = fetch(&profile, &observer, request).await?;
        let status = *answered.get_or_init(|| response.status);
        drain(&mut response.body).await;
        return Ok(status);
    };
    let fetched = if keepalive {
        fetch(&profile, &observer, request).await
    } else {
        tokio::select! {
            biased;
            fetched = fetch(&profile, &observer, request) => fetched,
            () = responder.0.closed() => return Err(AbandonReason::Unwanted.into()),
        }
    };
    match fetched {
        Ok(response) => {
            let status = *answered.get_or_init(|| response.status);
            hand_over(response, responder, keepalive).await;
            Ok(status)
        }
        Err(error) => {
            responder.fail(error.clone());
            Err(error)
        }
    }
}

/// Gives the response to whoever waits for it, chunk by chunk as it is read.
async fn hand_over(mut response: Response, responder: Responder, keepalive: bool) {
    let (chunks, receiver) = mpsc::channel(4);
    let mut body = std::mem::replace(&mut response.body, Box::pin(ChannelBody(receiver)));
    let mut is_wanted = responder.0.send(Ok(response)).is_ok();
    while is_wanted {
        let Some(chunk) = next_chunk(&mut body).await else { return };
        is_wanted = chunks.send(chunk).await.is_ok();
    }
    if keepalive {
        drain(&mut body).await;
    }
}

async fn next_chunk(body: &mut ResponseBody) -> Option<Result<Bytes, NetworkError>> {
    poll_fn(|cx| body.as_mut().poll_chunk(cx)).await
}

/// Reads what nobody wants, up to the limit; an error no longer matters.
async fn drain(body: &mut ResponseBody) {
    let mut left = DRAIN_LIMIT;
    while let Some(Ok(chunk)) = next_chunk(body).await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

struct ChannelBody(mpsc::Receiver<Result<Bytes, NetworkError>>);

impl BodyStream for ChannelBody {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        self.0.poll_recv(cx)
    }
}
