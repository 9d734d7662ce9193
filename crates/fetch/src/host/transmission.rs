//! How far a request has got, as a network reports it.

use std::{fmt, sync::Arc};

use super::answer::BoxFuture;
use crate::error::NetworkError;

/// How far a request has got on its way to the server.
///
/// ```
/// use sendbeacon_fetch::host::Progress;
///
/// assert!(Progress::Unsent < Progress::InPart && Progress::InPart < Progress::Sent);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Progress {
    /// No byte was written, or the server has said that it left the request alone: no server can have acted on it.
    Unsent,
    /// A part of it was written, or all of it, or nothing: the server may have seen it. This is also the progress of a
    /// request whose network reports nothing.
    InPart,
    /// All of it was written, and the system of the server has acknowledged all of it and has not reset the connection.
    /// Or the server has answered.
    Sent,
}

impl Progress {
    /// `unsent`, `in part` or `sent`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::InPart => "in part",
            Self::Sent => "sent",
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a [`Network`](super::Network) reports how far a request has got. A clone reports to the same receiver.
///
/// The reports tell the embedder what became of a request without an answer. A network that reports nothing is a
/// correct one: its requests count as [`InPart`](Progress::InPart) from the moment that it is given them.
#[derive(Clone, Default)]
pub struct Transmission(Option<Arc<dyn TransmissionObserver>>);

impl Transmission {
    /// Reports to `observer`. The default reports to nobody.
    #[must_use]
    pub fn new(observer: Arc<dyn TransmissionObserver>) -> Self {
        Self(Some(observer))
    }

    /// Reports how far the request has got. A later report replaces an earlier one.
    ///
    /// A network that reports at all says [`Unsent`](Progress::Unsent) as soon as it has the request, and
    /// [`InPart`](Progress::InPart) before it writes the first byte.
    pub fn report(&self, progress: Progress) {
        if let Some(observer) = &self.0 {
            observer.progressed(progress);
        }
    }

    /// A network that [waits](super::Network::waits_before_writing) calls this after it has reported
    /// [`InPart`](Progress::InPart), and before it writes the first byte of the request. If there is a future, it waits
    /// for its end: an [`Outbox`](super::Outbox) notes that the request may have been sent. The wait is short, and ends
    /// even if the disk does not answer.
    #[must_use]
    pub fn before_writing(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.as_ref().and_then(|observer| observer.before_writing())
    }

    /// Reports that the request is about to be sent once more, because the last attempt ended with `reason` after a
    /// byte may have been written.
    pub fn sent_again(&self, reason: &NetworkError) {
        if let Some(observer) = &self.0 {
            observer.sent_again(reason);
        }
    }
}

impl fmt::Debug for Transmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmission").finish_non_exhaustive()
    }
}

/// Receives the reports of a [`Transmission`], on the thread that polls the fetch. No method may block.
pub trait TransmissionObserver: Send + Sync {
    /// Receives [`Transmission::report`].
    fn progressed(&self, progress: Progress);

    /// Answers [`Transmission::before_writing`]. Default: nothing to wait for.
    fn before_writing(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// Receives [`Transmission::sent_again`].
    fn sent_again(&self, reason: &NetworkError);
}
