//! The network, its requests and its responses.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use url::Url;

use super::{answer::BoxFuture, transmission::Transmission};
use crate::{Client, NetworkError, PartitionKey};

/// Sends one HTTP request and receives its response: the network under
/// [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch).
///
/// `sendbeacon-net` has the default implementation. An engine with a network stack of its own implements
/// one method. The [crate page](crate) has an example.
pub trait Network: Send + Sync {
    /// Sends `request` and completes with the head of the final response (not a 1xx response).
    ///
    /// The implementation
    /// * writes the headers, adds only those of the connection (`Connection`, `TE`, ...), and sends `Host` as
    ///   `:authority` on HTTP/2. It may write headers of one name as one, with the values joined by a comma
    ///   and a space;
    /// * does not follow redirects, store cookies or decode content;
    /// * uses a connection only for requests of the same [`ConnectionKey`] and origin;
    /// * makes the [Local Network Access check](crate::local_network_access_check) for the request's client
    ///   and the connection's address;
    /// * fails with an error that [is unreached](NetworkError::is_unreached) only if no byte of the request was sent,
    ///   because the library may then send it again;
    /// * sends a request at most once, except where the server cannot have acted on any byte of it, where its method
    ///   is safe, such as GET, or where nobody [awaits](NetworkRequest::is_awaited) the response. If nobody does, it may
    ///   send the request once more when the server has ended a connection that had served earlier requests, and no
    ///   byte of an answer had come. It [reports](Transmission::sent_again) that;
    /// * may [report](Transmission::report) how far the request has got. If it does not, a request without an answer
    ///   counts as sent [in part](super::Progress::InPart).
    ///
    /// The library abandons the request by dropping the future, or the response's body before its end. The
    /// implementation then resets the HTTP/2 stream, or does not reuse the HTTP/1.1 connection.
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>>;

    /// The machine has moved to another network: use no earlier connection for further requests.
    fn network_changed(&self) {}

    /// Whether the network waits for [`Transmission::before_writing`] before it writes the first byte of a request. If
    /// it does not, a request counts as written from the moment that the network is given it, and an
    /// [`Outbox`](super::Outbox) that sends only what was not written keeps less. Default: false.
    fn waits_before_writing(&self) -> bool {
        false
    }
}

/// A request as it goes to the wire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NetworkRequest {
    /// Method.
    pub method: Method,
    /// Absolute `http` or `https` URL. The fragment and the credentials are not sent.
    pub url: Arc<Url>,
    /// All headers of the request, without those of the connection. A request of a fetch has `Host` first.
    pub headers: Arc<HeaderMap>,
    /// The whole body. The headers already have its `Content-Length`.
    pub body: Bytes,
    /// The connections that the request may use.
    pub connection: ConnectionKey,
    /// The client of the request. `None`: a request of the engine itself, such as a navigation.
    pub client: Option<Arc<Client>>,
    /// Whether to make a new connection, because the last one led to the wrong server (421). Default:
    /// false.
    pub force_new_connection: bool,
    /// How long connecting may take, if that is less than what the network allows. Connecting includes name
    /// resolution and the TLS handshake. Default: `None`.
    pub connect_timeout: Option<Duration>,
    /// Whether somebody waits for the response. Nobody waits for that of a beacon, a ping, a report or a deferred
    /// fetch. Default: true.
    pub is_awaited: bool,
    /// Where to report how far the request has got. Default: nowhere.
    pub transmission: Transmission,
}

impl NetworkRequest {
    /// A request without headers, body and client, on any connection of this key.
    #[must_use]
    pub fn new(method: Method, url: Url, connection: ConnectionKey) -> Self {
        Self {
            method,
            url: Arc::new(url),
            headers: Arc::default(),
            body: Bytes::new(),
            connection,
            client: None,
            force_new_connection: false,
            connect_timeout: None,
            is_awaited: true,
            transmission: Transmission::default(),
        }
    }

    /// Sets the headers.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = Arc::new(headers);
        self
    }

    /// The headers, to change them. If they are shared, this copies them first.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        Arc::make_mut(&mut self.headers)
    }

    /// Sets the body. The caller adds `Content-Length` to the headers.
    #[must_use]
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Sets the client.
    #[must_use]
    pub fn with_client(mut self, client: Arc<Client>) -> Self {
        self.client = Some(client);
        self
    }
}

/// The key of a [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool), without the
/// origin: two requests to one origin may share a connection if their keys are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConnectionKey {
    /// The client's network partition key.
    pub partition: PartitionKey,
    /// Whether the request includes credentials.
    pub credentials: bool,
}

