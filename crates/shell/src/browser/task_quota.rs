//! The keepalive quota as a script sees it while its task runs.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use sendbeacon::{FetchGroup, KeepaliveLimits};

use crate::page::{RealmId, TaskQueue};

/// No request has been admitted in this task.
const NONE: u64 = u64::MAX;

/// What a task has seen taken of its document's quota. The ledger gives a share back as soon as its fetch is
/// done; a script hears of that, as of all that happens elsewhere, in a task of its own.
///
/// NB: by the standard it may see it at once; two of three browsers count on the script's thread.
pub(super) struct TaskQuota {
    /// Body bytes, those given back since the first request included.
    taken: Arc<AtomicU64>,
    tasks: RefCell<Option<(TaskQueue, RealmId)>>,
}

impl Default for TaskQuota {
    fn default() -> Self {
        Self { taken: Arc::new(AtomicU64::new(NONE)), tasks: RefCell::default() }
    }
}

impl TaskQuota {
    /// Where the tasks of its document are queued.
    pub(super) fn attach(&self, queue: TaskQueue, realm: RealmId) {
        self.tasks.replace(Some((queue, realm)));
    }

    /// What is taken with a body of this length, if it fits.
    pub(super) fn taken_with(&self, group: &FetchGroup, length: u64) -> Option<u64> {
        let taken = match self.taken.load(Relaxed) {
            NONE => group.inflight().body_bytes,
            taken => taken,
        };
        let taken = taken.saturating_add(length);
        (taken <= KeepaliveLimits::default().body_bytes.into()).then_some(taken)
    }

    /// So much is taken until the task is over.
    pub(super) fn set_taken(&self, taken: u64) {
        let before = self.taken.swap(taken, Relaxed);
        if let (NONE, Some((queue, realm))) = (before, &*self.tasks.borrow()) {
            let taken = Arc::clone(&self.taken);
            queue.post(*realm, move |_| taken.store(NONE, Relaxed));
        }
    }
}
