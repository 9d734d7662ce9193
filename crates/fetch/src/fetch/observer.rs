//! The [`Observer`] of a fetch, and what it is told.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use url::Url;

use crate::{
    error::NetworkError,
    host::{BoxFuture, NetworkRequest, NetworkResponse, Transmission},
    policy::csp::CspViolation,
};

/// The caller of a fetch: it is told what happens during the fetch, and it knows whether the document still exists and
/// whether there is a network.
///
/// The fetch calls these methods on the thread that polls it. No method may block.
pub trait Observer: Send + Sync {
    /// Called with each event of the fetch.
    fn observe(&self, observation: Observation);

    /// Called when a request goes to the network.
    ///
    /// The default implementation [observes](Self::observe) a copy of the request. Override this method to save the copy.
    fn request_sent(&self, is_preflight: bool, request: &NetworkRequest) {
        self.observe(Observation::request_sent(is_preflight, request));
    }

    /// Called when the head of the response to a request for `url` has arrived.
    ///
    /// The default implementation [observes](Self::observe) a copy of the head. Override this method to save the copy.
    fn response_started(&self, is_preflight: bool, url: &Url, response: &NetworkResponse) {
        self.observe(Observation::response_started(is_preflight, url, response));
    }

    /// Called when a service worker has answered the request, and the request does not go to the network. The request
    /// was given to the service worker at `started`.
    ///
    /// The default implementation does nothing.
    fn service_worker_answered(&self, _started: Instant) {}

    /// Whether the document that made the request has gone.
    fn document_is_gone(&self) -> bool;

    /// Whether somebody waits for the response, as for that of a `fetch()`. Default: true.
    fn is_awaited(&self) -> bool {
        true
    }

    /// Where the network reports how far the fetch's own request has got. The reports begin anew with each redirect.
    /// Default: nowhere.
    fn transmission(&self) -> Transmission {
        Transmission::default()
    }

    /// Whether the request's client [is offline](https://html.spec.whatwg.org/multipage/system-state.html#is-offline):
    /// then nothing goes to the network, and the fetch fails unless something else answers it. Default: false.
    fn is_offline(&self) -> bool {
        false
    }

    /// How long the next request may take to connect, if that is less than what the network allows. Default: `None`.
    fn connect_timeout(&self) -> Option<Duration> {
        None
    }

    /// Called before a request for `url` goes to the network. The fetch waits for the future, if there is one, and
    /// fails with its error. Default: `None`.
    fn hold(&self, _url: &Url) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        None
    }

    /// Called when a request for `url` has failed with `error`. If there is a future, the fetch waits for it and then
    /// sends the request again, or fails with its error. Without a future it fails with `error`. Default: `None`.
    ///
    /// A future makes sense only for an error that [is unreached](NetworkError::is_unreached).
    fn try_again(
        &self,
        _url: &Url,
        _error: &NetworkError,
    ) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        None
    }
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

/// An event of a fetch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Observation {
    /// The fetch violates a Content Security Policy of its client. The engine fires `securitypolicyviolation`.
    CspViolation(Box<CspViolation>),
    /// A request goes to the network.
    #[non_exhaustive]
    RequestSent {
        /// Whether the request is the CORS preflight of the fetch's own request.
        is_preflight: bool,
        /// The request's method.
        method: Method,
        /// The request's URL.
        url: Url,
        /// The request's headers: with `Host`, without those of the connection.
        headers: HeaderMap,
        /// The request's body, empty if it has none. A clone shares the bytes.
        body: Bytes,
    },
    /// The network sends the last sent request once more, on another connection. The last connection ended before
    /// an answer came, and after a byte of the request may have been written. The library does not tell this of a
    /// preflight.
    #[non_exhaustive]
    SentAgain {
        /// How the last connection ended.
        reason: NetworkError,
    },
    /// The head of the response to the last sent request has arrived. This may be the response to a preflight, or a
    /// redirect; no event follows for the body of either.
    #[non_exhaustive]
    ResponseStarted {
        /// Whether the request was a CORS preflight.
        is_preflight: bool,
        /// The request's URL.
        url: Url,
        /// The response's status.
        status: StatusCode,
        /// The version of HTTP, if the network says so.
        version: Option<Version>,
        /// The response's headers, unfiltered.
        headers: HeaderMap,
    },
    /// [Upgrade insecure requests](https://w3c.github.io/webappsec-upgrade-insecure-requests/) or
    /// [HSTS](https://www.rfc-editor.org/rfc/rfc6797) has changed the scheme of the request's current URL to `https`.
    /// If no redirect came before, this is the name of the fetch in Resource Timing.
    #[non_exhaustive]
    Upgraded {
        /// The new URL.
        url: Url,
    },
    /// The fetch follows a redirect.
    #[non_exhaustive]
    Redirected {
        /// The new URL.
        url: Url,
    },
    /// A response from a potentially trustworthy URL, to a request that includes credentials, asks to
    /// [clear site data](https://w3c.github.io/webappsec-clear-site-data/). The engine does so.
    #[non_exhaustive]
    ClearSiteData {
        /// The response's URL.
        url: Url,
        /// The values of the response's `Clear-Site-Data` headers, joined with a comma and a space.
        value: HeaderValue,
    },
}

impl Observation {
    /// Makes a [`RequestSent`](Self::RequestSent) from a copy of `request`.
    #[must_use]
    pub fn request_sent(is_preflight: bool, request: &NetworkRequest) -> Self {
        Self::RequestSent {
            is_preflight,
            method: request.method.clone(),
            url: (*request.url).clone(),
            headers: (*request.headers).clone(),
            body: request.body.clone(),
        }
    }

    /// Makes a [`SentAgain`](Self::SentAgain).
    #[must_use]
    pub fn sent_again(reason: &NetworkError) -> Self {
        Self::SentAgain { reason: reason.clone() }
    }

    /// Makes a [`ResponseStarted`](Self::ResponseStarted) from a copy of the head of `response` from `url`.
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
