//! The driver's mailbox, and the messages in it.

use std::time::Instant;

use sendbeacon_fetch::{NetworkError, host::OutboxError};
use tokio::sync::{mpsc, oneshot};
use url::Url;

#[cfg(feature = "outbox")]
use super::outbox::news::News;
use crate::{
    event::ShutdownReport,
    id::FetchId,
    message::{GroupMessage, NetworkSide},
    site_data::SiteData,
};

/// A message to the driver.
pub(crate) enum Message {
    /// From a fetch group.
    Group(GroupMessage),
    /// From a fetch, about its destination.
    Hop(Box<Hop>),
    /// From `UserAgent::clear_site_data`. The reply comes when the outbox is cleared, too.
    ClearSiteData(SiteData, oneshot::Sender<Result<(), OutboxError>>),
    /// From the outbox.
    #[cfg(feature = "outbox")]
    Outbox(News),
    /// From `UserAgent::important_loads`.
    ImportantLoads(bool),
    /// From `UserAgent::set_online`.
    Online(bool),
    /// From `UserAgent::network_changed`.
    NetworkChanged,
    /// Drain, then reply. If the user agent was dropped, there is neither a deadline nor a reply.
    ShutDown { deadline: Option<Instant>, is_until_sent: bool, reply: Option<Reply> },
}

/// What has become of one request of a fetch: the fetch may send several, because of redirects and a preflight.
pub(crate) struct Hop {
    pub(crate) id: FetchId,
    pub(crate) url: Url,
    pub(crate) news: HopNews,
}

pub(crate) enum HopNews {
    /// The request waits until its destination may be tried.
    Held(Turn),
    /// The request has not reached its destination, and waits for its next attempt.
    Unreached(NetworkError, Turn),
    /// The request has reached its destination.
    Reached,
}

/// Tells a fetch that the turn of its request has come.
pub(crate) type Turn = oneshot::Sender<()>;

/// Receives the report of a shutdown.
pub(crate) type Reply = Box<dyn FnOnce(ShutdownReport) + Send>;

/// The driver's mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(mpsc::UnboundedSender<Message>);

impl Mailbox {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends a message, and says whether it is on its way. If it is not, the driver has gone.
    #[inline] // It is a part of the call of `sendBeacon()`.
    pub(crate) fn put(&self, message: Message) -> bool {
        self.0.send(message).is_ok()
    }
}

impl NetworkSide for Mailbox {
    fn send(&self, message: GroupMessage) -> bool {
        self.put(Message::Group(message))
    }
}
