//! `navigator.sendBeacon`, keepalive `fetch()` and `fetchLater()` for Rust browser engines and webviews.
//!
//! A [`UserAgent`] is one profile of a browser. It makes a [`Document`] for each of the engine's documents, from
//! a [`Client`]: the document's settings object as data. [`Document::send_beacon`] answers script at once. If it
//! has answered `true`, the user agent's network side delivers the beacon, whatever happens to the document, and
//! tells the [`EventSink`] its [`Outcome`]. The engine tells the `Document` what happens to its own document
//! ([`Document::pagehide`], [`Document::unload`] and so on), and calls [`UserAgent::shutdown`] when it quits.
//!
//! ```
//! use std::{sync::mpsc, time::Duration};
//!
//! use sendbeacon::{Client, Event, EventKind, EventSink, Nonce, UserAgent};
//!
//! /// Sends the outcome of every fetch to a channel.
//! struct Outcomes(mpsc::Sender<String>);
//!
//! impl EventSink for Outcomes {
//!     fn event(&self, event: Event) {
//!         if let EventKind::Done { outcome, .. } = event.kind {
//!             let _ = self.0.send(format!("{}: {outcome:?}", event.fetch.url));
//!         }
//!     }
//! }
//!
//! let (sender, outcomes) = mpsc::channel();
//! let agent = UserAgent::builder().event_sink(std::sync::Arc::new(Outcomes(sender))).build()?;
//! let document = agent.document(Client::new("http://127.0.0.1:25/page".parse()?, Nonce::random()));
//! // true: the beacon is on its way. Script never learns that port 25 is blocked.
//! assert!(document.send_beacon("collect", Some("bye".into()))?);
//! document.unload();
//! assert!(!document.send_beacon("collect", None)?);
//! agent.shutdown_blocking(Duration::from_secs(5));
//! assert_eq!(outcomes.recv()?, "http://127.0.0.1:25/collect: Failed { error: BadPort(25), progress: Unsent }");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! * `net` (default): the default [`Network`](host::Network), `net::HttpNetwork`. Without it, give
//!   [`UserAgentBuilder::new`] a network of your own.
//! * `cookies` (default): a cookie store, `MemoryCookieStore`, and its jar, `cookie_jar`.
//! * `content-codings` (default): responses of `fetch()` are decoded as they are read: gzip, deflate, br and
//!   zstd. Without it, `fetch()` asks for no coding and decodes none.
//! * `outbox`: what could not be sent is kept on disk and is sent later, or after the next start: the module `outbox`.
//! * `remote`: documents may run in processes of their own: the module `remote`.
//! * `tracing`: every event also goes to the crate `tracing`, with the target `sendbeacon`. The library logs no
//!   headers and no bodies, and only the origin of each URL.
//!
//! # Threads
//!
//! `Document` and `FetchGroup` may be used on any thread, and do not block it. (In a content process a call may
//! wait for the channel: see `remote`.) The network side is one future, on a thread of its own or on the runtime
//! of [`UserAgentBuilder::runtime`]. It calls the event sink, the network and the other services.

mod background_send;
mod budget;
mod channel_sink;
mod clock;
#[cfg(feature = "cookies")]
mod cookies;
mod documents;
mod event;
pub mod host;
mod id;
mod ledgers;
mod limits;
mod message;
mod network_side;
#[cfg(feature = "outbox")]
pub mod outbox;
mod random;
#[cfg(feature = "remote")]
pub mod remote;
#[cfg(any(feature = "outbox", feature = "remote"))]
mod request_frame;
mod script;
mod site_data;
mod timing;
#[cfg(feature = "tracing")]
mod trace;
mod user_agent;

#[cfg(feature = "cookies")]
pub use sendbeacon_cookies as cookie_jar;
pub use sendbeacon_fetch::{
    AbandonReason, AddressSpace, Blob, BlobSource, Body, BodyInit, CacheMode, Client,
    ContainerPolicy, CorsFailure, CredentialsMode, CspDisposition, CspList, CspViolation,
    DeferredRequestInit, Destination, EmbedderPolicy, ErrorDetail, Extracted, FetchLaterError,
    FormDataEntry, FormDataValue, Inflight, InitiatorType, InvalidOrigin, KeepaliveLimits,
    MemoryHstsStore, Mode, NavigableContainer, NetworkError, Nonce, Origin, PartitionKey,
    PermissionsPolicy, PolicyFeature, PreflightFailure, RedirectFailure, RedirectMode, Referrer,
    ReferrerPolicy, Request, ReservedQuota, Response, ResponseType, ServerTiming, Site,
    TimeoutKind, TypeError, append_origin, determine_referrer, fetch::Observation,
    is_potentially_trustworthy, local_network_access_check, url_length,
};
#[cfg(feature = "net")]
pub use sendbeacon_net as net;

#[cfg(feature = "cookies")]
pub use self::cookies::{MemoryCookieStore, ThirdPartyCookies};
pub use self::{
    channel_sink::{ChannelSink, Events},
    event::{
        DeliveredFetch, Event, EventKind, EventSink, FetchInfo, KeptFetch, LostFetch, Outcome,
        SentFetch, ShutdownReport,
    },
    id::FetchId,
    limits::{Drain, MemoryLimits, Scheduling, Timeouts},
    random::extract,
    script::{
        DeferredFetch, Document, DocumentLifecycle, FetchGroup, KeepaliveReservation,
        PendingResponse, VisibilityState,
    },
    site_data::SiteData,
    timing::FetchTiming,
    user_agent::{BuildError, UserAgent, UserAgentBuilder},
};

#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
struct CrateReadme;

#[cfg(all(doctest, feature = "net", feature = "outbox"))]
#[doc = include_str!("../../../docs/EMBEDDING.md")]
struct Embedding;
