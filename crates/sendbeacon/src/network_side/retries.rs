//! What decides whether a request is tried again.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use crate::{background_send::BackgroundSend, documents::Documents};

/// What decides whether a request is tried again. The fetches of a user agent share it.
pub(crate) struct Retries {
    pub(super) is_on: bool,
    pub(super) documents: Arc<Documents>,
    pub(super) background_send: Arc<dyn BackgroundSend>,
    /// Whether a destination is away. While none is, a fetch has nothing to ask and nothing to tell. NB: only the
    /// network side reads and writes it.
    is_any_away: AtomicBool,
    /// How often the network has changed.
    network_changes: AtomicU64,
}

impl Retries {
    pub(crate) fn new(
        is_on: bool,
        documents: Arc<Documents>,
        background_send: Arc<dyn BackgroundSend>,
    ) -> Self {
        let (is_any_away, network_changes) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { is_on, documents, background_send, is_any_away, network_changes }
    }

    pub(super) fn is_any_away(&self) -> bool {
        self.is_any_away.load(Relaxed)
    }

    pub(super) fn set_any_away(&self, is_any_away: bool) {
        self.is_any_away.store(is_any_away, Relaxed);
    }

    pub(super) fn network_changed(&self) {
        self.network_changes.fetch_add(1, AcqRel);
    }

    pub(super) fn network_changes(&self) -> u64 {
        self.network_changes.load(Acquire)
    }
}
