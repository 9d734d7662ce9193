//! Receiving the response to a `fetch()` from the network process.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::StatusCode;
use sendbeacon_fetch::{
    NetworkError, Response,
    host::{BodyStream, ResponseBody},
};
use tokio::sync::mpsc;

use crate::{
    message::{Cause, ChannelBody, Piece, Responder},
    remote::{
        limits::WINDOW,
        protocol::{ResponseFrame, ToNetwork},
    },
    request_frame::received,
};

/// The receiver of a response.
pub(super) enum Incoming {
    /// It waits for the head.
    Head(Responder),
    /// It waits for pieces of the body.
    Body(mpsc::Sender<Piece>, Cause),
}

impl Incoming {
    /// Receives the head, and returns the receiver of the body. `None` if the head makes no sense: the fetch has
    /// then failed. `tell` sends a frame to the network process.
    pub(super) fn response(
        self,
        id: u64,
        frame: ResponseFrame,
        tell: impl Fn(ToNetwork) + Send + Sync + Unpin + 'static,
    ) -> Option<Self> {
        let Self::Head(responder) = self else { return None };
        let status = StatusCode::from_u16(frame.status).ok();
        let urls = frame.url_list.iter().map(|url| received(url).ok());
        let parsed = status.zip(frame.headers.into_map().ok()).zip(urls.collect());
        let Some(((status, headers), url_list)) = parsed else {
            responder.fail(NetworkError::OtherProcess);
            return None;
        };
        // Room for the pieces of the window, and for the end.
        let (pieces, receiver) = mpsc::channel(WINDOW + 1);
        let cause = responder.cause().clone();
        let body = ChannelBody::new(receiver, cause.clone());
        let body: ResponseBody = Box::pin(RemoteBody { body, id, tell });
        let mut response = Response::new(frame.response_type, status, headers, url_list, body);
        response.status_message = frame.status_message.to_vec().into();
        response.timing_allow_passed = frame.timing_allow_passed;
        response.request_includes_credentials = frame.request_includes_credentials;
        response.range_requested = frame.range_requested;
        responder.succeed(response);
        Some(Self::Body(pieces, cause))
    }

    /// Receives a piece of the body.
    pub(super) fn piece(&self, piece: Piece) {
        if let Self::Body(pieces, _) = self {
            // There is room for every piece that the window allows. The reader may have been dropped.
            let _ = pieces.try_send(piece);
        }
    }

    /// Ends the response with an error.
    pub(super) fn fail(self, error: NetworkError) {
        match self {
            Self::Head(responder) => responder.fail(error),
            // The sender is dropped without an `End`, so the reader looks for the cause.
            Self::Body(_, cause) => cause.tell(error),
        }
    }
}

/// A body whose pieces come from the network process. It acknowledges each piece that its reader takes.
struct RemoteBody<F: Fn(ToNetwork)> {
    body: ChannelBody,
    id: u64,
    /// Sends a frame to the network process.
    tell: F,
}

impl<F: Fn(ToNetwork) + Send + Sync + Unpin + 'static> BodyStream for RemoteBody<F> {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        let polled = Pin::new(&mut self.body).poll_chunk(cx);
        if let Poll::Ready(Some(Ok(_))) = polled {
            (self.tell)(ToNetwork::Taken { id: self.id });
        }
        polled
    }
}

impl<F: Fn(ToNetwork)> Drop for RemoteBody<F> {
    fn drop(&mut self) {
        if !self.body.is_over() {
            (self.tell)(ToNetwork::Unwanted { id: self.id });
        }
    }
}
