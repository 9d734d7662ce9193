//! The body of a request, and the time at which its last part was taken.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// How many bytes of a body hyper gets at a time. hyper copies a piece behind what it has not written
/// yet, and asks for no more while its buffer is full.
const PIECE: usize = 16 * 1024;

/// A whole request body, in the form that hyper reads.
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    /// When hyper last took a piece. `None` for a body of one piece.
    pub(crate) last_taken: Option<LastTaken>,
}

impl RequestBody {
    pub(crate) fn new(bytes: Bytes) -> Self {
        let last_taken = (bytes.len() > PIECE).then(LastTaken::now);
        Self { bytes, last_taken }
    }
}

/// When the server last took a piece of a body.
#[derive(Clone)]
pub(crate) struct LastTaken(Arc<Mutex<Instant>>);

impl LastTaken {
    pub(crate) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn set_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(length);
        // hyper asks for a piece when it has room, which means that it has written earlier pieces.
        self.last_taken.as_ref().inspect(|it| it.set_now());
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
