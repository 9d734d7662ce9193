//! HTTP/2, by `h2` itself. hyper's client would spawn a task for every request, and hides whether a
//! server said that it did not process one.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::future::{Either, select};
use h2::{
    Ping, PingPong, Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::Response;
use sendbeacon_fetch::{AddressSpace, NetworkError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    task::AbortHandle,
    time::timeout,
};

use crate::{
    body::Progress,
    describe,
    lease::Http2Lease,
    request::{WireRequest, http2_request},
};

/// The largest head of a response, as HTTP/2 counts: every header is its name, its value and 32
/// bytes.
const MAX_RESPONSE_HEAD: u32 = 64 * 1024;

/// The most headers of a response: hyper's limit for HTTP/1.1.
const MAX_HEADERS: usize = 100;

/// How many requests may be under way on a connection, if the server allows as many. Each may have a
/// body that the server does not take.
const MAX_STREAMS: usize = 128;

/// How many bytes of responses a server may have under way that nobody has read yet: those of
/// [`MAX_STREAMS`] at 64 KiB each. A body that is not read must not hold up the other streams.
const CONNECTION_WINDOW: u32 = 128 * 65_535;

/// How many bytes of bodies a connection is given at once, whether the server has a window for them or
/// not: at least the body of a keepalive request. What is beyond waits for a window.
const MAX_AT_ONCE: usize = 64 * 1024;

/// How many bytes of bodies a connection may hold and take another request. A server has opened its
/// windows wide, and reads nothing.
const MAX_UNWRITTEN: usize = 8 << 20;

/// How long a server may take for the rest of a request whose response is over.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to acknowledge a PING on a connection that was idle.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// An open HTTP/2 connection, shared by its requests. Dropping it closes it, whatever is still under
/// way.
pub(crate) struct Http2Connection {
    sender: SendRequest<Part>,
    /// How many bytes of request bodies `h2` has that are not written yet.
    unwritten: Arc<AtomicUsize>,
    /// Used by one request at a time: the pool gives a doubtful connection to nobody else.
    pings: Mutex<Option<PingPong>>,
    /// Where its other end is, if that is known.
    pub(crate) address_space: Option<AddressSpace>,
    /// The task that owns the socket.
    task: AbortHandle,
}

/// Why a request has no response.
pub(crate) enum Failure {
    /// The server cannot have acted on it.
    Unprocessed(NetworkError),
    /// The server may have acted on it, or it cannot be sent at all.
    Final(NetworkError),
}

impl Http2Connection {
    pub(crate) async fn open<S>(
        stream: S,
        address_space: Option<AddressSpace>,
    ) -> Result<Self, NetworkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, mut connection) = client::Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_RESPONSE_HEAD)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream)
            .await
            .map_err(|error| protocol_error(&error))?;
        let pings = Mutex::new(connection.ping_pong());
        let task = tokio::spawn(async move {
            // An error reaches whoever waits for a response; on an idle connection it is nobody's.
            let _: Result<(), h2::Error> = connection.await;
        })
        .abort_handle();
        Ok(Self { sender, unwritten: Arc::default(), pings, address_space, task })
    }

    /// Whether its socket is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.task.is_finished()
    }

    /// How many requests may be under way at a time; at least one, so that there is one to see that
    /// the server allows none.
    pub(crate) fn max_streams(&self) -> usize {
        self.sender.current_max_send_streams().clamp(1, MAX_STREAMS)
    }

    /// Whether it takes another request: it is open, no GOAWAY has come, and what was given to it before
    /// is not stuck in it.
    pub(crate) async fn is_ready(&self) -> bool {
        self.unwritten.load(Relaxed) <= MAX_UNWRITTEN && self.sender.clone().ready().await.is_ok()
    }

    /// Whether the server still answers: it acknowledges a PING.
    pub(crate) async fn answers(&self) -> bool {
        let mut is_sent = false;
        let answer = poll_fn(|cx| {
            let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(pings) = &mut *pings else { return Poll::Ready(false) };
            if !is_sent {
                is_sent = true;
                // An answer to somebody who has given up waiting says nothing of now.
                let _ = pings.poll_pong(cx);
                // It fails while that answer is still to come, which will do.
                let _ = pings.send_ping(Ping::opaque());
            }
            pings.poll_pong(cx).map(|answer| answer.is_ok())
        });
        timeout(PING_TIMEOUT, answer).await.unwrap_or(false)
    }

    /// Gives the request to the connection's task, with its body if not much of others is there already:
    /// what the server has no window for `h2` holds for as long as the connection is open.
    pub(crate) fn send(
        &self,
        request: &WireRequest,
    ) -> Result<(ResponseFuture, Option<Box<Upload>>), Failure> {
        let (head, body) = http2_request(request).map_err(Failure::Final)?;
        let (answer, mut stream) = self
            .sender
            .clone()
            .send_request(head, body.is_empty())
            // Nothing of it was queued. If the connection is at fault, another may do.
            .map_err(|error| {
                if error.is_io() || error.is_go_away() {
                    Failure::Unprocessed(protocol_error(&error))
                } else {
                    Failure::Final(protocol_error(&error))
                }
            })?;
        if body.is_empty() {
            return Ok((answer, None));
        }
        if body.len().saturating_add(self.unwritten.load(Relaxed)) > MAX_AT_ONCE {
            stream.reserve_capacity(body.len());
            let (unwritten, progress) = (self.unwritten.clone(), Progress::new());
            return Ok((answer, Some(Box::new(Upload { stream, body, unwritten, progress }))));
        }
        // It fails where the stream is over already, and then the answer says how.
        let _: Result<(), h2::Error> = stream.send_data(Part::new(body, &self.unwritten), true);
        Ok((answer, None))
    }
}

