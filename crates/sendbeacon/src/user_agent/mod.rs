//! The user agent and its builder. The methods of each type are in a file of their own.

mod agent;
mod builder;

use std::{fmt, io, sync::Arc};

#[cfg(feature = "outbox")]
use std::sync::Mutex;

#[cfg(feature = "outbox")]
use sendbeacon_fetch::host::Outbox;
use sendbeacon_fetch::{KeepaliveLimits, fetch::Profile};
use thiserror::Error;
use tokio::runtime::Handle;

#[cfg(feature = "remote")]
use crate::budget::Budget;
#[cfg(feature = "outbox")]
use crate::outbox::OutboxSettings;
use crate::{
    background_send::BackgroundSend,
    event::EventSink,
    ledgers::Ledgers,
    limits::{MemoryLimits, Scheduling, Timeouts},
    network_side::Mailbox,
    script::Groups,
};

/// One profile of a browser: its documents send through it, and it shares nothing with another `UserAgent`.
///
/// Its network side runs on a thread of its own, or on the embedder's tokio runtime
/// ([`UserAgentBuilder::runtime`]). End it with [`shutdown`](Self::shutdown), which delivers the accepted
/// requests. Dropping it refuses new requests and returns at once; accepted requests are still delivered for as
/// long as the process, or the embedder's runtime, lives.
///
/// ```
/// use std::time::Duration;
///
/// use sendbeacon::{Client, Nonce, UserAgentBuilder};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use sendbeacon_testkit::network::{ScriptedNetwork, respond};
/// # let network = std::sync::Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
/// let agent = UserAgentBuilder::new(network).build()?;
/// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
///
/// // Without a network the beacon waits.
/// agent.set_online(false);
/// assert!(document.send_beacon("/collect", Some("bye".into()))?);
/// drop(document);
///
/// // The drain begins with this call, and ends when the network is back.
/// let report = agent.shutdown(Duration::from_secs(5));
/// agent.set_online(true);
/// let report = report.await;
/// assert_eq!(report.delivered[0].fetch.url.as_str(), "https://a.test/collect");
/// assert!(report.completed && report.lost.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct UserAgent {
    mailbox: Mailbox,
    groups: Groups,
    ledgers: Arc<Ledgers>,
    limits: KeepaliveLimits,
    #[cfg(feature = "remote")]
    budget: Arc<Budget>,
    /// Where the network side runs.
    runtime: Handle,
}

/// Builds a [`UserAgent`].
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use http::HeaderValue;
/// use sendbeacon::{ChannelSink, Timeouts, UserAgentBuilder};
///
/// # let network = Arc::new(sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!()));
/// let (sink, events) = ChannelSink::new(1_000);
/// let agent = UserAgentBuilder::new(network)
///     .user_agent(HeaderValue::from_static("Example/1.0"))
///     .accept_language(HeaderValue::from_static("en-US,en;q=0.9"))
///     .timeouts(Timeouts::default().with_after_document(Duration::from_secs(60)))
///     .event_sink(sink)
///     .build()?;
/// # Ok::<(), sendbeacon::BuildError>(())
/// ```
#[must_use]
pub struct UserAgentBuilder {
    profile: Profile,
    reports_violations: bool,
    content_codings: bool,
    sink: Option<Arc<dyn EventSink>>,
    runtime: Option<Handle>,
    limits: KeepaliveLimits,
    memory: MemoryLimits,
    scheduling: Scheduling,
    timeouts: Timeouts,
    tries_again: bool,
    background_send: Arc<dyn BackgroundSend>,
    /// NB: the builder is `Sync`, and a store need not be.
    #[cfg(feature = "outbox")]
    outbox: Option<(Mutex<Box<dyn Outbox>>, OutboxSettings)>,
}

/// Why a user agent could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The thread of the network side, or its runtime, could not be started. The source says why.
    #[error("the network thread could not be started")]
    Thread(#[from] io::Error),
    /// A limit of the [`Scheduling`] is 0: some fetches would never start.
    #[error("a limit of the scheduling is 0: give each at least 1")]
    Scheduling,
    /// The [`KeepaliveLimits`] are larger than [`KeepaliveLimits::MAX`].
    #[error(
        "a keepalive limit is too large: at most {} bytes of bodies and {} bytes of URLs",
        KeepaliveLimits::MAX.body_bytes,
        KeepaliveLimits::MAX.url_bytes
    )]
    KeepaliveLimits,
    /// A limit of the [`MemoryLimits`] is larger than the one that it is a part of, or larger than half of `u64::MAX`.
    #[error(
        "the memory limits do not fit: the floor is part of a partition, and a partition of the user agent"
    )]
    MemoryLimits,
    /// The builder asks for [content codings](UserAgentBuilder::content_codings), and the feature `content-codings` is
    /// off.
    #[error("content codings need the feature `content-codings` of sendbeacon")]
    ContentCodings,
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgent").finish_non_exhaustive()
    }
}

impl fmt::Debug for UserAgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgentBuilder").finish_non_exhaustive()
    }
}
