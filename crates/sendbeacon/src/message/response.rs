//! The network side's end of a response to `fetch()`: it answers, or says why there is no answer.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use sendbeacon_fetch::{AbandonReason, NetworkError, Response, host::BodyStream};
use tokio::sync::{mpsc, oneshot};

/// Answers a `PendingResponse`.
pub(crate) struct Responder {
    sender: oneshot::Sender<Result<Response, NetworkError>>,
    cause: Cause,
}

impl Responder {
    pub(crate) fn new(
        sender: oneshot::Sender<Result<Response, NetworkError>>,
        cause: Cause,
    ) -> Self {
        Self { sender, cause }
    }

    /// The place where the `PendingResponse`, and the reader of its body, find why the fetch was given up.
    pub(crate) fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Answers with a response. False if the `PendingResponse` was dropped.
    pub(crate) fn succeed(self, response: Response) -> bool {
        self.sender.send(Ok(response)).is_ok()
    }

    /// Answers with an error.
    pub(crate) fn fail(self, error: NetworkError) {
        // The `PendingResponse` may have been dropped.
        let _ = self.sender.send(Err(error));
    }
}

/// Why a fetch was given up. The network side sets it before it drops the fetch's future, and the
/// `PendingResponse` and the reader of its body read it when their channels have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause(Arc<OnceLock<NetworkError>>);

impl Cause {
    pub(crate) fn tell(&self, error: NetworkError) {
        // The first error counts.
        let _ = self.0.set(error);
    }

    pub(crate) fn get(&self) -> NetworkError {
        self.0.get().cloned().unwrap_or(AbandonReason::CutOff.into())
    }
}

/// A piece of a response's body, for its reader. If the pieces stop without an `End`, the body was cut off.
pub(crate) enum Piece {
    Chunk(Result<Bytes, NetworkError>),
    End,
}

/// A response's body, whose pieces come from the network side over a channel.
pub(crate) struct ChannelBody {
    receiver: mpsc::Receiver<Piece>,
    cause: Cause,
    is_over: bool,
}

impl ChannelBody {
    pub(crate) fn new(receiver: mpsc::Receiver<Piece>, cause: Cause) -> Self {
        Self { receiver, cause, is_over: false }
    }

    /// Whether its reader has seen the end or an error.
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
