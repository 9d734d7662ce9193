//! The services an embedder may provide.
//!
//! Each is small, object-safe and `Send + Sync`. The library calls them on its network side, never
//! on the thread that runs scripts, unless the method says otherwise. No method may block.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
pub use sendbeacon_cookies::SameSiteMode;
use url::Url;

use crate::{AddressSpace, Client, NetworkError, PartitionKey, Request, ResponseType};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer of a service that some engines know at once and others have to ask another thread or
/// process for.
pub enum Answer<T> {
    /// Known now.
    Ready(T),
    /// Known when the future completes. Dropping the future withdraws the question.
    Later(BoxFuture<'static, T>),
}

impl<T> Answer<T> {
    /// The value, waiting for it where it is not known yet.
    pub async fn get(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(value) => f.debug_tuple("Ready").field(value).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// One HTTP request and its response: what is below
/// [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch).
///
/// `sendbeacon-net` is the default implementation. An engine with a network stack of its own
/// implements this one method instead.
pub trait Network: Send + Sync {
    /// Sends `request` and completes with the head of the final (not 1xx) response.
    ///
    /// The implementation
    /// * writes the header list as it is, except for what is the connection's own (`Connection`, `TE`
    ///   and the like; `Host` is `:authority` on HTTP/2), and never follows redirects, stores cookies
    ///   or decodes content;
    /// * uses a connection only for requests of the same [`ConnectionKey`] and origin;
    /// * makes the [Local Network Access check](crate::local_network_access_check) for the client of
    ///   the request and the address of its connection;
    /// * sends a request at most once, unless no byte of it can have been acted on.
    ///
    /// Dropping the future, or the response's body before its end, abandons the request: its HTTP/2
    /// stream is reset, its HTTP/1.1 connection is not reused.
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>>;

    /// The machine's network is another one now: no connection made before is of use for further
    /// requests.
    fn network_changed(&self) {}
}

/// A request as it goes to the wire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NetworkRequest {
    /// Method.
    pub method: Method,
    /// Absolute `http` or `https` URL. Its fragment and credentials are not sent.
    pub url: Url,
    /// Every header of the request except those that are the connection's own; `Host` before all
    /// others, if the request comes from a fetch.
    pub headers: HeaderMap,
    /// Body, whole; `Content-Length` is already among the headers.
    pub body: Bytes,
    /// Which connections it may use.
    pub connection: ConnectionKey,
    /// The client of the request; `None` for a request of the engine's own, such as a navigation.
    pub client: Option<Arc<Client>>,
    /// Whether it needs a connection of its own making: the last one was to the wrong server (421).
    pub force_new_connection: bool,
}

impl NetworkRequest {
    /// A request without headers, body or client, which may use any connection of `connection`.
    #[must_use]
    pub fn new(method: Method, url: Url, connection: ConnectionKey) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            connection,
            client: None,
            force_new_connection: false,
        }
    }

    /// Sets the headers.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
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

/// What, beside the URL's origin, two requests must share to share a connection
/// ([connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool)).
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

/// The head of a response, and its body still to be read.
#[non_exhaustive]
pub struct NetworkResponse {
    /// Status, 200 to 999.
    pub status: StatusCode,
    /// Header list, values as they were received.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
    /// The version of HTTP it came over, if the network says so: for developer tools and timing.
    pub version: Option<Version>,
}

impl NetworkResponse {
    /// A response over a version of HTTP that is not told.
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap, body: ResponseBody) -> Self {
        Self { status, headers, body, version: None }
    }
}

impl fmt::Debug for NetworkResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A response body: chunks until `None`, or an error after which nothing more comes.
pub type ResponseBody = Pin<Box<dyn BodyStream>>;

/// The bytes of a response body as they arrive.
pub trait BodyStream: Send {
    /// The next chunk, or `None` at the end.
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>>;

    /// How many bytes have come, if they were not the ones that were given: content codings were undone.
    /// A [`Network`] undoes none.
    fn encoded_size(&self) -> Option<u64> {
        None
    }
}

/// A body without bytes. It has no size, so boxing it does not allocate.
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

/// A body that is all there, or none.
impl BodyStream for Option<Bytes> {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        Poll::Ready(self.take().map(Ok))
    }
}

/// The clocks.
pub trait Clock: Send + Sync {
    /// Now, on the monotonic clock: never earlier than an answer given before.
    fn now(&self) -> Instant;