/// The rest of a request's body, which the server has yet to open its window for. Dropped before the
/// response is over, it resets the stream.
pub(crate) struct Upload {
    stream: SendStream<Part>,
    body: Bytes,
    unwritten: Arc<AtomicUsize>,
    pub(crate) progress: Progress,
}

impl Upload {
    /// Sends what there is a window for. `None` is left once that is all, or the stream is over.
    pub(crate) fn poll_send(upload: &mut Option<Box<Self>>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(Self { stream, body, unwritten, progress }) = upload.as_deref_mut() {
            let mut is_open = false;
            if let Some(Ok(capacity)) = ready!(stream.poll_capacity(cx)) {
                let part = body.split_to(capacity.min(body.len()));
                progress.taken_now();
                // It fails where the stream is over, and then the answer says how.
                is_open = stream.send_data(Part::new(part, unwritten), body.is_empty()).is_ok();
            }
            if body.is_empty() || !is_open {
                *upload = None;
            }
        }
        Poll::Ready(())
    }
}

/// Use of a connection by a response that is read. Dropped before [`end`](Self::end), it resets the stream.
pub(crate) enum Reading {
    Alone {
        _lease: Http2Lease,
    },
    /// The rest of the request is still sent, by a task that has the lease and waits for this.
    BesideUpload(oneshot::Sender<()>),
}

impl Reading {
    /// Sends the rest of the request whether its response is read or not: others wait for the windows that it
    /// has.
    pub(crate) fn begin(mut upload: Option<Box<Upload>>, lease: Http2Lease) -> Self {
        if upload.is_none() {
            return Self::Alone { _lease: lease };
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
                upload.stream.send_reset(Reason::CANCEL);
            }
            drop((upload, lease));
        });
        Self::BesideUpload(sender)
    }

    /// The response is over. What is left of the request is sent behind it, unless the server does not take it
    /// for long. The stream is in use until then.
    pub(crate) fn end(self) {
        if let Self::BesideUpload(is_over) = self {
            // If there is no task, its runtime has gone, and the connection with it.
            let _ = is_over.send(());
        }
    }
}

impl Drop for Http2Connection {
    fn drop(&mut self) {
        // Without this a server that reads nothing would keep it open.
        self.task.abort();
    }
}

/// A part of a request's body, which counts until it is written or its stream is over.
struct Part {
    bytes: Bytes,
    length: usize,
    unwritten: Arc<AtomicUsize>,
}

impl Part {
    fn new(bytes: Bytes, unwritten: &Arc<AtomicUsize>) -> Self {
        let length = bytes.len();
        unwritten.fetch_add(length, Relaxed);
        Self { bytes, length, unwritten: unwritten.clone() }
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.unwritten.fetch_sub(self.length, Relaxed);
    }
}

/// The head of a response, once it is found to be within the limits.
pub(crate) fn checked<B>(answer: Result<Response<B>, h2::Error>) -> Result<Response<B>, Failure> {
    match answer {
        Ok(response) if response.headers().len() > MAX_HEADERS => {
            let text = format!("the response has more than {MAX_HEADERS} headers");
            Err(Failure::Final(NetworkError::Protocol(text.into())))
        }
        Ok(response) => Ok(response),
        Err(error) if is_unprocessed(&error) => Err(Failure::Unprocessed(protocol_error(&error))),
        Err(error) => Err(Failure::Final(protocol_error(&error))),
    }
}

/// Whether the server says by `error` that it has not acted on the request
/// ([RFC 9113, section 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)).
///
/// A GOAWAY is given by `h2` only to the streams above the last one it names; the others go on.
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

pub(crate) fn protocol_error(error: &h2::Error) -> NetworkError {
    NetworkError::Protocol(describe(error).into())
}
