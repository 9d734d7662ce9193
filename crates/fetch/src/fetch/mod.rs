//! [Fetching](https://fetch.spec.whatwg.org/#fetching), one file for a section.
//!
//! The standard's algorithms call each other in a ring: main fetch, HTTP fetch, HTTP-redirect fetch
//! and main fetch again. Here the ring is a loop in `main_fetch`.

#[cfg(feature = "content-codings")]
mod content_codings;
mod cors_check;
mod cors_preflight_cache;
mod cors_preflight_fetch;
mod cross_origin_resource_policy;
mod http_fetch;
mod http_network_fetch;
mod http_network_or_cache_fetch;
mod http_redirect_fetch;
mod main_fetch;
mod tao_check;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{ACCEPT, ACCEPT_LANGUAGE},
};
use url::Url;

use self::cors_preflight_cache::CorsPreflightCache;
pub(crate) use self::http_fetch::HttpResponse;
use crate::{
    CspViolation, NetworkError, Request, Response,
    host::{
        AuthenticationEntries, Clock, CookieStore, HstsStore, HttpCache, Interceptor, Network,
        NetworkRequest, NetworkResponse, NoAuthenticationEntries, NoHttpCache, NoServiceWorkers,
        PassEverything, ServiceWorkers,
    },
    policy::hsts::MemoryHstsStore,
};

/// What all fetches of one profile share: where the standard says "the user agent's".
///
/// Embedders do not meet it: they give each service to `sendbeacon`'s builder on its own.
#[non_exhaustive]
pub struct Profile {
    /// HTTP-network fetch.
    pub network: Arc<dyn Network>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The cookie store. Default: none.
    pub cookies: Arc<dyn CookieStore>,
    /// Known HSTS hosts. Default: in memory.
    pub hsts: Arc<dyn HstsStore>,
    /// Authentication entries. Default: none.
    pub authentication_entries: Arc<dyn AuthenticationEntries>,
    /// The HTTP cache. Default: none.
    pub http_cache: Arc<dyn HttpCache>,
    /// The interceptor. Default: none.
    pub interceptor: Arc<dyn Interceptor>,
    /// Service workers. Default: none.
    pub service_workers: Arc<dyn ServiceWorkers>,
    /// The [default `User-Agent` value](https://fetch.spec.whatwg.org/#default-user-agent-value).
    pub user_agent: HeaderValue,
    /// `Accept-Language` of clients that have none of their own.
    pub accept_language: Option<HeaderValue>,
    /// [`Priority`](https://www.rfc-editor.org/rfc/rfc9218) of beacons. Default: `u=6`, background.
    pub beacon_priority: Option<HeaderValue>,
    /// Headers that the embedder adds to every request that does not have them.
    pub extra_headers: HeaderMap,
    /// Whether requests of `fetch()` ask for content codings, and the bodies of their responses are decoded.
    /// Default: false.
    ///
    /// The feature adds the choice and changes nothing by itself: Cargo turns it on for all crates of a
    /// program if one of them asks for it.
    #[cfg(feature = "content-codings")]
    pub content_codings: bool,
    cors_preflight_cache: CorsPreflightCache,
}

impl Profile {
    /// A profile that knows nothing yet.
    pub fn new(network: Arc<dyn Network>, clock: Arc<dyn Clock>, user_agent: HeaderValue) -> Self {
        Self {
            network,
            clock,
            cookies: Arc::new(()),
            hsts: Arc::new(MemoryHstsStore::default()),
            authentication_entries: Arc::new(NoAuthenticationEntries),
            http_cache: Arc::new(NoHttpCache),
            interceptor: Arc::new(PassEverything),
            service_workers: Arc::new(NoServiceWorkers),
            user_agent,
            accept_language: None,
            beacon_priority: Some(HeaderValue::from_static("u=6")),
            extra_headers: HeaderMap::new(),
            #[cfg(feature = "content-codings")]
            content_codings: false,
            cors_preflight_cache: CorsPreflightCache::default(),
        }
    }

    #[cfg(feature = "content-codings")]
    fn decodes(&self) -> bool {
        self.content_codings
    }

    #[cfg(not(feature = "content-codings"))]
    #[allow(clippy::unused_self)] // as with the feature
    fn decodes(&self) -> bool {
        false
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}

/// Whoever runs a fetch: hears what happens on the way, and knows about the document.
pub trait Observer: Send + Sync {
    /// Takes what happened. Must not block.
    fn observe(&self, observation: Observation);

