//! What the driver and the dispatcher tell each other.

use std::time::Instant;

use sendbeacon_fetch::{AbandonReason, NetworkError};

use super::{destinations::DestinationKey, wire::Endpoint};
use crate::id::{FetchId, GroupId};

/// What the driver tells the dispatcher.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A fetch has come.
    Queued(Queued),
    /// A started fetch has ended by itself.
    Finished { id: FetchId },
    /// A request of a started fetch waits until its destination may be tried.
    Held { id: FetchId, destination: DestinationKey },
    /// A request of a started fetch did not reach its destination. The fetch waits for its next attempt.
    Unreached { id: FetchId, destination: DestinationKey, error: NetworkError },
    /// A request of a started fetch has reached its destination.
    Reached { id: FetchId, destination: DestinationKey },
    /// A flag of the group has changed: its document is hidden, frozen or cached, or was so for a moment. Release
    /// its held-back fetches.
    Flush { group: GroupId },
    /// The [fetch group was terminated](https://fetch.spec.whatwg.org/#concept-fetch-group-terminate):
    /// its document has gone.
    GroupTerminated { group: GroupId },
    /// The fetch is to end.
    Abandon { id: FetchId, reason: AbandonReason },
    /// Every fetch of the group is to end.
    AbandonGroup { group: GroupId, reason: AbandonReason },
    /// Important loads have begun (true), or all have ended (false).
    ImportantLoads(bool),
    /// The machine has a network again (true), or has lost it (false).
    Online(bool),
    /// The machine has moved to another network.
    NetworkChanged,
    /// The user agent shuts down: stop fetches without keepalive, start all others, and give up the unfinished
    /// ones at `deadline`.
    ShutDown { deadline: Option<Instant> },
}

/// A fetch that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) id: FetchId,
    pub(crate) group: GroupId,
    pub(crate) endpoint: Endpoint,
    /// Whether the fetch may be held back. It may not if script waits for it, or if its document is hidden or
    /// frozen.
    pub(crate) may_wait: bool,
    /// Whether script waits for the response. Such a fetch starts even while there is no network: a service worker
    /// or the interceptor may answer it. Otherwise it fails at once.
    pub(crate) is_awaited: bool,
    /// Whether the document has gone in the meantime.
    pub(crate) gone: bool,
}

/// What the driver has to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Run this fetch, and send [`Event::Finished`] at its end.
    Start(FetchId),
    /// This fetch waits for its destination: give its quota back, unless its group has too many requests that wait.
    Park(FetchId),
    /// Let this fetch go on, which has waited for its destination. If it was not started before, run it.
    Resume(FetchId),
    /// Drop this fetch, which has failed with this error. No event about it may follow.
    Cancel(FetchId, NetworkError),
}
