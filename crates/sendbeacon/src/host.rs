//! The services that an embedder may provide: what the builders take.
//!
//! Each service is a small, object-safe trait. The library calls it on the network side and never on the thread
//! that runs scripts. No method may block: a service that has to ask another thread or process returns
//! [`Answer::Later`]. A service that is not set has the default that is named here.
//!
//! * [`Network`] sends a [`NetworkRequest`] and receives a [`NetworkResponse`], whose body is a [`BodyStream`]. It may
//!   report its [`Progress`] to the request's [`Transmission`]. Default: `HttpNetwork`, with the feature `net`.
//! * [`CookieStore`] retrieves and stores cookies. Default: [`NoCookies`].
//! * [`HstsStore`] keeps the known HSTS hosts. Default: [`MemoryHstsStore`](crate::MemoryHstsStore).
//! * [`AuthenticationEntries`] has the values of `Authorization`. Default: [`NoAuthenticationEntries`].
//! * [`HttpCache`] hears what to invalidate. Default: [`NoHttpCache`].
//! * [`Interceptor`] may change, block or answer a request before it is sent. Default: [`PassEverything`].
//! * [`ServiceWorkers`] may answer a request in place of the network. Default: [`NoServiceWorkers`].
//! * [`BackgroundSend`] permits another attempt on another network, for a site that is no longer open. Default:
//!   [`NoBackgroundSend`].
//! * [`Outbox`] keeps unfinished requests for the next start of the app, and a [`Sealer`] seals them. Default: none. They
//!   need the feature `outbox`.
//! * [`LocalNetworkAccess`] permits a page to reach a less public address; the builder of `HttpNetwork` takes
//!   it. Default: [`RefuseAll`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use sendbeacon::{
//!     UserAgentBuilder,
//!     host::{Answer, InterceptedRequest, Interception, Interceptor},
//! };
//!
//! /// Blocks one host.
//! struct Blocker;
//!
//! impl Interceptor for Blocker {
//!     fn before_request_sent(&self, request: InterceptedRequest<'_>) -> Answer<Interception> {
//!         Answer::Ready(match request.request.current_url().host_str() {
//!             Some("tracker.test") => Interception::Block,
//!             _ => Interception::Continue,
//!         })
//!     }
//! }
//!
//! # let network = Arc::new(sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!()));
//! let agent = UserAgentBuilder::new(network).interceptor(Arc::new(Blocker)).build()?;
//! # Ok::<(), sendbeacon::BuildError>(())
//! ```

pub use crate::background_send::{BackgroundAttempt, BackgroundSend, NoBackgroundSend};
// NB: one by one: `sendbeacon_fetch::host` also has services that no builder takes, the clock and randomness.
pub use sendbeacon_fetch::host::{
    Answer, AuthenticationEntries, BodyStream, BoxFuture, ConnectionKey, ConnectionTiming,
    CookieContext, CookieStore, EmptyBody, HstsEntry, HstsStore, HttpCache, InterceptedRequest,
    Interception, Interceptor, LocalNetworkAccess, Network, NetworkRequest, NetworkResponse,
    NoAuthenticationEntries, NoCookies, NoHttpCache, NoServiceWorkers, Outbox, OutboxChange,
    OutboxError, OutboxRecord, PassEverything, Progress, RecordId, RefuseAll, ResponseBody,
    ResponseInfo, SameSiteMode, Sealer, ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers,
    Transmission,
};