    /// Now, on the wall clock.
    fn wall(&self) -> SystemTime;
}

/// The cookies of a profile: what Fetch asks of the
/// [cookie store](https://fetch.spec.whatwg.org/#cookies).
///
/// `MemoryCookieStore` in the crate `sendbeacon` is an implementation.
pub trait CookieStore: Send + Sync {
    /// Retrieves the cookies for a request and serializes them:
    /// [append a request `Cookie` header](https://fetch.spec.whatwg.org/#append-a-request-cookie-header).
    ///
    /// Returns the value of the `Cookie` header, or `None` if the request has no such header.
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>>;

    /// Stores the cookies that a response sets:
    /// [parse and store response `Set-Cookie` headers](https://fetch.spec.whatwg.org/#parse-and-store-response-set-cookie-headers).
    ///
    /// `set_cookie` holds the values of the response's `Set-Cookie` headers in their order, at least one.
    /// A cookie that is rejected is ignored.
    fn store(&self, context: CookieContext<'_>, set_cookie: Vec<HeaderValue>) -> Answer<()>;
}

/// A [`CookieStore`] without cookies: no request sends one, and no response sets one.
///
/// This is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCookies;

impl CookieStore for NoCookies {
    fn retrieve(&self, _: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        Answer::Ready(None)
    }

    fn store(&self, _: CookieContext<'_>, _: Vec<HeaderValue>) -> Answer<()> {
        Answer::Ready(())
    }
}

/// The properties of a request that decide which cookies it may send and set.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CookieContext<'a> {
    /// The request's current URL.
    pub url: &'a Url,
    /// The request's client, which has the network partition key and knows about cross-site ancestors.
    pub client: &'a Client,
    /// The [same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
    pub same_site: SameSiteMode,
}

impl<'a> CookieContext<'a> {
    /// The context of a request for `url`. An engine makes one for a navigation.
    #[must_use]
    pub fn new(url: &'a Url, client: &'a Client, same_site: SameSiteMode) -> Self {
        Self { url, client, same_site }
    }

    /// Sets [`same_site`](Self::same_site).
    #[must_use]
    pub fn with_same_site(self, same_site: SameSiteMode) -> Self {
        Self { same_site, ..self }
    }
}

/// Known HSTS hosts.
pub trait HstsStore: Send + Sync {
    /// What is known of exactly this domain (lower case, no final dot).
    fn get(&self, domain: &str) -> Option<HstsEntry>;

    /// Remembers, or with `None` forgets, this domain.
    fn set(&self, domain: &str, entry: Option<HstsEntry>);
}

/// A [known HSTS host](https://www.rfc-editor.org/rfc/rfc6797#section-8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HstsEntry {
    /// When it is no longer one.
    pub expires: SystemTime,
    /// Whether its subdomains are meant, too.
    pub include_subdomains: bool,
}

impl HstsEntry {
    /// The entry of a host that is known until `expires`.
    #[must_use]
    pub fn new(expires: SystemTime, include_subdomains: bool) -> Self {
        Self { expires, include_subdomains }
    }
}

/// [Authentication entries](https://fetch.spec.whatwg.org/#authentication-entries).
pub trait AuthenticationEntries: Send + Sync {
    /// The value of the `Authorization` header for a request of `client` to `url`, if there is an
    /// entry. Nobody is prompted: a beacon has no traversable for user prompts.
    fn authorization(&self, url: &Url, client: &Client) -> Answer<Option<HeaderValue>>;
}

/// No authentication entries: no request gets an `Authorization` header from the user agent. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthenticationEntries;

impl AuthenticationEntries for NoAuthenticationEntries {
    fn authorization(&self, _: &Url, _: &Client) -> Answer<Option<HeaderValue>> {
        Answer::Ready(None)
    }
}

/// [Local Network Access](https://wicg.github.io/local-network-access/): who may reach an address that
/// is less public than the one they came from. A user's permission, or an administrator's.
///
/// A service of the [`Network`], which knows the addresses.
pub trait LocalNetworkAccess: Send + Sync {
    /// Whether `client` may reach `url` at an address in the address space `target`, which is less public
    /// than the client's own. The client is a secure context; nobody else is asked for.
    ///
    /// Called for every such request: whoever asks a user remembers the answer.
    fn permits(&self, client: &Client, url: &Url, target: AddressSpace) -> Answer<bool>;
}

