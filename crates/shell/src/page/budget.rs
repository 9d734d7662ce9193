//! The time budget of a task: a page must not be able to hang its browser.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How long a task and its microtasks may run, unless the embedder sets another limit.
pub(crate) const TASK_BUDGET: Duration = Duration::from_secs(10);

/// The time that the running task has left.
pub(super) struct Budget {
    limit: Cell<Duration>,
    /// When the running task must end. `None` before the first task, and for a limit without end.
    until: Cell<Option<Instant>>,
    /// Whether a script was interrupted and the console does not say so yet.
    interrupted: Cell<bool>,
}

impl Budget {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit: Cell::new(limit), until: Cell::new(None), interrupted: Cell::new(false) }
    }

    pub(super) fn set_limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// Gives a new task the whole budget.
    pub(super) fn start(&self) {
        self.until.set(Instant::now().checked_add(self.limit.get()));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.until.get().is_some_and(|until| Instant::now() >= until)
    }

    /// Whether to end the running script. The engine asks every few thousand operations.
    pub(super) fn should_interrupt(&self) -> bool {
        let spent = self.is_spent();
        if spent {
            self.interrupted.set(true);
        }
        spent
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// Whether a script was interrupted since the last call of this method.
    pub(super) fn take_interrupted(&self) -> bool {
        self.interrupted.take()
    }
}
