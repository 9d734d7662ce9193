//! The outbox of [sendbeacon](https://docs.rs/sendbeacon): it keeps unfinished requests through crashes and power cuts.
//!
//! * [`FileOutbox`] is a [`host::Outbox`](sendbeacon_fetch::host::Outbox) in a file.
//! * [`KeySealer`] is a [`host::Sealer`](sendbeacon_fetch::host::Sealer) with a key that the embedder gives.
//!
//! The store keeps what it is given, and reads nothing of it. The library `sendbeacon` decides what is kept, seals it
//! and sends it again.

mod database;
mod error;
mod file_outbox;
mod files;
mod format;
mod sealer;

pub use self::{file_outbox::FileOutbox, sealer::KeySealer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
