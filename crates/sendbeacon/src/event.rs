//! What becomes of each fetch, told to the embedder.

use std::{sync::Arc, time::Instant};

use http::StatusCode;
use sendbeacon_fetch::{Client, InitiatorType, NetworkError, fetch::Observation};
use url::Url;

use crate::{id::FetchId, timing::FetchTiming};

/// Where events go: developer tools, automation, timing, logs.
///
/// Called on the network side, in the order in which things happen: on its own thread, or on the
/// embedder's runtime, or on whichever thread drops that. Must not block, as every fetch would wait: an
/// engine posts its own tasks from here, or reads the other end of a
/// [`ChannelSink`](crate::ChannelSink), and tolerates a document that has gone. A panic in it is caught
/// and changes nothing.
///
/// Headers in events are those of the wire, `Cookie` and `Authorization` included: mind where you log
/// them.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);

    /// Whether each [`RequestSent`](Observation::RequestSent) and
    /// [`ResponseStarted`](Observation::ResponseStarted) is to be told, for which headers are copied.
    /// Everything else is told all the same.
    fn wants_wire_events(&self) -> bool {
        true
    }

    /// Whether there is anything unfinished, told when it changes: an app may hold a wake lock from
    /// `true` to `false`.
    fn work_outstanding(&self, _outstanding: bool) {}
}

/// Something that happened to a fetch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// What happened. For each fetch [`Queued`](Self::Queued) comes first and [`Done`](Self::Done) last,
/// each exactly once: it is in flight in between.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// It reached the network side.
    Queued,
    /// It was dispatched.
    Started,
    /// Something on the way: a request sent, a preflight or not; the head of a response; a redirect; a
    /// policy violated.
    Observed(Observation),
    /// It is over, and its quota was given back.
    #[non_exhaustive]
    Done {
        /// How it ended.
        outcome: Outcome,
        /// When what happened.
        timing: FetchTiming,
    },
}

/// What is known of a fetch from its beginning.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchInfo {
    /// Its identifier.
    pub id: FetchId,
    /// The settings object it was made with, which has the embedder's document identifier.
    pub client: Arc<Client>,
    /// Its URL, before any redirect.
    pub url: Url,
    /// What made it.
    pub initiator_type: InitiatorType,
    /// Whether it outlives its document.
    pub keepalive: bool,
    /// Length of its body in bytes.
    pub body_length: u64,
}

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The request was delivered: the server answered it, with this status after any redirects.
    Delivered {
        /// The status, whatever it says: a beacon's sender never sees it.
        status: StatusCode,
    },
    /// A network error.
    Failed(NetworkError),
}

/// What became of the keepalive fetches that were unfinished when
/// [`shutdown`](crate::UserAgent::shutdown) was called.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether the drain has ended, by itself or at its deadline, and this is its report. Otherwise
    /// nobody was there to report, or not in time, and the lists are empty and say nothing.
    pub completed: bool,
    /// The fetches that were delivered during the drain, in the order of their answers.
    pub delivered: Vec<DeliveredFetch>,
    /// The fetches that were not delivered.
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

/// A keepalive fetch that a shutdown did not deliver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostFetch {
    /// The fetch.
    pub fetch: Arc<FetchInfo>,
    /// Why it was not delivered.
    pub error: NetworkError,
}
