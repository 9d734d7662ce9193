//! The services that an embedder may provide.
//!
//! Every service is a small, object-safe trait that is `Send + Sync`. The library calls the methods on its
//! network side, not on a thread that runs scripts, unless a method says otherwise. No method may block.
//! Most optional services have their default implementation beside the trait: [`NoCookies`], for example.

mod answer;
mod authentication;
mod clock;
mod cookies;
mod hsts;
mod http_cache;
mod interceptor;
mod local_network_access;
mod network;
mod outbox;
mod random;
mod service_workers;
mod transmission;

#[cfg(test)]
pub(crate) use self::random::Zeros;
pub use self::{
    answer::{Answer, BoxFuture},
    authentication::{AuthenticationEntries, NoAuthenticationEntries},
    clock::Clock,
    cookies::{CookieContext, CookieStore, NoCookies, SameSiteMode},
    hsts::{HstsEntry, HstsStore},
    http_cache::{HttpCache, NoHttpCache},
    interceptor::{InterceptedRequest, Interception, Interceptor, PassEverything},
    local_network_access::{LocalNetworkAccess, RefuseAll},
    network::{
        BodyStream, ConnectionKey, ConnectionTiming, EmptyBody, Network, NetworkRequest,
        NetworkResponse, ResponseBody, ResponseInfo,
    },
    outbox::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId, Sealer},
    random::Random,
    service_workers::{
        NoServiceWorkers, ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers,
    },
    transmission::{Progress, Transmission, TransmissionObserver},
};
