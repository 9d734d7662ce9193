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
    fetch::{Profile, fetch},
    host::{BodyStream, ResponseBody},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    FetchId,
    driver::{NetworkSide, Teller},
    fetch_group::Flag,
};

/// How much of a response body that nobody reads is drained to keep its connection, in bytes.
const DRAIN_LIMIT: usize = 65_536;

/// How much of a response body its reader is given while its document is in the back/forward cache,
/// in bytes; the chunk that exceeds it included.
const CACHED_LIMIT: usize = 65_536;

/// The response to a [`FetchGroup::fetch`](crate::FetchGroup::fetch), to be awaited on any runtime.
///
/// Dropping it, or the response's body, says that nobody is interested: a keepalive request goes on
/// all the same, any other is stopped. To stop either, see
/// [`FetchGroup::abort_fetch`](crate::FetchGroup::abort_fetch).
///
/// A body that is cut off, by whatever ended its fetch, ends with an error. While the document is in
/// the back/forward cache no more than about 64 KiB of a body arrive, and the rest when it is back;
/// when it has gone, a body that is not read at once is cut off.
#[derive(Debug)]
pub struct PendingResponse {
    id: FetchId,
    receiver: oneshot::Receiver<Result<Response, NetworkError>>,
    cause: Cause,
    /// Who is told that nobody waits any more, unless the responder is: another process.
    #[cfg(feature = "remote")]
    network_side: Option<NetworkSide>,
}

#[cfg(feature = "remote")]
impl Drop for PendingResponse {
    fn drop(&mut self) {
        if let Some(NetworkSide::There(connection)) = self.network_side.take() {
            connection.unwanted(self.id);
        }
    }
}

/// Why a fetch was given up, told before its future is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause(Arc<OnceLock<NetworkError>>);

impl Cause {
    pub(crate) fn tell(&self, error: NetworkError) {
        // The first is the one.
        let _ = self.0.set(error);
    }

    fn get(&self) -> NetworkError {
        self.0.get().cloned().unwrap_or(AbandonReason::CutOff.into())
    }
}

impl PendingResponse {
    /// The fetch, as events name it.
    #[must_use]
    pub fn id(&self) -> FetchId {
        self.id
    }
}

impl Future for PendingResponse {
    type Output = Result<Response, NetworkError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.receiver).poll(cx);
        #[cfg(feature = "remote")]
        if polled.is_ready() {
            self.network_side = None;
        }
        polled.map(|result| result.unwrap_or_else(|_| Err(self.cause.get())))
    }
}

/// The network side's end of a [`PendingResponse`].
pub(crate) struct Responder {
    sender: oneshot::Sender<Result<Response, NetworkError>>,
    pub(crate) cause: Cause,
}

impl Responder {
    #[cfg_attr(not(feature = "remote"), expect(unused_variables))]
    pub(crate) fn new(id: FetchId, network_side: &NetworkSide) -> (Self, PendingResponse) {
        let (sender, receiver) = oneshot::channel();
        let cause = Cause::default();
        let pending = PendingResponse {
            id,
            receiver,
            cause: cause.clone(),
            #[cfg(feature = "remote")]
            network_side: Some(network_side.clone()),
        };
        (Self { sender, cause }, pending)
    }

    /// False if nobody waits for it any more.
    pub(crate) fn succeed(self, response: Response) -> bool {
        self.sender.send(Ok(response)).is_ok()
    }

    pub(crate) fn fail(self, error: NetworkError) {
        // Whoever asked may have stopped waiting.
        let _ = self.sender.send(Err(error));
    }
}

/// Fetches `request` to the end of its response's body.
pub(crate) async fn run_fetch(
    profile: Arc<Profile>,
    teller: Arc<Teller>,
    request: Box<Request>,
    responder: Option<Responder>,
) -> Result<StatusCode, NetworkError> {
    if let Some(responder) = responder {
        // A beacon's future need not have room for it.
        return Box::pin(run_for(responder, profile, teller, request)).await;
    }
    let mut response = fetch(&profile, &*teller, request).await?;
    teller.timing().answered(&response);
    drain(&mut response.body, &teller).await;
    Ok(response.status)
}

