//! The interceptor of requests.

use bytes::Bytes;
use http::HeaderMap;

use super::{answer::Answer, network::NetworkResponse};
use crate::Request;

/// Looks at each request before it is sent: a content blocker, or automation
/// ([WebDriver BiDi's "before request sent"](https://w3c.github.io/webdriver-bidi/#webdriver-bidi-before-request-sent)).
///
/// ```
/// use sendbeacon_fetch::host::{Answer, InterceptedRequest, Interception, Interceptor};
///
/// struct Blocker;
///
/// impl Interceptor for Blocker {
///     fn before_request_sent(&self, intercepted: InterceptedRequest<'_>) -> Answer<Interception> {
///         Answer::Ready(match intercepted.request.current_url().host_str() {
///             Some("tracker.example") => Interception::Block,
///             _ => Interception::Continue,
///         })
///     }
/// }
/// ```
pub trait Interceptor: Send + Sync {
    /// Decides about one request to the network. The library also asks for redirected requests and preflights.
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

/// A request as an [`Interceptor`] sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InterceptedRequest<'a> {
    /// The request: URL list, initiator type, keepalive, client.
    pub request: &'a Request,
    /// The headers that would be sent.
    pub headers: &'a HeaderMap,
    /// The whole body; empty if the request has none.
    pub body: &'a Bytes,
    /// Whether this is the CORS preflight of a request.
    pub is_preflight: bool,
    /// Whether the document that made the request is gone.
    pub document_is_gone: bool,
}

/// The decision of an [`Interceptor`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Interception {
    /// Send the request unchanged.
    Continue,
    /// Send the request with these headers instead. `Content-Length` does not change.
    ContinueWith(HeaderMap),
    /// Fail with [`NetworkError::Intercepted`](crate::NetworkError::Intercepted).
    Block,
    /// Send nothing; this is the response.
    Respond(NetworkResponse),
}
