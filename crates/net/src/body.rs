use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use sendbeacon_fetch::{NetworkError, host::BodyStream};
use tokio::time::Instant;

use crate::{
    http2::{self, Reading},
    lease::Http1Lease,
    protocol_error,
};

/// How much of a request's body hyper takes at a time, in bytes: it copies that behind what is still
/// unwritten, and takes no more while its buffer is full.
const PIECE: usize = 16 * 1024;

/// A request body, whole.
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    /// Kept of those that are sent in pieces.
    pub(crate) progress: Option<Progress>,
}

impl RequestBody {
    pub(crate) fn new(bytes: Bytes) -> Self {
        let progress = (bytes.len() > PIECE).then(Progress::new);
        Self { bytes, progress }
    }
}

/// When a server last took a piece of a request body.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn taken_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last_taken(&self) -> Instant {
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
        // hyper asks for a piece when it has room for it, as what came before was written.
        self.progress.as_ref().inspect(|progress| progress.taken_now());
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// A response body on HTTP/1.1, which holds its connection until the end of the body gives it back.
///
/// Dropped earlier, it takes the connection with it: what is left of the body would have to be
/// read before the connection is of use again, and may never come.
pub(crate) struct Http1Body {
    incoming: Incoming,
    /// `None` once the body is over.
    lease: Option<Http1Lease>,
}

impl Http1Body {
    pub(crate) fn new(incoming: Incoming, lease: Http1Lease) -> Self {
        Self { incoming, lease: Some(lease) }
    }
}

impl BodyStream for Http1Body {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        while self.lease.is_some() {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                // Trailers are passed over: Fetch has no use for them.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(error)) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(protocol_error(&error))));
                }
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.give_back();
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

/// A response body on HTTP/2. Dropped before its end, it resets its stream and nothing else.
pub(crate) struct Http2Body {
    stream: RecvStream,
    /// `None` once the body is over.
    reading: Option<Reading>,
}

impl Http2Body {
    pub(crate) fn new(stream: RecvStream, reading: Reading) -> Self {
        Self { stream, reading: Some(reading) }
    }
}

impl BodyStream for Http2Body {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        if self.reading.is_none() {
            return Poll::Ready(None);
        }
        // Trailers are not asked for: Fetch has no use for them.
        let chunk = ready!(self.stream.poll_data(cx)).map(|chunk| {
            let chunk = chunk?;
            self.stream.flow_control().release_capacity(chunk.len())?;
            Ok(chunk)
        });
        if !matches!(chunk, Some(Ok(_)))
            && let Some(reading) = self.reading.take()
        {
            reading.end();
        }
        Poll::Ready(chunk.map(|chunk| chunk.map_err(|error| http2::protocol_error(&error))))
    }
}
