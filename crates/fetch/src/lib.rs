//! The Beacon and Fetch algorithms that a keepalive request runs through.
//!
//! The crate holds the standards and nothing else. It has no sockets, no runtime and no clock, and asks the
//! operating system for nothing but random bytes ([`Nonce::random`]). The embedder provides the rest: the traits
//! in [`host`].
//!
//! A beacon takes two calls. [`beacon::send_beacon`] runs on the script thread and admits the beacon or refuses
//! it. [`fetch::fetch`] runs on the network side and sends the request over a [`host::Network`]. The crate
//! [`sendbeacon`](https://docs.rs/sendbeacon) makes both calls for an engine, with a scheduler between them.
//!
//! ```
//! use std::{
//!     future::{Future, ready},
//!     pin::pin,
//!     sync::Arc,
//!     task::{Context, Poll, Waker},
//!     time::{Instant, SystemTime},
//! };
//!
//! use http::{HeaderMap, HeaderValue, StatusCode};
//! use sendbeacon_fetch::{
//!     Client, KeepaliveLimits, Ledger, NetworkError, Nonce,
//!     beacon::send_beacon,
//!     fetch::{NoObserver, Profile, fetch},
//!     host::{BoxFuture, Clock, EmptyBody, Network, NetworkRequest, NetworkResponse, Random},
//! };
//!
//! /// A network that answers every request with 204.
//! struct NoContent;
//!
//! impl Network for NoContent {
//!     fn http_network_fetch(
//!         &self,
//!         request: NetworkRequest,
//!     ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
//!         assert_eq!(request.headers["origin"], "https://a.test");
//!         let status = StatusCode::NO_CONTENT;
//!         let response = NetworkResponse::new(status, HeaderMap::new(), Box::pin(EmptyBody));
//!         Box::pin(ready(Ok(response)))
//!     }
//! }
//!
//! struct SystemClock;
//!
//! impl Clock for SystemClock {
//!     fn now(&self) -> Instant {
//!         Instant::now()
//!     }
//!
//!     fn wall(&self) -> SystemTime {
//!         SystemTime::now()
//!     }
//! }
//!
//! struct SystemRandom;
//!
//! impl Random for SystemRandom {
//!     fn fill(&self, bytes: &mut [u8]) {
//!         getrandom::fill(bytes).expect("the operating system has random bytes");
//!     }
//! }
//!
//! // One per profile of the browser.
//! let user_agent = HeaderValue::from_static("Example/1.0");
//! let profile = Profile::new(Arc::new(NoContent), Arc::new(SystemClock), user_agent);
//!
//! // One of each per document.
//! let client = Arc::new(Client::new("https://a.test/page".parse()?, Nonce::random()));
//! let ledger = Ledger::new(KeepaliveLimits::default());
//!
//! // On the script thread: navigator.sendBeacon("/collect", "bye").
//! let beacon = send_beacon(&client, &ledger, &SystemRandom, "/collect", Some("bye".into()))?;
//! let beacon = beacon.expect("the ledger has room, so script gets true");
//!
//! // On the network side, for example as a task. This network answers at once, so one poll is enough here.
//! let (request, reservation) = beacon.into_request();
//! let fetching = pin!(fetch(&profile, &NoObserver, Box::new(request)));
//! let Poll::Ready(response) = fetching.poll(&mut Context::from_waker(Waker::noop())) else {
//!     panic!("the network answers at once");
//! };
//! assert_eq!(response?.status, StatusCode::NO_CONTENT);
//! drop(reservation); // The beacon's share of the ledger is free again.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How to read the source
//!
//! One algorithm of a standard is one function, named as the standard names it, in a file named after its
//! section. `// Step 4.2.` stands above the code of that step, `// NB:` before a remark of ours, and
//! `// TODO(spec):` where a step is missing. `docs/SPEC-MAP.md` in the repository lists every step.
//!
//! # Features
//!
//! * `content-codings`: adds [`fetch::Profile`]`::content_codings`, which decodes the responses of `fetch()`
//!   (gzip, deflate, br, zstd).
//! * `serde`: a [`Client`] and its parts can be serialised, to cross a process boundary.
//!
//! # Stability
//!
//! Everything on these pages is API and follows semantic versioning, including what an engine only needs if it
//! does not use `sendbeacon`: [`beacon`], [`mod@fetch`], [`Ledger`] and [`Reservation`]. Public items that these
//! pages do not show are for `sendbeacon` alone and may change in any release.

pub mod beacon;
mod body;
mod client;
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub mod deferred;
mod destination;
mod error;
mod error_detail;
pub mod fetch;
mod headers;
pub mod host;
mod http_url;
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub mod hyperlink_auditing;
mod keepalive;
mod memory;
mod nonce;
mod origin;
mod policy;
mod preparation;
mod pruning;
mod request;
mod response;
mod url_memo;

pub use self::{
    body::{Blob, BlobSource, Body, BodyInit, Extracted, FormDataEntry, FormDataValue, extract},
    client::{Client, EmbedderPolicy},
    deferred::{DeferredRequestInit, FetchLaterError, NavigableContainer, ReservedQuota},
    destination::Destination,
    error::{
        AbandonReason, CorsFailure, NetworkError, PreflightFailure, RedirectFailure, TimeoutKind,
        TypeError,
    },
    error_detail::ErrorDetail,
    headers::{origin_header::append_origin, server_timing::ServerTiming},
    http_url::url_length,
    keepalive::{Inflight, KeepaliveLimits, Ledger, Reservation, Weight},
    nonce::Nonce,
    origin::{InvalidOrigin, Origin, PartitionKey, Site},
    policy::{
        address_space::AddressSpace,
        csp::{CspDisposition, CspList, CspViolation},
        hsts::MemoryHstsStore,
        local_network_access::local_network_access_check,
        permissions_policy::{ContainerPolicy, PermissionsPolicy, PolicyFeature},
        referrer::determine_referrer,
        referrer_policy::ReferrerPolicy,
        secure_contexts::{is_localhost, is_potentially_trustworthy},
    },
    request::{CacheMode, CredentialsMode, InitiatorType, Mode, RedirectMode, Referrer, Request},
    response::{Response, ResponseType},
};

// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub use self::{
    headers::resource_info::filtered_coding,
    memory::{PurseLimits, Share, Sums},
    policy::csp::report_violation,
    pruning::Pruning,
    response::{ResponseSummary, UnreadResponse},
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