impl ConnectionKey {
    /// The key of requests in `partition` with or without credentials.
    #[must_use]
    pub fn new(partition: PartitionKey, credentials: bool) -> Self {
        Self { partition, credentials }
    }
}

/// The head of a response, and its body, which is still to be read.
#[non_exhaustive]
pub struct NetworkResponse {
    /// Status, 200 to 999.
    pub status: StatusCode,
    /// Headers, with the values that the server sent.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
    /// The version of HTTP, if the network tells it, for developer tools and timing. Default: `None`.
    pub version: Option<Version>,
    /// What else the network tells. `None` means the defaults. Default: `None`.
    pub info: Option<Arc<ResponseInfo>>,
}

impl NetworkResponse {
    /// A response that tells neither its version of HTTP nor any [`ResponseInfo`].
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap, body: ResponseBody) -> Self {
        Self { status, headers, body, version: None, info: None }
    }
}

impl fmt::Debug for NetworkResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("version", &self.version)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// What a network tells about a response for script, developer tools and Resource Timing. No step of a fetch depends on
/// it.
///
/// It is shared in [`NetworkResponse::info`], because the responses of a connection often have the same.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResponseInfo {
    /// [Status message](https://fetch.spec.whatwg.org/#concept-response-status-message): the reason phrase of HTTP/1.1.
    /// Default: empty, as in HTTP/2.
    pub status_message: Cow<'static, [u8]>,
    /// When the connection of the response was made, if the network tells it. The time is before that of the request if
    /// the connection was used before. Default: `None`.
    pub connection_timing: Option<Arc<ConnectionTiming>>,
    /// When the first response with a status below 200 came, if the network tells it and there was one. Default:
    /// `None`.
    pub first_interim_response_start: Option<Instant>,
}

/// The [connection timing info](https://fetch.spec.whatwg.org/#connection-timing-info) of a connection.
///
/// The ALPN negotiated protocol is not here: [`NetworkResponse::version`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionTiming {
    /// Domain lookup start time.
    pub domain_lookup_start: Instant,
    /// Domain lookup end time. Without a lookup, it is the start time.
    pub domain_lookup_end: Instant,
    /// Connection start time: before TCP.
    pub connection_start: Instant,
    /// Connection end time: after TCP, a proxy and TLS.
    pub connection_end: Instant,
    /// Secure connection start time: before the TLS handshake with the server. `None`: there is no TLS.
    pub secure_connection_start: Option<Instant>,
}

impl ConnectionTiming {
    /// The timing of a connection that is begun and made at this time, without TLS.
    #[must_use]
    pub fn at(time: Instant) -> Self {
        Self {
            domain_lookup_start: time,
            domain_lookup_end: time,
            connection_start: time,
            connection_end: time,
            secure_connection_start: None,
        }
    }

    /// [Clamps](https://fetch.spec.whatwg.org/#clamp-and-coarsen-connection-timing-info) the timing: of a connection that
    /// was made before `default_start_time`, the times are `default_start_time`. It does not coarsen them.
    ///
    /// NB: by the text a connection without TLS then has a secure connection start time, too. It has none here.
    #[must_use]
    pub fn clamp(&self, default_start_time: Instant) -> Self {
        if self.connection_start >= default_start_time {
            return *self;
        }
        let secure_connection_start = self.secure_connection_start.map(|_| default_start_time);
        Self { secure_connection_start, ..Self::at(default_start_time) }
    }
}

/// A response body: a stream of chunks that ends with `None` or an error.
pub type ResponseBody = Pin<Box<dyn BodyStream>>;

/// The bytes of a response body as they arrive.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, StatusCode};
/// use sendbeacon_fetch::host::{EmptyBody, NetworkResponse};
///
/// // Without a body, and with a body that is in memory.
/// let empty = NetworkResponse::new(StatusCode::OK, HeaderMap::new(), Box::pin(EmptyBody));
/// let body = Some(Bytes::from_static(b"hello"));
/// let full = NetworkResponse::new(StatusCode::OK, HeaderMap::new(), Box::pin(body));
/// # drop((empty, full));
/// ```
pub trait BodyStream: Send {
    /// The next chunk, or `None` at the end.
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>>;

    /// The number of bytes received so far, if the stream decodes content codings and so returns other bytes.
    /// A [`Network`] does not decode. Default: `None`.
    fn encoded_size(&self) -> Option<u64> {
        None
    }
}

/// A body without bytes. The type has no size, so boxing it does not allocate.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyBody;

impl BodyStream for EmptyBody {
    fn poll_chunk(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        Poll::Ready(None)
    }
}

/// A body in memory, or no body.
impl BodyStream for Option<Bytes> {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        Poll::Ready(self.take().map(Ok))
    }
}