    /// A request goes to the network. As it stands a copy of it is [observed](Self::observe); whoever
    /// wants none does otherwise.
    fn request_sent(&self, is_preflight: bool, request: &NetworkRequest) {
        self.observe(Observation::request_sent(is_preflight, request));
    }

    /// The head of the response to a request for `url` came, likewise.
    fn response_started(&self, is_preflight: bool, url: &Url, response: &NetworkResponse) {
        self.observe(Observation::response_started(is_preflight, url, response));
    }

    /// Whether the document that made the request has gone.
    fn document_is_gone(&self) -> bool;
}

/// Ignores every observation, for a caller without a document.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn observe(&self, _: Observation) {}

    fn request_sent(&self, _: bool, _: &NetworkRequest) {}

    fn response_started(&self, _: bool, _: &Url, _: &NetworkResponse) {}

    fn document_is_gone(&self) -> bool {
        false
    }
}

/// What happened to a fetch on the way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Observation {
    /// It violates a Content Security Policy of its client, for the engine to report.
    CspViolation(Box<CspViolation>),
    /// A request goes to the network.
    #[non_exhaustive]
    RequestSent {
        /// Whether it is a CORS preflight of the fetch's own request.
        is_preflight: bool,
        /// Its method.
        method: Method,
        /// Its URL.
        url: Url,
        /// Its headers, `Host` included, without what is the connection's own.
        headers: HeaderMap,
        /// Its body, empty if it has none. A clone shares the bytes.
        body: Bytes,
    },
    /// The head of a response to the request sent last came, a preflight's or a redirect included. The
    /// body of either is not told of.
    #[non_exhaustive]
    ResponseStarted {
        /// Whether the request was a preflight.
        is_preflight: bool,
        /// The request's URL.
        url: Url,
        /// Status.
        status: StatusCode,
        /// The version of HTTP, if the network says so.
        version: Option<Version>,
        /// Headers, unfiltered.
        headers: HeaderMap,
    },
    /// A redirect is followed.
    #[non_exhaustive]
    Redirected {
        /// To where.
        url: Url,
    },
    /// A response over a secure transport asks to
    /// [clear site data](https://w3c.github.io/webappsec-clear-site-data/), which is the engine's to do.
    #[non_exhaustive]
    ClearSiteData {
        /// The response's URL.
        url: Url,
        /// The value of its `Clear-Site-Data` header.
        value: HeaderValue,
    },
}

impl Observation {
    /// [`RequestSent`](Self::RequestSent), a copy of `request`.
    #[must_use]
    pub fn request_sent(is_preflight: bool, request: &NetworkRequest) -> Self {
        Self::RequestSent {
            is_preflight,
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        }
    }

    /// [`ResponseStarted`](Self::ResponseStarted), a copy of the head of `response` from `url`.
    #[must_use]
    pub fn response_started(is_preflight: bool, url: &Url, response: &NetworkResponse) -> Self {
        Self::ResponseStarted {
            is_preflight,
            url: url.clone(),
            status: response.status,
            version: response.version,
            headers: response.headers.clone(),
        }
    }
}

/// [Fetch params](https://fetch.spec.whatwg.org/#fetch-params), without the request.
struct FetchParams<'a> {
    profile: &'a Profile,
    observer: &'a dyn Observer,
}

/// [Fetch](https://fetch.spec.whatwg.org/#concept-fetch) `request`, to the head of its response.
///
/// The request is boxed, for every layer of the future would have room of its own for it.
///
/// The caller holds the fetch record: it keeps the request's reservation until the body has ended,
/// and drops the future to abort.
///
/// # Errors
/// A network error, with its reason.
pub fn fetch<'a>(
    profile: &'a Profile,
    observer: &'a dyn Observer,
    mut request: Box<Request>,
) -> impl Future<Output = Result<Response, NetworkError>> + Send + 'a {
    // Steps 1 to 11 and 15 have nothing to do here: the client is known, there are no preloads, and
    // timing is the caller's. Step 12.
    let headers = &mut request.headers;
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    // Steps 13 and 14.
    if !headers.contains_key(ACCEPT_LANGUAGE) {
        let of_client = request.client.accept_language.as_ref();
        if let Some(value) = of_client.or(profile.accept_language.as_ref()) {
            headers.insert(ACCEPT_LANGUAGE, value.clone());
        }
    }
    // Step 16 is the caller's. Steps 17 and 18.
    main_fetch::main_fetch(FetchParams { profile, observer }, request)
}
