//! Telling the driver the end of a task.

use sendbeacon_fetch::host::{OutboxError, RecordId};
use tokio::sync::oneshot;

use super::{news::News, waiting::Permission};
use crate::network_side::mailbox::{Mailbox, Message};

/// Receives the end of a clearing.
pub(in crate::network_side) type ClearReply = oneshot::Sender<Result<(), OutboxError>>;

/// Tells the driver the end of a task when it is dropped: also if the task ends by a panic of an embedder's service.
pub(in crate::network_side) struct Telling {
    mailbox: Mailbox,
    news: Option<News>,
}

impl Telling {
    /// Will tell `news`, unless it is told something else.
    pub(super) fn new(mailbox: Mailbox, news: News) -> Self {
        Self { mailbox, news: Some(news) }
    }

    /// Will tell the embedder's answer about a record. Without an answer it is no.
    pub(in crate::network_side) fn about(record: RecordId, mailbox: Mailbox) -> Self {
        Self::new(mailbox, News::Permitted(Permission { record, is_permitted: false }))
    }

    /// Tells this.
    pub(super) fn tell(mut self, news: News) {
        self.news = Some(news);
    }

    /// Tells the embedder's answer.
    pub(in crate::network_side) fn answer(mut self, is_permitted: bool) {
        if let Some(News::Permitted(permission)) = &mut self.news {
            permission.is_permitted = is_permitted;
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(news) = self.news.take() {
            self.mailbox.put(Message::Outbox(news));
        }
    }
}
