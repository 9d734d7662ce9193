//! The `fetch()` calls of a content process whose responses the network process passes on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::AbortHandle;
use tokio::sync::Semaphore;

use crate::{id::FetchId, remote::limits::WINDOW};

/// The fetches, by the identifiers that the content process gave them.
#[derive(Debug, Default)]
pub(super) struct Fetches(Mutex<HashMap<u64, Fetching>>);

/// A `fetch()` whose response is passed on.
#[derive(Debug)]
pub(super) struct Fetching {
    /// The identifier in this process.
    pub(super) id: FetchId,
    /// A permit for each piece of the body that the content process has room for.
    pub(super) window: Arc<Semaphore>,
    /// The task that passes the response on.
    pub(super) task: AbortHandle,
    pub(super) is_aborted: bool,
}

impl Fetches {
    pub(super) fn has(&self, id: u64) -> bool {
        self.lock().contains_key(&id)
    }

    pub(super) fn insert(&self, id: u64, fetching: Fetching) {
        self.lock().insert(id, fetching);
    }

    pub(super) fn remove(&self, id: u64) {
        let removed = self.lock().remove(&id);
        // It is dropped after the lock was released.
        drop(removed);
    }

    /// Notes that the content process has taken a piece, so that it has room for one more.
    pub(super) fn taken(&self, id: u64) {
        if let Some(fetching) = self.lock().get(&id) {
            // A process that acknowledges more pieces than it was sent does not get a larger window.
            let is_sane = fetching.window.available_permits() < WINDOW;
            fetching.window.add_permits(usize::from(is_sane));
        }
    }

    /// Notes that nobody reads the response. Its task is dropped, and the response with the task.
    pub(super) fn unwanted(&self, id: u64) {
        self.lock().get(&id).inspect(|fetching| fetching.task.abort());
    }

    /// The identifier of the fetch to abort. `None` if the fetch is over or was aborted before.
    pub(super) fn abort(&self, id: u64) -> Option<FetchId> {
        let mut fetches = self.lock();
        let fetching = fetches.get_mut(&id).filter(|fetching| !fetching.is_aborted)?;
        fetching.is_aborted = true;
        Some(fetching.id)
    }

    /// Stops passing on all responses.
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
