//! The credits that the network process has lent to a content process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sendbeacon_fetch::Share;

use crate::remote::limits::{FIRST_CREDITS, LOAN};

/// The credits of one channel. Each byte is either free or spent, and taken from the share of the process's site.
///
/// The network process takes lent credits from the share first, so a request that spends them is never refused for
/// want of memory. When the channel ends, the free credits go back to the share at once, and the spent ones when
/// their fetches are done.
#[derive(Debug)]
pub(super) struct Lent {
    share: Arc<Share>,
    free: Mutex<Free>,
}

/// The credits that no fetch has spent, in bytes. `None` once the channel has ended.
type Free = Option<u64>;

impl Lent {
    /// Lends the first credits, even if the share has too few.
    pub(super) fn new(share: Arc<Share>) -> Arc<Self> {
        share.take_anyway(FIRST_CREDITS);
        Arc::new(Self { share, free: Mutex::new(Some(FIRST_CREDITS)) })
    }

    /// Lends more, as far as the share has some, and returns how many bytes.
    pub(super) fn lend(&self) -> u64 {
        let mut free = self.free();
        let Some(free) = &mut *free else { return 0 };
        let smaller = |bytes: &u64| (*bytes > LOAN / 16).then_some(bytes / 2);
        let loan = std::iter::successors(Some(LOAN), smaller).find(|bytes| self.share.take(*bytes));
        let bytes = loan.unwrap_or_default();
        *free += bytes;
        bytes
    }

    /// Spends free credits. `None` if there are too few.
    pub(super) fn spend(self: &Arc<Self>, bytes: u64) -> Option<Spent> {
        let mut free = self.free();
        let rest = free.and_then(|free| free.checked_sub(bytes))?;
        *free = Some(rest);
        Some(Spent { bytes, lent: Arc::clone(self) })
    }

    /// Takes free credits back, and says whether there were as many.
    pub(super) fn take_back(&self, bytes: u64) -> bool {
        let mut free = self.free();
        let rest = free.and_then(|free| free.checked_sub(bytes));
        if rest.is_some() {
            *free = rest;
            self.share.give_back(bytes);
        }
        rest.is_some()
    }

    /// Takes all free credits back, because the channel has ended.
    pub(super) fn end(&self) {
        if let Some(free) = self.free().take() {
            self.share.give_back(free);
        }
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The credits that one fetch has spent. Dropping it frees them, or gives them back to the share if the channel has
/// ended.
#[derive(Debug)]
pub(super) struct Spent {
    bytes: u64,
    lent: Arc<Lent>,
}

impl Drop for Spent {
    fn drop(&mut self) {
        match &mut *self.lent.free() {
            Some(free) => *free += self.bytes,
            None => self.lent.share.give_back(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests;
