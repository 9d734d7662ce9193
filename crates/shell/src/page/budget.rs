//! A bound on the time a task may run: a page must not be able to hang its browser.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How long a task and its microtasks may run.
pub(super) const TASK_BUDGET: Duration = Duration::from_secs(10);

pub(super) struct Budget {
    limit: Cell<Duration>,
    until: Cell<Option<Instant>>,
    /// Whether a script has been interrupted and nobody has said so yet.
    interrupted: Cell<bool>,
}

impl Budget {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit: Cell::new(limit), until: Cell::new(None), interrupted: Cell::new(false) }
    }

    pub(super) fn set_limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// A task begins.
    pub(super) fn start(&self) {
        self.until.set(Instant::now().checked_add(self.limit.get()));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.until.get().is_some_and(|until| Instant::now() >= until)
    }

    /// Asked by the engine every few thousand operations; `true` ends the script.
    pub(super) fn interrupts(&self) -> bool {
        let spent = self.is_spent();
        if spent {
            self.interrupted.set(true);
        }
        spent
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// Whether a script was interrupted since the last call.
    pub(super) fn take_interrupted(&self) -> bool {
        self.interrupted.take()
    }
}
