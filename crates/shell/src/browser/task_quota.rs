//! The keepalive quota as a script sees it while its task runs.

use std::cell::{Cell, RefCell};

use sendbeacon::{FetchGroup, KeepaliveLimits};

use crate::page::TaskQueue;

/// What a task has seen taken of its document's quota. The ledger gives a share back as soon as its fetch is
/// done; a script hears of that, as of all that happens elsewhere, in a task of its own.
///
/// NB: by the standard it may see it at once; two of three browsers count on the script's thread.
#[derive(Default)]
pub(super) struct TaskQuota {
    /// Body bytes, those given back since the first request included, and the task that saw them taken.
    taken: Cell<Option<(u32, u64)>>,
    tasks: RefCell<Option<TaskQueue>>,
}

impl TaskQuota {
    /// Where the tasks of its document are queued.
    pub(super) fn attach(&self, queue: TaskQueue) {
        self.tasks.replace(Some(queue));
    }

    /// What is taken with a body of this length, if it fits.
    pub(super) fn taken_with(&self, group: &FetchGroup, length: u64) -> Option<u64> {
        let taken = match self.taken.get() {
            Some((task, taken)) if task == self.task() => taken,
            _ => group.inflight().body_bytes,
        };
        let taken = taken.saturating_add(length);
        (taken <= KeepaliveLimits::default().body_bytes.into()).then_some(taken)
    }

    /// So much is taken until the task is over.
    pub(super) fn set_taken(&self, taken: u64) {
        self.taken.set(Some((self.task(), taken)));
    }

    fn task(&self) -> u32 {
        self.tasks.borrow().as_ref().map_or(0, TaskQueue::task)
    }
}
