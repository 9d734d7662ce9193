//! What the rest of the library tells the network side, and how it gets there.

use std::{sync::Arc, time::Instant};

use sendbeacon_fetch::{Origin, Request, Reservation, beacon::Beacon, hyperlink_auditing::Ping};
use tokio::sync::mpsc;

use crate::{
    FetchId, ShutdownReport, deferred_fetch::Deferred, fetch_group::GroupState, response::Responder,
};

/// What the rest of the library tells the network side.
pub(crate) enum Message {
    Beacon(Beacon, Arc<GroupState>),
    Ping(Box<Ping>, Arc<GroupState>),
    Fetch(Box<PlainFetch>, Arc<GroupState>),
    /// A violation is to be reported.
    Report(Box<Request>, Reservation, Arc<GroupState>),
    AbortFetch(FetchId),
    Defer(Box<Deferred>, Arc<GroupState>),
    AbortDeferred(FetchId),
    /// What the group's flags say has changed.
    Flags(Arc<GroupState>),
    GroupTerminated(Arc<GroupState>),
    Abort(Arc<GroupState>),
    ClearSiteData(Origin),
    ImportantLoads(bool),
    Online(bool),
    NetworkChanged,
    /// An engine's own keepalive request is over.
    ReservationReleased,
    /// No beacon comes any more from a content process. It came behind all that did.
    #[cfg(feature = "remote")]
    ChannelDrained(Arc<crate::remote::Channel>),
    /// Drain, then reply. Without a deadline and a reply where the user agent was dropped.
    ShutDown {
        deadline: Option<Instant>,
        reply: Option<Reply>,
    },
}

/// Where a fetch group's messages go.
#[derive(Clone, Debug)]
pub(crate) enum NetworkSide {
    /// To the driver.
    Here(mpsc::UnboundedSender<Message>),
    /// To another process, which has the driver.
    #[cfg(feature = "remote")]
    There(Arc<crate::remote::Connection>),
}

impl NetworkSide {
    /// Says whether the message is on its way; if not, the network side has gone, or takes no more.
    pub(crate) fn send(&self, message: Message) -> bool {
        match self {
            Self::Here(mailbox) => mailbox.send(message).is_ok(),
            #[cfg(feature = "remote")]
            Self::There(connection) => connection.send(message),
        }
    }
}

/// A fetch whose response somebody waits for.
pub(crate) struct PlainFetch {
    pub(crate) id: FetchId,
    pub(crate) request: Request,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) responder: Responder,
}

/// Takes the report of a shutdown.
pub(crate) type Reply = Box<dyn FnOnce(ShutdownReport) + Send>;
