//! The messages to the driver about the records.

use sendbeacon_fetch::host::{OutboxError, RecordId};

use super::{
    gate::Gate,
    record::{Kept, State},
    waiting::Permission,
};
use crate::{
    id::FetchId,
    network_side::mailbox::{Mailbox, Message},
};

/// What has become of a record, or of the outbox.
pub(crate) enum News {
    /// The records that were in the outbox at the start. The others could not be read, and are removed.
    Loaded(Vec<(RecordId, State, Kept)>),
    /// The record of a request was made, or could not be.
    Made(Made),
    /// The record of this request is durable, or was not put because of an error.
    Put(FetchId, bool),
    /// It is durable that a record is tried.
    Attempt(RecordId),
    /// The embedder has said whether a record may be sent.
    Permitted(Permission),
    /// Every job until now is done.
    Idle,
    /// The outbox has failed. The requests go on.
    Failed(OutboxError),
}

/// What a record belongs to.
pub(in crate::network_side) enum Whose<'a> {
    /// An unfinished request, with this gate.
    Request(&'a Gate),
    /// A deferred fetch that is pending.
    Deferred,
    /// Nothing: it is over.
    Ended,
}

/// A record that was made and is not yet put.
pub(crate) struct Made {
    pub(in crate::network_side) fetch: FetchId,
    pub(super) content: Option<Box<(Kept, Vec<u8>)>>,
}

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
