//! An HTTP/2 connection, by h2.
//!
//! hyper's client spawns a task for every request, and does not tell whether a server said that it did
//! not process a request.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use h2::{
    Ping, PingPong, Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::{Request, Response};
use sendbeacon_fetch::{AddressSpace, NetworkError, host::ResponseInfo};
use tokio::{task::AbortHandle, time::timeout};

use crate::{
    counted_stream::{CountedStream, Traffic},
    error::http2_error,
    request_body::LastTaken,
    resend::{Failure, is_ended_by_peer},
    response_head::MAX_HEADERS,
    send_queue::SendQueue,
    stream::BoxedStream,
};

/// The largest head of a response. HTTP/2 counts each header as its name, its value and 32 bytes.
const MAX_RESPONSE_HEAD: u32 = 256 * 1024;

/// How many requests may be under way on a connection, if the server allows as many. Each of them may
/// have a body that the server does not take.
const MAX_STREAMS: usize = 128;

/// How many bytes of unread responses a server may send: 64 KiB for each of [`MAX_STREAMS`]. A body
/// without a reader must not hold up the other streams.
const CONNECTION_WINDOW: u32 = 128 * 65_535;

/// How many bytes of request bodies h2 may hold before a further body waits for the server's window. A
/// body of a keepalive request fits.
const MAX_AT_ONCE: usize = 64 * 1024;

/// How many bytes of request bodies h2 may hold before the connection takes no further request. More
/// than this means that the server opened its windows wide and reads nothing.
const MAX_UNWRITTEN: usize = 8 << 20;

/// How long a server may take to acknowledge a PING on a connection that was idle.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// An open HTTP/2 connection, shared by its requests. Dropping it closes it at once, whatever is still
/// under way.
pub(crate) struct Http2Connection {
    sender: SendRequest<Part>,
    /// Whether the server has answered a request on the connection.
    pub(crate) has_answered: AtomicBool,
    /// How many response bodies on it were not read to their end.
    pub(crate) cut_bodies: AtomicUsize,
    traffic: Arc<Traffic>,
    /// Locked by one request at a time: the pool gives a doubted connection to one request only.
    pings: Mutex<Option<PingPong>>,
    /// The address space of the server, if it is known.
    pub(crate) address_space: Option<AddressSpace>,
    /// What is told of each response.
    pub(crate) info: Arc<ResponseInfo>,
    /// Where to ask what the server has acknowledged, if that is known.
    pub(crate) send_queue: Option<Box<SendQueue>>,
    /// The task that owns the socket.
    task: AbortHandle,
}

impl Http2Connection {
    pub(crate) async fn open(
        stream: BoxedStream,
        address_space: Option<AddressSpace>,
    ) -> Result<Self, NetworkError> {
        let traffic = Arc::<Traffic>::default();
        let stream = CountedStream { stream, traffic: Arc::clone(&traffic) };
        let (sender, mut connection) = client::Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_RESPONSE_HEAD)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream)
            .await
            .map_err(http2_error)?;
        let pings = Mutex::new(connection.ping_pong());
        let task = tokio::spawn(async move {
            // The request that waits for a response gets the error. On an idle connection no request waits.
            let _: Result<(), h2::Error> = connection.await;
        })
        .abort_handle();
        Ok(Self {
            sender,
            has_answered: AtomicBool::new(false),
            cut_bodies: AtomicUsize::new(0),
            traffic,
            pings,
            address_space,
            info: Arc::default(),
            send_queue: None,
            task,
        })
    }

    /// Whether the socket is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.task.is_finished()
    }

    /// How many bytes the server has sent. As long as the number is the same, no frame has come.
    pub(crate) fn received(&self) -> usize {
        self.traffic.received.load(Relaxed)
    }

    /// Whether everything that h2 was given of request bodies was given to the system.
    pub(crate) fn is_written(&self) -> bool {
        // In this order: a body that is no longer held has first become unflushed.
        self.traffic.unwritten.load(SeqCst) == 0 && self.traffic.is_flushed.load(SeqCst)
    }

    /// How many requests may be under way at a time.
    ///
    /// At least one, even if the server allows none: otherwise no request would find that out.
    pub(crate) fn max_streams(&self) -> usize {
        self.sender.current_max_send_streams().clamp(1, MAX_STREAMS)
    }

    /// Whether the connection takes another request: it is open, the server has sent no GOAWAY, and
    /// earlier bodies are not stuck in it.
    pub(crate) async fn is_ready(&self) -> bool {
        self.traffic.unwritten.load(Relaxed) <= MAX_UNWRITTEN
            && self.sender.clone().ready().await.is_ok()
    }

    /// Whether the server acknowledges a PING.
    pub(crate) async fn answers(&self) -> bool {
        let mut is_sent = false;
        let answer = poll_fn(|cx| {
            let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(pings) = &mut *pings else { return Poll::Ready(false) };
            if !is_sent {
                is_sent = true;
                // Takes an acknowledgement that an earlier request no longer waits for. It says nothing
                // of the server's state now.
                let _ = pings.poll_pong(cx);
                // Fails while an earlier PING is not acknowledged. Its acknowledgement then counts.
                let _ = pings.send_ping(Ping::opaque());
            }
            pings.poll_pong(cx).map(|answer| answer.is_ok())
        });
        timeout(PING_TIMEOUT, answer).await.unwrap_or(false)
    }

    /// Gives a request to the connection's task.
    ///
    /// The body goes with the head unless the connection already holds much of other bodies. Then the
    /// body is returned as an [`Upload`]: h2 would hold it for as long as the connection is open, if the
    /// server had no window for it.
    pub(crate) fn send(
        &self,
        head: Request<()>,
        body: Bytes,
    ) -> Result<(ResponseFuture, Option<Box<Upload>>), Failure> {
        let (answer, mut stream) =
            self.sender.clone().send_request(head, body.is_empty()).map_err(|error| {
                // Nothing was queued. If the connection is at fault, another connection may do.
                if error.is_io() || error.is_go_away() {
                    Failure::Unwritten(http2_error(error))
                } else {
                    Failure::Final(http2_error(error))
                }
            })?;
        if body.is_empty() {
            return Ok((answer, None));
        }
        if body.len().saturating_add(self.traffic.unwritten.load(Relaxed)) > MAX_AT_ONCE {
            stream.reserve_capacity(body.len());
            let (traffic, last_taken) = (Arc::clone(&self.traffic), LastTaken::now());
            return Ok((answer, Some(Box::new(Upload { stream, body, traffic, last_taken }))));
        }
        // Fails if the stream is already over. Then the answer says how it ended.
        let _: Result<(), h2::Error> = stream.send_data(Part::new(body, &self.traffic), true);
        Ok((answer, None))
    }
}

