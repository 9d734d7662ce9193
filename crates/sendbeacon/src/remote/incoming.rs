//! The response to a `fetch()` as it comes from the network process.

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

use super::{
    limits::WINDOW,
    protocol::{ResponseFrame, ToNetwork, received},
};
use crate::message::{Cause, ChannelBody, Piece, Responder};

/// Where the parts of a response go as they come.
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
        // The window, and the end.
        let (pieces, receiver) = mpsc::channel(WINDOW + 1);
        let cause = responder.cause().clone();
        let body = ChannelBody::new(receiver, cause.clone());
        let body: ResponseBody = Box::pin(RemoteBody { body, id, tell });
        let mut response = Response::new(frame.response_type, status, headers, url_list, body);
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
struct RemoteBody<F: Fn(ToNetwork)> {
    body: ChannelBody,
    id: u64,
    /// Tells the network process.
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
