//! Locking a mutex whose lock may be poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after another thread has panicked while it held the lock.
///
/// Each critical section of this crate is a single change, so a panic leaves no change half done.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