impl Drop for Http2Connection {
    fn drop(&mut self) {
        // Without this, a server that reads nothing would keep the connection open.
        self.task.abort();
    }
}

/// The rest of a request's body, which waits for the server's window. Dropping it before the response is
/// over resets the stream.
pub(crate) struct Upload {
    stream: SendStream<Part>,
    body: Bytes,
    traffic: Arc<Traffic>,
    pub(crate) last_taken: LastTaken,
}

impl Upload {
    /// Sends as much as the server's window allows. Leaves `None` when everything is sent or the stream
    /// is over.
    pub(crate) fn poll_send(upload: &mut Option<Box<Self>>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(Self { stream, body, traffic, last_taken }) = upload.as_deref_mut() {
            let mut is_open = false;
            if let Some(Ok(capacity)) = ready!(stream.poll_capacity(cx)) {
                let part = body.split_to(capacity.min(body.len()));
                last_taken.set_now();
                // Fails if the stream is over. Then the answer says how it ended.
                is_open = stream.send_data(Part::new(part, traffic), body.is_empty()).is_ok();
            }
            if body.is_empty() || !is_open {
                *upload = None;
            }
        }
        Poll::Ready(())
    }

    /// Tells the server that the rest of the body will not come.
    pub(crate) fn cancel(&mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }
}

/// A part of a request's body. It counts as unwritten until h2 has written it or its stream is over.
struct Part {
    bytes: Bytes,
    length: usize,
    traffic: Arc<Traffic>,
}

impl Part {
    fn new(bytes: Bytes, traffic: &Arc<Traffic>) -> Self {
        let length = bytes.len();
        traffic.unwritten.fetch_add(length, SeqCst);
        Self { bytes, length, traffic: Arc::clone(traffic) }
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
        // h2 may hold a copy until the next flush.
        self.traffic.is_flushed.store(false, SeqCst);
        self.traffic.unwritten.fetch_sub(self.length, SeqCst);
    }
}

/// Checks the head of a response against the limits, and sorts errors by whether the request may be sent
/// again.
pub(crate) fn checked<B>(answer: Result<Response<B>, h2::Error>) -> Result<Response<B>, Failure> {
    match answer {
        Ok(response) if response.headers().len() > MAX_HEADERS => {
            let text = format!("the response has more than {MAX_HEADERS} headers");
            Err(Failure::Final(NetworkError::Protocol(text.into())))
        }
        Ok(response) => Ok(response),
        Err(error) if is_http1_required(&error) => Err(Failure::Http1Required(http2_error(error))),
        Err(error) if is_unprocessed(&error) => Err(Failure::Unprocessed(http2_error(error))),
        Err(error) => {
            let is_io = error.is_io();
            let reason = http2_error(error);
            let is_lost = is_io && is_ended_by_peer(&reason);
            Err(if is_lost { Failure::Lost(reason) } else { Failure::Final(reason) })
        }
    }
}

/// Whether the server says by `error` that it has not acted on the request
/// ([RFC 9113, section 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)).
///
/// h2 gives a GOAWAY only to the streams above the last one that it names. The other streams go on.
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Whether the server says by `error` that it wants the request over HTTP/1.1
/// ([RFC 9113, section 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)).
fn is_http1_required(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_reset() || error.is_go_away())
        && error.reason() == Some(Reason::HTTP_1_1_REQUIRED)
}