/// Refuses every request to an address less public than its client's. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefuseAll;

impl LocalNetworkAccess for RefuseAll {
    fn permits(&self, _: &Client, _: &Url, _: AddressSpace) -> Answer<bool> {
        Answer::Ready(false)
    }
}

/// The HTTP cache, as far as requests that are never answered from it concern it.
pub trait HttpCache: Send + Sync {
    /// [Invalidates](https://www.rfc-editor.org/rfc/rfc9111#section-4.4) what is stored for `url`
    /// under `partition`: an unsafe request to it was answered with 200 to 399.
    fn invalidate(&self, url: &Url, partition: &PartitionKey);
}

/// No HTTP cache: there is nothing to invalidate. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHttpCache;

impl HttpCache for NoHttpCache {
    fn invalidate(&self, _: &Url, _: &PartitionKey) {}
}

/// Whoever looks at each request before it is sent: content blockers, automation
/// ([WebDriver BiDi's "before request sent"](https://w3c.github.io/webdriver-bidi/#webdriver-bidi-before-request-sent)).
pub trait Interceptor: Send + Sync {
    /// Decides about one request to the network, a redirected one and a preflight included.
    fn before_request_sent(&self, request: InterceptedRequest<'_>) -> Answer<Interception>;
}

/// Lets every request pass unchanged. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassEverything;

impl Interceptor for PassEverything {
    fn before_request_sent(&self, _: InterceptedRequest<'_>) -> Answer<Interception> {
        Answer::Ready(Interception::Continue)
    }
}

/// What an [`Interceptor`] sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InterceptedRequest<'a> {
    /// The request: URL list, initiator type, keepalive, client.
    pub request: &'a Request,
    /// The headers as they would go to the wire.
    pub headers: &'a HeaderMap,
    /// The body, whole; empty if there is none.
    pub body: &'a Bytes,
    /// Whether it is a preflight of the request that was made.
    pub is_preflight: bool,
    /// Whether the document that made it has gone.
    pub document_is_gone: bool,
}

/// What an [`Interceptor`] decides.
#[derive(Debug)]
#[non_exhaustive]
pub enum Interception {
    /// Send it as it is.
    Continue,
    /// Send it with these headers in place of its own. `Content-Length` stays what it was.
    ContinueWith(HeaderMap),
    /// Do not send it: [`NetworkError::Intercepted`].
    Block,
    /// Do not send it; this is its response.
    Respond(NetworkResponse),
}

/// [Handle fetch](https://w3c.github.io/ServiceWorker/#handle-fetch): the service worker in control of
/// a request's client.
pub trait ServiceWorkers: Send + Sync {
    /// What it says to the request.
    fn handle_fetch(&self, request: &Request) -> Answer<ServiceWorkerAnswer>;
}

/// No service workers: every request goes to the network. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServiceWorkers;

impl ServiceWorkers for NoServiceWorkers {
    fn handle_fetch(&self, _: &Request) -> Answer<ServiceWorkerAnswer> {
        Answer::Ready(ServiceWorkerAnswer::Network)
    }
}

/// What a service worker says.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceWorkerAnswer {
    /// Nothing: the request goes to the network.
    Network,
    /// A network error.
    Error,
    /// A response.
    Response(ServiceWorkerResponse),
}

/// What a service worker responded with.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServiceWorkerResponse {
    /// The type of a filtered response (one that came from a fetch); `None` is "default" (one that the
    /// worker made).
    pub filtered: Option<ResponseType>,
    /// Its URL list; empty for one that the worker made.
    pub url_list: Vec<Url>,
    /// Its internal response.
    pub response: NetworkResponse,
}

impl ServiceWorkerResponse {
    /// A response that the worker made itself: unfiltered, without URLs.
    #[must_use]
    pub fn new(response: NetworkResponse) -> Self {
        Self { filtered: None, url_list: Vec::new(), response }
    }

    /// A response that the worker has from a fetch, which filtered it and went through `url_list`.
    #[must_use]
    pub fn fetched(filtered: ResponseType, url_list: Vec<Url>, response: NetworkResponse) -> Self {
        Self { filtered: Some(filtered), url_list, response }
    }
}

/// Random bytes, unpredictable to pages and servers. Called on any thread.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}