/// Fetches `request` for somebody who waits for the response.
async fn run_for(
    mut responder: Responder,
    profile: Arc<Profile>,
    teller: Arc<Teller>,
    request: Box<Request>,
) -> Result<StatusCode, NetworkError> {
    let fetched = if request.keepalive {
        fetch(&profile, &*teller, request).await
    } else {
        tokio::select! {
            biased;
            fetched = fetch(&profile, &*teller, request) => fetched,
            () = responder.sender.closed() => return Err(AbandonReason::Unwanted.into()),
        }
    };
    match fetched {
        Ok(response) => {
            let status = response.status;
            teller.timing().answered(&response);
            hand_over(response, responder, &teller).await;
            Ok(status)
        }
        Err(error) => {
            responder.fail(error.clone());
            Err(error)
        }
    }
}

/// What a body's reader is given. Nothing more without an `End` is a body that was cut off.
pub(crate) enum Piece {
    Chunk(Result<Bytes, NetworkError>),
    End,
}

/// Gives the response to whoever waits for it, chunk by chunk as it is read.
async fn hand_over(mut response: Response, responder: Responder, teller: &Teller) {
    let keepalive = teller.info.keepalive;
    let (pieces, receiver) = mpsc::channel(4);
    let reader = ChannelBody::new(receiver, responder.cause.clone());
    let mut body = std::mem::replace(&mut response.body, Box::pin(reader));
    if responder.succeed(response) {
        let mut while_cached = 0;
        loop {
            if !teller.group.is_cached() {
                while_cached = 0;
            } else if while_cached >= CACHED_LIMIT {
                tokio::select! {
                    biased;
                    () = pieces.closed() => break,
                    () = teller.group.until(|group| !group.is_cached()) => continue,
                }
            }
            let piece = tokio::select! {
                biased;
                () = pieces.closed() => break,
                chunk = next_chunk(&mut body, teller) => chunk.map_or(Piece::End, Piece::Chunk),
            };
            if let Piece::Chunk(Ok(chunk)) = &piece {
                while_cached += chunk.len().max(1);
            }
            let is_last = !matches!(piece, Piece::Chunk(Ok(_)));
            let is_taken = tokio::select! {
                biased;
                sent = pieces.send(piece) => sent.is_ok(),
                () = teller.group.until(|group| group.is(Flag::Terminated)), if keepalive => false,
            };
            match (is_last, is_taken) {
                (true, _) => return,
                (false, true) => {}
                (false, false) => break,
            }
        }
    }
    if keepalive {
        drain(&mut body, teller).await;
    }
}

async fn next_chunk(
    body: &mut ResponseBody,
    teller: &Teller,
) -> Option<Result<Bytes, NetworkError>> {
    let chunk = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await;
    let length = chunk.as_ref().and_then(|chunk| chunk.as_ref().ok()).map_or(0, Bytes::len);
    teller.timing().read(length, body.encoded_size());
    chunk
}

/// Reads what nobody wants, up to the limit; an error no longer matters.
async fn drain(body: &mut ResponseBody, teller: &Teller) {
    let mut left = DRAIN_LIMIT;
    while let Some(Ok(chunk)) = next_chunk(body, teller).await {
        // An empty chunk counts, too: they may come for ever.
        match left.checked_sub(chunk.len().max(1)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

pub(crate) struct ChannelBody {
    receiver: mpsc::Receiver<Piece>,
    cause: Cause,
    is_over: bool,
}

impl ChannelBody {
    pub(crate) fn new(receiver: mpsc::Receiver<Piece>, cause: Cause) -> Self {
        Self { receiver, cause, is_over: false }
    }

    #[cfg(feature = "remote")]
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }
}

impl BodyStream for ChannelBody {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.receiver.poll_recv(cx).map(|piece| {
            let next = match piece {
                Some(Piece::Chunk(chunk)) => Some(chunk),
                Some(Piece::End) => None,
                None => Some(Err(self.cause.get())),
            };
            self.is_over = !matches!(next, Some(Ok(_)));
            next
        })
    }
}
