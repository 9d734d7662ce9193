//! The keepalive quota, as a script sees it while a task runs.

use std::cell::{Cell, RefCell};

use sendbeacon::{FetchGroup, KeepaliveLimits};

use crate::page::TaskQueue;

/// Remembers how much of its document's quota a task has seen in use.
///
/// The ledger gives a fetch's share back as soon as the fetch is done, on another thread. A script sees that only in
/// its next task, like everything that happens on other threads.
///
/// NB: the standard allows a script to see it at once. Two of three browsers count on the script's thread.
#[derive(Default)]
pub(super) struct TaskQuota {
    /// The task that made the document's last request, and the body bytes that the task has seen in use. They include
    /// bytes that were given back since the task's first request.
    taken: Cell<Option<(u32, u64)>>,
    tasks: RefCell<Option<TaskQueue>>,
}

impl TaskQuota {
    /// Sets the queue of the document's tasks.
    pub(super) fn attach(&self, queue: TaskQueue) {
        self.tasks.replace(Some(queue));
    }

    /// The body bytes in use after a request with a body of `length` bytes; `None` if the body does not fit.
    pub(super) fn taken_with(&self, group: &FetchGroup, length: u64) -> Option<u64> {
        let taken = match self.taken.get() {
            Some((task, taken)) if task == self.task() => taken,
            _ => group.inflight().body_bytes,
        };
        let taken = taken.saturating_add(length);
        (taken <= KeepaliveLimits::default().body_bytes.into()).then_some(taken)
    }

    /// Remembers that `taken` body bytes are in use, until the task ends.
    pub(super) fn set_taken(&self, taken: u64) {
        self.taken.set(Some((self.task(), taken)));
    }

    fn task(&self) -> u32 {
        self.tasks.borrow().as_ref().map_or(0, TaskQueue::task)
    }
}
