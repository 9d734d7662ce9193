//! The events that tell the embedder what happens to each fetch.

use std::{sync::Arc, time::Instant};

use http::StatusCode;
use sendbeacon_fetch::{
    Client, InitiatorType, NetworkError,
    fetch::Observation,
    host::{OutboxError, Progress, RecordId},
};
use url::Url;

use crate::{id::FetchId, timing::FetchTiming};

/// Receives the events, for developer tools, automation, timing or logs.
///
/// The network side calls it, in the order in which things happen: on the thread of the network side, on the
/// embedder's runtime, or on the thread that drops that runtime. No method may block, because every fetch would
/// wait. An engine posts its own tasks from here, or uses a [`ChannelSink`](crate::ChannelSink). A panic in a
/// method is caught and changes nothing.
///
/// The document of an event may have gone.
///
/// The headers in events are those on the wire, `Cookie` and `Authorization` included. Do not write them to a
/// log.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
///
/// use sendbeacon::{Event, EventKind, EventSink, Outcome, UserAgentBuilder};
///
/// /// Counts the fetches that were not delivered.
/// #[derive(Default)]
/// struct Lost(AtomicU64);
///
/// impl EventSink for Lost {
///     fn event(&self, event: Event) {
///         if let EventKind::Done { outcome: Outcome::Failed { .. }, .. } = event.kind {
///             self.0.fetch_add(1, Relaxed);
///         }
///     }
///
///     fn wants_wire_events(&self) -> bool {
///         false
///     }
/// }
///
/// # let network = sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!());
/// # let network = Arc::new(network);
/// let lost = Arc::new(Lost::default());
/// let agent = UserAgentBuilder::new(network).event_sink(Arc::clone(&lost) as _).build()?;
/// # Ok::<(), sendbeacon::BuildError>(())
/// ```
pub trait EventSink: Send + Sync {
    /// Receives one event.
    fn event(&self, event: Event);

    /// Whether the sink wants the events [`RequestSent`](Observation::RequestSent) and
    /// [`ResponseStarted`](Observation::ResponseStarted), for which headers are copied. It receives all other
    /// events in any case. Default: true.
    fn wants_wire_events(&self) -> bool {
        true
    }

    /// Hears whether fetches are unfinished, each time that changes. An app may hold a wake lock from `true` to
    /// `false`. Default: does nothing.
    fn work_outstanding(&self, _outstanding: bool) {}

    /// Hears that the [`Outbox`](crate::host::Outbox) has failed, once until it works again. The requests go on, and what
    /// could not be removed from it is removed later. Default: does nothing.
    fn outbox_failed(&self, _error: &OutboxError) {}
}

/// Something that happened to a fetch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a fetch. For each fetch [`Queued`](Self::Queued) comes first and [`Done`](Self::Done) last,
/// and each of these comes exactly once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The fetch reached the network side. A deferred fetch whose site data are cleared before it is sent has this event
    /// and [`Done`](Self::Done) only.
    Queued,
    /// The fetch started.
    Started,
    /// A step of the fetch was observed: a request was sent, the head of a response came, a redirect was
    /// followed, a policy was violated, and so on.
    Observed(Observation),
    /// The fetch has a record in the [`Outbox`](crate::host::Outbox), and the record is durable: a crash does not lose it.
    #[non_exhaustive]
    Safe {
        /// The record.
        record: RecordId,
    },
    /// A request of the fetch did not reach its server. It will be sent again, for as long as the fetch may live.
    #[non_exhaustive]
    Unreached {
        /// The URL of the request, after any redirects.
        url: Url,
        /// Why.
        error: NetworkError,
        /// How often that has happened to this fetch, from 1.
        attempt: u32,
    },
    /// The fetch is over, and its quota was given back.
    #[non_exhaustive]
    Done {
        /// How the fetch ended.
        outcome: Outcome,
        /// When its steps happened.
        timing: FetchTiming,
        /// Why the network has sent a request of the fetch once more, one reason for each time. Each has had an event
        /// [`SentAgain`](Observation::SentAgain).
        sent_again: Vec<NetworkError>,
    },
}

