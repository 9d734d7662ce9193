//! What a shutdown closes and waits for: the ledgers of fetch groups, and the content processes.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sendbeacon_fetch::{Inflight, KeepaliveLimits, Ledger, Pruning};

/// What a shutdown of a user agent closes and waits for: the ledgers of its fetch groups, and its content
/// processes.
///
/// It is locked when a group or a channel is made and during a shutdown, and not when a beacon is sent.
#[derive(Debug, Default)]
pub(crate) struct Ledgers(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ledgers: Vec<Weak<Ledger>>,
    pruning: Pruning,
    intakes: Vec<Weak<dyn Intake>>,
    is_closed: bool,
}

/// A content process, as a shutdown sees it: it has accepted requests that are still in its channel.
pub(crate) trait Intake: fmt::Debug + Send + Sync {
    /// Asks the process to accept nothing more.
    fn close(&self);

    /// Whether the process accepts nothing more, and every request that it had accepted has been received.
    fn is_drained(&self) -> bool;
}

impl Ledgers {
    /// Opens a ledger. It is closed from the start if a shutdown has begun.
    pub(crate) fn open(&self, limits: KeepaliveLimits) -> Arc<Ledger> {
        let ledger = Ledger::new(limits);
        let mut inner = self.lock();
        if inner.is_closed {
            ledger.close();
        }
        if inner.pruning.is_due(inner.ledgers.len()) {
            inner.ledgers.retain(|ledger| ledger.strong_count() > 0);
            let length = inner.ledgers.len();
            inner.pruning.done(length);
        }
        inner.ledgers.push(Arc::downgrade(&ledger));
        ledger
    }

    /// Adds a content process, for which a shutdown waits.
    #[cfg(feature = "remote")]
    pub(crate) fn watch(&self, intake: Weak<dyn Intake>) {
        let mut inner = self.lock();
        if inner.is_closed {
            intake.upgrade().inspect(|intake| intake.close());
        }
        inner.intakes.retain(|intake| intake.strong_count() > 0);
        inner.intakes.push(intake);
    }

    /// Closes every ledger, and asks the content processes to accept nothing more.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.ledgers.iter().filter_map(Weak::upgrade).for_each(|ledger| ledger.close());
        inner.intakes.iter().filter_map(Weak::upgrade).for_each(|intake| intake.close());
    }

    /// Whether every content process is drained.
    pub(crate) fn are_intakes_drained(&self) -> bool {
        self.lock().intakes.iter().filter_map(Weak::upgrade).all(|intake| intake.is_drained())
    }

    /// Whether no group has a reservation.
    pub(crate) fn are_empty(&self) -> bool {
        let inner = self.lock();
        inner.ledgers.iter().filter_map(Weak::upgrade).all(|l| l.inflight() == Inflight::default())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
