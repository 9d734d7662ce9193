//! The outbox: where unfinished requests are kept for the time after a crash or the end of the app.

use std::fmt;

use thiserror::Error;

use crate::error_detail::ErrorDetail;

/// Keeps records durably: a map of identifiers to bytes, which survives a crash and a power cut.
///
/// `FileOutbox` in the crate `sendbeacon-outbox` is an implementation. The library calls the methods on a thread that
/// it has for the outbox, one after the other. They may block.
///
/// The library decides what a record means, and seals it with the embedder's [`Sealer`]. A store neither reads a
/// record nor decides when it ends.
pub trait Outbox: Send {
    /// Returns every record. The library calls it once, before all other methods.
    fn load(&mut self) -> Result<Vec<OutboxRecord>, OutboxError>;

    /// Makes these changes, all or none, in their order. When it returns, they are durable. After an error the earlier
    /// state is still there, and the library may call again.
    fn commit(&mut self, changes: &[OutboxChange]) -> Result<(), OutboxError>;

    /// Removes these records, and everything that was set aside because it could not be read. When it returns, that is
    /// durable, and the storage has neither the state nor the content of a removed record, of these or of earlier ones.
    fn clear(&mut self, records: &[RecordId]) -> Result<(), OutboxError>;
}

/// The identifier of a record: a random number, so that no record has the identifier of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u64);

impl RecordId {
    /// The identifier with these bits.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

/// Writes the identifier as 16 hexadecimal digits.
impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A record as it is stored. The library has sealed both parts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxRecord {
    /// The identifier.
    pub id: RecordId,
    /// The part that changes: about 50 bytes with `KeySealer`.
    pub state: Vec<u8>,
    /// The part that never changes: the request.
    pub content: Vec<u8>,
}

impl OutboxRecord {
    /// A record of these parts.
    #[must_use]
    pub fn new(id: RecordId, state: Vec<u8>, content: Vec<u8>) -> Self {
        Self { id, state, content }
    }
}

/// A change of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutboxChange {
    /// Adds a record, whose identifier is new.
    Put(OutboxRecord),
    /// Replaces the state of a record. Does nothing if there is no such record.
    #[non_exhaustive]
    SetState {
        /// The record's identifier.
        id: RecordId,
        /// Its new state.
        state: Vec<u8>,
    },
    /// Removes a record. Does nothing if there is no such record.
    Remove(RecordId),
}

impl OutboxChange {
    /// Makes a [`SetState`](Self::SetState).
    #[must_use]
    pub fn set_state(id: RecordId, state: Vec<u8>) -> Self {
        Self::SetState { id, state }
    }
}

/// Why an [`Outbox`] cannot do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Another process has the outbox.
    #[error("another process has the outbox open: close it, or choose another file")]
    InUse,
    /// There is no room on the disk.
    #[error("the disk is full: {0}")]
    Full(ErrorDetail),
    /// The outbox was written by a later version.
    #[error("the outbox has version {version}, and this library reads versions up to {newest}")]
    #[non_exhaustive]
    Newer {
        /// The version of the outbox.
        version: u32,
        /// The latest version that can be read.
        newest: u32,
    },
    /// Reading or writing has failed.
    #[error("the outbox cannot be read or written: {0}")]
    Storage(ErrorDetail),
}

impl OutboxError {
    /// Makes a [`Newer`](Self::Newer).
    #[must_use]
    pub fn newer(version: u32, newest: u32) -> Self {
        Self::Newer { version, newest }
    }
}

/// Seals the records of an [`Outbox`] under a key of the embedder: authenticated encryption with associated data.
///
/// Without a seal, somebody who can write the storage could choose whom the app writes to, and in whose name. `KeySealer` in the
/// crate `sendbeacon-outbox` does it with a key of 32 bytes. An app that asks the operating system's key store
/// implements the trait. The library calls the methods on the outbox's thread, and they may block.
pub trait Sealer: Send + Sync {
    /// Encrypts `plaintext`, and authenticates it with `associated_data`. `None` if that is not possible at the moment.
    /// The library then makes no new record, and leaves the state of an existing one as it is: a crash may then lead to a
    /// second copy.
    fn seal(&self, associated_data: &[u8], plaintext: &[u8]) -> Option<Vec<u8>>;

    /// Decrypts what [`seal`](Self::seal) has returned for the same associated data. `None` if it is anything else.
    fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;
}
