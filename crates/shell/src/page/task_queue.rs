//! The [task queue](https://html.spec.whatwg.org/multipage/webappapis.html#task-queue) of an event loop.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
};

use super::{event_loop::EventLoop, realm::Realm};

/// Identifies a realm within its event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(super) u64);

type Steps = Box<dyn FnOnce(&Rc<EventLoop>) + Send>;

/// A task of an event loop.
pub(super) struct Task {
    /// The realm in which the task runs. While the realm is frozen, the task waits.
    pub(super) realm: Option<RealmId>,
    pub(super) steps: Steps,
    /// Whether this task ends a running fetch.
    pub(super) ends_fetch: bool,
}

impl Task {
    /// A task that runs in a realm if the realm still exists.
    fn in_realm(
        realm: RealmId,
        steps: impl FnOnce(&Realm) + Send + 'static,
        ends_fetch: bool,
    ) -> Self {
        let steps = move |event_loop: &Rc<EventLoop>| {
            if let Some(realm) = event_loop.realm(realm) {
                steps(&realm);
            }
        };
        Self { realm: Some(realm), steps: Box::new(steps), ends_fetch }
    }
}

/// The queue by which any thread posts tasks to an event loop.
#[derive(Clone)]
pub struct TaskQueue {
    sender: Sender<Task>,
    /// How many tasks are posted, and not received by the event loop yet.
    queued: Arc<AtomicUsize>,
    /// How many tasks have begun, which numbers the running one.
    started: Arc<AtomicU32>,
}

impl TaskQueue {
    /// Creates a queue, and the receiver for its event loop.
    pub(super) fn new() -> (Self, Receiver<Task>) {
        let (sender, receiver) = mpsc::channel();
        (Self { sender, queued: Arc::default(), started: Arc::default() }, receiver)
    }

    /// The number of the running task. Each task has a different number.
    #[must_use]
    pub fn task(&self) -> u32 {
        self.started.load(Ordering::Acquire)
    }

    /// [Queues a task](https://html.spec.whatwg.org/multipage/webappapis.html#queue-a-task) that runs `steps` on the
    /// page's thread. The steps never run if the realm or its event loop is dropped before.
    pub fn post(&self, realm: RealmId, steps: impl FnOnce(&Realm) + Send + 'static) {
        self.send(Task::in_realm(realm, steps, false));
    }

    /// Queues a task that belongs to no realm.
    pub fn post_to_event_loop(&self, steps: impl FnOnce(&Rc<EventLoop>) + Send + 'static) {
        self.send(Task { realm: None, steps: Box::new(steps), ends_fetch: false });
    }

    /// Queues a task that ends a running fetch.
    pub(super) fn post_fetch_end(
        &self,
        realm: RealmId,
        steps: impl FnOnce(&Realm) + Send + 'static,
    ) {
        self.send(Task::in_realm(realm, steps, true));
    }

    pub(super) fn send(&self, task: Task) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        if self.sender.send(task).is_err() {
            self.queued.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Notes that the event loop has received a task.
    pub(super) fn note_received(&self) {
        self.queued.fetch_sub(1, Ordering::AcqRel);
    }

    /// Notes that a task begins.
    pub(super) fn note_started(&self) {
        self.started.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether no task waits to be received.
    pub(super) fn is_empty(&self) -> bool {
        self.queued.load(Ordering::Acquire) == 0
    }
}
