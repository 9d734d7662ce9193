//! What the driver is told, and its mailbox.

use std::time::Instant;

use sendbeacon_fetch::Origin;
use tokio::sync::mpsc;

use crate::{
    event::ShutdownReport,
    message::{GroupMessage, NetworkSide},
};

/// What the driver is told: by a fetch group, or by the user agent.
pub(crate) enum Message {
    Group(GroupMessage),
    ClearSiteData(Origin),
    ImportantLoads(bool),
    Online(bool),
    NetworkChanged,
    /// Drain, then reply. There is neither a deadline nor a reply if the user agent was dropped.
    ShutDown {
        deadline: Option<Instant>,
        reply: Option<Reply>,
    },
}

/// Takes the report of a shutdown.
pub(crate) type Reply = Box<dyn FnOnce(ShutdownReport) + Send>;

/// The driver's mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(mpsc::UnboundedSender<Message>);

impl Mailbox {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Says whether the message is on its way. If not, the driver has gone.
    pub(crate) fn put(&self, message: Message) -> bool {
        self.0.send(message).is_ok()
    }
}

impl NetworkSide for Mailbox {
    fn send(&self, message: GroupMessage) -> bool {
        self.put(Message::Group(message))
    }
}
