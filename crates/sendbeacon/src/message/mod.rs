//! The messages that a fetch group sends to the network side.
//!
//! This is the floor between the script side and the network side: both import it, and it imports neither.

mod group_state;
mod response;

use std::{fmt, sync::Arc};

use sendbeacon_fetch::{
    Client, CspViolation, Request, Reservation, beacon::Beacon, deferred::QueuedDeferredFetch,
    hyperlink_auditing::Ping,
};

#[cfg(feature = "remote")]
pub(crate) use self::group_state::RemoteRoom;
pub(crate) use self::{
    group_state::{Flag, GroupState},
    response::{Cause, ChannelBody, Piece, Responder},
};
use crate::id::{FetchId, GroupId};

/// A message from a fetch group to the network side.
#[allow(clippy::large_enum_variant)] // Most messages are beacons, and a box would be an allocation for each.
pub(crate) enum GroupMessage {
    /// A beacon was admitted.
    Beacon(FetchId, Beacon, Arc<GroupState>),
    /// A ping was admitted.
    Ping(FetchId, Box<Ping>, Arc<GroupState>),
    /// `fetch()` was called.
    Fetch(Box<FetchCall>, Arc<GroupState>),
    /// `fetchLater()` was called.
    Defer(Box<Deferral>, Arc<GroupState>),
    /// A Content Security Policy was violated.
    Violation(Box<UnreportedViolation>, Arc<GroupState>),
    /// The fetch is to be aborted, as `AbortController` does it.
    AbortFetch(FetchId),
    /// The deferred fetch was aborted.
    AbortDeferred(FetchId),
    /// The `PendingResponse` was dropped: nobody waits for the response.
    Unwanted(FetchId),
    /// The group's flags have changed.
    Flags(Arc<GroupState>),
    /// The group was terminated.
    Terminated(Arc<GroupState>),
    /// The group's fetches are to be given up.
    Abort(Arc<GroupState>),
    /// A [`KeepaliveReservation`](crate::KeepaliveReservation) of the group was dropped: a deferred fetch may have room
    /// now, or a shutdown may have drained.
    ReservationReleased(GroupId),
    /// Look again whether a shutdown has drained: a request was sent, or a content process accepts nothing more.
    Wake,
}

impl GroupMessage {
    /// Makes the message about a violation. `None` if there is no room for it.
    pub(crate) fn violation(
        violation: &CspViolation,
        client: &Arc<Client>,
        group: &Arc<GroupState>,
    ) -> Option<Self> {
        let reservation = group.reserve_violation(violation, client)?;
        let (violation, client) = (violation.clone(), Arc::clone(client));
        let violation = UnreportedViolation { violation, client, reservation };
        Some(Self::Violation(Box::new(violation), Arc::clone(group)))
    }
}

/// The receiver of the messages of fetch groups: the driver in this process, or a channel to the network process.
pub(crate) trait NetworkSide: fmt::Debug + Send + Sync {
    /// Sends a message, and says whether it is on its way. If it is not, the network side has gone or accepts
    /// nothing more.
    fn send(&self, message: GroupMessage) -> bool;
}

/// A call of `fetch()`.
pub(crate) struct FetchCall {
    pub(crate) id: FetchId,
    pub(crate) request: Request,
    /// The room of a keepalive request.
    pub(crate) reservation: Option<Reservation>,
    pub(crate) responder: Responder,
}

/// A call of `fetchLater()`.
pub(crate) struct Deferral {
    pub(crate) id: FetchId,
    pub(crate) queued: QueuedDeferredFetch,
    /// Holds the ledger open, so that a shutdown waits until the network side has received the message.
    pub(crate) hold_open: Option<Reservation>,
}

/// A violation of a Content Security Policy that is to be reported.
pub(crate) struct UnreportedViolation {
    pub(crate) violation: CspViolation,
    pub(crate) client: Arc<Client>,
    /// The room of the message. The reports that are made from it have reservations of their own.
    pub(crate) reservation: Reservation,
}
