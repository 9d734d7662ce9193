//! The messages to the driver about the records.

use sendbeacon_fetch::host::{OutboxError, RecordId};

use super::{
    record::{Kept, State},
    waiting::Permission,
};
use crate::id::FetchId;

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

/// A record that was made and is not yet put.
pub(crate) struct Made {
    pub(in crate::network_side) fetch: FetchId,
    pub(super) content: Option<Box<(Kept, Vec<u8>)>>,
}
