//! The bodies of responses, which hold their connection or their stream.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use h2::RecvStream;
use hyper::body::{Body, Incoming};
use sendbeacon_fetch::{NetworkError, host::BodyStream};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    error::{http1_error, http2_error},
    http2::Upload,
    pool::lease::{Http1Lease, Http2Lease},
};

/// How long a server may take for the rest of a request whose response is over.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bodies on one HTTP/2 connection may be left before their end. h2 ends a connection after 1,024 streams that it
/// has reset for a fault of the peer, such as a frame on a stream that is over.
const MAX_CUT_BODIES: usize = 256;

/// A response body on HTTP/1.1. It holds its connection until its end, and then gives it back.
///
/// Dropping it earlier closes the connection: no other request could use the connection before the rest of
/// the body was read, and the rest may never come.
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
                // Frames without data are trailers. Fetch has no use for them.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(error)) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(http1_error(error))));
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

/// A response body on HTTP/2. Dropping it before its end resets its stream and nothing else.
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
        // Does not ask for trailers. Fetch has no use for them.
        let chunk: Option<Result<_, h2::Error>> = ready!(self.stream.poll_data(cx)).map(|chunk| {
            let chunk = chunk?;
            self.stream.flow_control().release_capacity(chunk.len())?;
            Ok(chunk)
        });
        if !matches!(chunk, Some(Ok(_)))
            && let Some(reading) = self.reading.take()
        {
            if matches!(&chunk, Some(Err(error)) if error.is_library()) {
                reading.count_cut();
            }
            reading.end();
        }
        Poll::Ready(chunk.map(|chunk| chunk.map_err(http2_error)))
    }
}

impl Drop for Http2Body {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.count_cut();
        }
    }
}

/// The use of an HTTP/2 connection while a response is read. Dropping it before [`end`](Self::end)
/// resets the stream.
pub(crate) enum Reading {
    /// The whole request is sent.
    Alone { lease: Http2Lease },
    /// A task still sends the rest of the request. It has the lease, and waits for this message.
    BesideUpload(oneshot::Sender<()>),
}

impl Reading {
    /// Counts a body that was left before its end, or that breaks HTTP/2. With too many of these on one connection, h2
    /// ends it, and all other requests on it fail. So the connection takes no further requests before that.
    fn count_cut(&self) {
        if let Self::Alone { lease } = self
            && lease.connection.cut_bodies.fetch_add(1, Relaxed) >= MAX_CUT_BODIES
        {
            lease.retire();
        }
    }

    /// Begins to read a response. If there is an upload, spawns a task that sends the rest of the upload. The
    /// task runs even if the response has no reader, because other streams wait for the windows that the
    /// upload holds.
    pub(crate) fn begin(mut upload: Option<Box<Upload>>, lease: Http2Lease) -> Self {
        if upload.is_none() {
            return Self::Alone { lease };
        }
        let (sender, mut is_over) = oneshot::channel();
        tokio::spawn(async move {
            let mut sent = poll_fn(|cx| Upload::poll_send(&mut upload, cx));
            match select(&mut sent, &mut is_over).await {
                Either::Left(_) => drop(is_over.await),
                Either::Right((Ok(()), _)) => drop(timeout(FINISH_TIMEOUT, sent).await),
                Either::Right((Err(_), _)) => {}
            }
            if let Some(upload) = &mut upload {
                upload.cancel();
            }
            drop((upload, lease));
        });
        Self::BesideUpload(sender)
    }

    /// Ends the reading of a response that is over. If a task still sends the rest of the request, it has
    /// [`FINISH_TIMEOUT`] to finish. The stream is in use until then.
    pub(crate) fn end(self) {
        if let Self::BesideUpload(is_over) = self {
            // Fails if the runtime of the task is gone. Then the connection is gone with it.
            let _ = is_over.send(());
        }
    }
}