/// The facts about a fetch that are known from its beginning.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchInfo {
    /// The identifier of the fetch.
    pub id: FetchId,
    /// The settings object that the fetch was made with, which has the embedder's document identifier.
    pub client: Arc<Client>,
    /// The URL before any redirect or upgrade to `https`. [`name`](Self::name) is the one after an upgrade.
    pub url: Arc<Url>,
    /// What made the fetch.
    pub initiator_type: InitiatorType,
    /// Whether the fetch outlives its document.
    pub keepalive: bool,
    /// The length of the request's body in bytes.
    pub body_length: u64,
    /// The record of the [`Outbox`](crate::host::Outbox) that the fetch was made from. The document of its client may
    /// then be one of an earlier run of the app: tell no document of it. `None`: the fetch was made in this run.
    pub record: Option<RecordId>,
}

impl FetchInfo {
    /// The [name](https://w3c.github.io/resource-timing/#dfn-mark-resource-timing) of the fetch in Resource Timing:
    /// its URL before any redirect, after upgrade-insecure-requests and HSTS.
    ///
    /// `timing` is that of this fetch, from its event [`Done`](EventKind::Done).
    #[must_use]
    pub fn name<'a>(&'a self, timing: &'a FetchTiming) -> &'a Url {
        timing.upgraded_url.as_deref().unwrap_or(&self.url)
    }
}

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server has answered the request.
    Delivered {
        /// The status of the response, after any redirects. It may be an error such as 404.
        status: StatusCode,
    },
    /// The fetch ended with a network error.
    Failed {
        /// Why.
        error: NetworkError,
        /// How far the request got, without its preflight. [`Sent`](Progress::Sent) means that a server has it, or has
        /// even answered with something that is an error for the fetch. After a redirect the progress is at least
        /// [`InPart`](Progress::InPart), because a server has seen the request.
        progress: Progress,
    },
    /// The fetch ended unsent, or may be sent once more, and stays in the [`Outbox`](crate::host::Outbox). Another fetch, whose
    /// [`FetchInfo::record`] is this one, has the later outcome, in this run of the app or in the next.
    #[non_exhaustive]
    Kept {
        /// The record.
        record: RecordId,
        /// What ended this fetch.
        error: NetworkError,
        /// How far its request got.
        progress: Progress,
    },
    /// An earlier run of the app has begun to send the request of a record, and has not learned whether it arrived. It is
    /// not sent again.
    Unknown,
}

/// The outcomes of the keepalive fetches that were unfinished when
/// [`shutdown`](crate::UserAgent::shutdown) was called.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether this is the report of a drain that has ended, by itself or at its deadline. If it is false, the
    /// network side had gone or did not report in time: the lists are empty and mean nothing.
    pub completed: bool,
    /// The fetches that were delivered during the drain, in the order of their answers.
    pub delivered: Vec<DeliveredFetch>,
    /// The fetches that were [sent](Progress::Sent), and whose answer did not come or was an error for the fetch.
    pub sent: Vec<SentFetch>,
    /// The fetches that stay in the [`Outbox`](crate::host::Outbox).
    pub kept: Vec<KeptFetch>,
    /// The other fetches. Of those that were sent [in part](Progress::InPart) nobody can tell whether they arrived.
    pub lost: Vec<LostFetch>,
}

/// A keepalive fetch that was delivered during a shutdown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeliveredFetch {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// The status of its response.
    pub status: StatusCode,
}

/// A keepalive fetch that was sent, and whose answer did not come or was an error for the fetch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SentFetch {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// Why there is no answer.
    pub error: NetworkError,
}

/// A keepalive fetch that stays in the [`Outbox`](crate::host::Outbox).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptFetch {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// Its record.
    pub record: RecordId,
}

/// A keepalive fetch that a shutdown did not deliver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostFetch {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// Why it was not delivered.
    pub error: NetworkError,
    /// How far it got.
    pub progress: Progress,
}
