//! The service workers.

use http::HeaderName;
use url::Url;

use super::{answer::Answer, network::NetworkResponse};
use crate::{Request, ResponseType};

/// The service workers that control clients
/// ([handle fetch](https://w3c.github.io/ServiceWorker/#handle-fetch)).
///
/// ```
/// use sendbeacon_fetch::{Request, host::{Answer, ServiceWorkerAnswer, ServiceWorkers}};
///
/// struct Workers;
///
/// impl ServiceWorkers for Workers {
///     fn handle_fetch(&self, request: &Request) -> Answer<ServiceWorkerAnswer> {
///         match request.client.document_id {
///             7 => Answer::Later(Box::pin(async { ServiceWorkerAnswer::Error })), // ask the worker's thread
///             _ => Answer::Ready(ServiceWorkerAnswer::Network),
///         }
///     }
/// }
/// ```
pub trait ServiceWorkers: Send + Sync {
    /// Lets the worker that controls the request's client answer the request.
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

/// The answer of a service worker to a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceWorkerAnswer {
    /// No response, or no worker: the request goes to the network.
    Network,
    /// A network error.
    Error,
    /// A response.
    Response(ServiceWorkerResponse),
}

/// The response of a service worker.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServiceWorkerResponse {
    /// The type of a response that the worker fetched, which is filtered. `None` for a response that the worker
    /// made, whose type is "default".
    pub filtered: Option<ResponseType>,
    /// The response's URL list; empty if the worker made the response.
    pub url_list: Vec<Url>,
    /// [CORS-exposed header-name list](https://fetch.spec.whatwg.org/#concept-response-cors-exposed-header-name-list) of
    /// the internal response: which of its headers script may see besides the safelisted ones, if the type is
    /// [cors](ResponseType::Cors). Default: empty.
    pub cors_exposed_header_names: Vec<HeaderName>,
    /// [Request-includes-credentials](https://fetch.spec.whatwg.org/#response-request-includes-credentials) of the
    /// internal response. Default: true.
    pub request_includes_credentials: bool,
    /// [Range-requested flag](https://fetch.spec.whatwg.org/#concept-response-range-requested-flag) of the internal
    /// response. Default: false.
    pub range_requested: bool,
    /// The internal response.
    pub response: NetworkResponse,
}

impl ServiceWorkerResponse {
    /// A response that the worker made: unfiltered, without URLs.
    #[must_use]
    pub fn new(response: NetworkResponse) -> Self {
        Self {
            filtered: None,
            url_list: Vec::new(),
            cors_exposed_header_names: Vec::new(),
            request_includes_credentials: true,
            range_requested: false,
            response,
        }
    }

    /// A response that the worker fetched: its type, its URL list and its internal response.
    ///
    /// Set [`request_includes_credentials`](Self::request_includes_credentials) and
    /// [`range_requested`](Self::range_requested), too. The [`Response`](crate::Response) that the worker's own fetch
    /// returned has them. The names of its `headers` are the
    /// [`cors_exposed_header_names`](Self::cors_exposed_header_names).
    #[must_use]
    pub fn fetched(filtered: ResponseType, url_list: Vec<Url>, response: NetworkResponse) -> Self {
        Self { filtered: Some(filtered), url_list, ..Self::new(response) }
    }
}
