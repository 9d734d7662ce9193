//! The `fetch()` calls of a content process whose responses the network process passes on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::AbortHandle;
use tokio::sync::Semaphore;

use super::limits::WINDOW;
use crate::id::FetchId;

/// The fetches, by the content process's identifiers.
#[derive(Debug, Default)]
pub(super) struct Fetches(Mutex<HashMap<u64, Fetching>>);

/// A `fetch()` whose response is passed on.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) id: FetchId,
    /// A permit for each piece that the content process has room for.
    pub(super) window: Arc<Semaphore>,
    /// The task that passes the response on.
    pub(super) task: AbortHandle,
    pub(super) is_aborted: bool,
}

impl Fetches {
    pub(super) fn insert(&self, id: u64, fetching: Fetching) {
        self.lock().insert(id, fetching);
    }

    pub(super) fn remove(&self, id: u64) {
        let removed = self.lock().remove(&id);
        // Dropped when the lock is free.
        drop(removed);
    }

    /// The content process took a piece: there is room for one more.
    pub(super) fn taken(&self, id: u64) {
        if let Some(fetching) = self.lock().get(&id) {
            // A process that acknowledges more than it was given does not get a larger window.
            let is_sane = fetching.window.available_permits() < WINDOW;
            fetching.window.add_permits(usize::from(is_sane));
        }
    }

    /// Nobody reads the response: its task is dropped, and with it the response.
    pub(super) fn unwanted(&self, id: u64) {
        self.lock().get(&id).inspect(|fetching| fetching.task.abort());
    }

    /// The fetch to abort. `None` if it is over, or was aborted before.
    pub(super) fn abort(&self, id: u64) -> Option<FetchId> {
        let mut fetches = self.lock();
        let fetching = fetches.get_mut(&id).filter(|fetching| !fetching.is_aborted)?;
        fetching.is_aborted = true;
        Some(fetching.id)
    }

    /// Stops passing responses on.
    pub(super) fn clear(&self) {
        let fetches = std::mem::take(&mut *self.lock());
        for fetching in fetches.into_values() {
            fetching.task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Fetching>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
