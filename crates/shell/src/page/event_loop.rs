//! The [event loop](https://html.spec.whatwg.org/multipage/webappapis.html#event-loops) of the
//! documents that may script each other, which share one JavaScript heap: tasks from any thread,
//! timers, microtasks.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use rquickjs::{Context, Runtime, context::intrinsic};

use super::{
    PageError,
    budget::{Budget, TASK_BUDGET},
    exceptions::{ContextId, Rejections, describe},
    prelude::{self, Agent},
    realm::Realm,
    timers::{TimerId, Timers},
};

/// What all scripts of an event loop may hold together.
const MEMORY_LIMIT: usize = 256 << 20;
/// A page thread's stack is 2 MiB unless the embedder says more.
const STACK_LIMIT: usize = 512 << 10;

/// Names a realm within its event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(super) u64);

type Steps = Box<dyn FnOnce(&Realm) + Send>;

struct Task {
    realm: RealmId,
    steps: Steps,
    /// Whether a running fetch ends with this task.
    ends_fetch: bool,
}

/// Where other threads put tasks.
#[derive(Clone)]
pub struct TaskQueue {
    sender: Sender<Task>,
    queued: Arc<AtomicUsize>,
}

impl TaskQueue {
    /// [Queues a task](https://html.spec.whatwg.org/multipage/webappapis.html#queue-a-task): `steps`
    /// run on the page's thread, or never, if the realm or its event loop has gone by then.
    pub fn post(&self, realm: RealmId, steps: impl FnOnce(&Realm) + Send + 'static) {
        self.send(Task { realm, steps: Box::new(steps), ends_fetch: false });
    }

    pub(super) fn post_fetch_end(
        &self,
        realm: RealmId,
        steps: impl FnOnce(&Realm) + Send + 'static,
    ) {
        self.send(Task { realm, steps: Box::new(steps), ends_fetch: true });
    }

    fn send(&self, task: Task) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        if self.sender.send(task).is_err() {
            self.queued.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What the native functions of all realms share. Holds no JavaScript value, so that the engine may
/// hold it.
pub(super) struct Shared {
    pub(super) queue: TaskQueue,
    pub(super) timers: RefCell<Timers>,
    pub(super) budget: Budget,
    pub(super) rejections: Rejections,
    pub(super) fetches: Cell<usize>,
    /// How many tasks and timers have run, the running one included.
    pub(super) tasks: Cell<u32>,
}

/// One thread's event loop.
pub struct EventLoop {
    /// Dropped before the runtime whose object it is.
    agent: Agent,
    realms: RefCell<HashMap<RealmId, Weak<Realm>>>,
    last_realm: Cell<u64>,
    /// Whether a realm has gone whose objects wait for the garbage collector.
    has_garbage: Cell<bool>,
    incoming: Receiver<Task>,
    shared: Rc<Shared>,
    runtime: Runtime,
}

impl EventLoop {
    /// An event loop without realms.
    pub fn new() -> Result<Rc<Self>, PageError> {
        let (sender, incoming) = mpsc::channel();
        let shared = Rc::new(Shared {
            queue: TaskQueue { sender, queued: Arc::default() },
            timers: RefCell::default(),
            budget: Budget::new(TASK_BUDGET),
            rejections: Rejections::default(),
            fetches: Cell::new(0),
            tasks: Cell::new(0),
        });
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(MEMORY_LIMIT);
        runtime.set_max_stack_size(STACK_LIMIT);
        let budget = Rc::clone(&shared);
        runtime.set_interrupt_handler(Some(Box::new(move || budget.budget.interrupts())));
        let tracker = Rc::clone(&shared);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, is_handled| {
                tracker.rejections.track(&ctx, &promise, &reason, is_handled);
            },
        )));
        let agent = new_context(&runtime)?.with(|ctx| prelude::create_agent(&ctx))?;
        Ok(Rc::new(Self {
            agent,
            realms: RefCell::default(),
            last_realm: Cell::new(0),
            has_garbage: Cell::new(false),
            incoming,
            shared,
            runtime,
        }))
    }

    /// The handle by which other threads post tasks.
    #[must_use]
    pub fn queue(&self) -> TaskQueue {
        self.shared.queue.clone()
    }

    /// How long one task may run before its script is interrupted. Ten seconds unless set.
    pub fn set_task_budget(&self, limit: Duration) {
        self.shared.budget.set_limit(limit);
    }

    /// Whether nothing can happen any more unless somebody posts a task: no timer, no running fetch,
    /// no task, no microtask.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.fetches.get() == 0
            && self.shared.queue.queued.load(Ordering::Acquire) == 0
            && self.shared.timers.borrow().is_empty()
            && !self.runtime.is_job_pending()
    }

    /// Runs until `done` says so (`true`) or until `deadline` (`false`). Sleeps while there is
    /// nothing to do. `done` is asked before every turn.
    pub fn run_until(&self, deadline: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            if self.turn(now) {
                continue;
            }
            let next = self.shared.timers.borrow_mut().next_expiry();
            let wake = next.map_or(deadline, |expiry| expiry.min(deadline));
            // Never disconnected: `shared` has a sender.
            if let Ok(task) = self.incoming.recv_timeout(wake.saturating_duration_since(now)) {
                self.run_task(task);
            }
        }
    }

    /// [`run_until`](Self::run_until) [`is_idle`](Self::is_idle).
    pub fn run_until_idle(&self, deadline: Instant) -> bool {
        self.run_until(deadline, Self::is_idle)
    }

    /// At most one task and one timer, so that neither starves the other.
    fn turn(&self, now: Instant) -> bool {
        // A realm is one great cycle, and holds its host.
        if self.has_garbage.take() {
            self.runtime.run_gc();
        }
        let task = self.incoming.try_recv().ok();
        let mut ran = task.is_some();
        if let Some(task) = task {
            self.run_task(task);
        }
        let timer = self.shared.timers.borrow_mut().pop_expired(now);
        if let Some((realm, id)) = timer {
            self.run_timer(realm, id);
            ran = true;
        }
        if self.runtime.is_job_pending() {
            self.shared.budget.start();
            self.microtask_checkpoint();
            ran = true;
        }
        ran
    }

    fn run_task(&self, task: Task) {
        self.shared.queue.queued.fetch_sub(1, Ordering::AcqRel);
        if task.ends_fetch {
            self.shared.fetches.set(self.shared.fetches.get().saturating_sub(1));
        }
        self.count_task();
        if let Some(realm) = self.realm(task.realm) {
            (task.steps)(&realm);
        }
    }

    fn count_task(&self) {
        self.shared.tasks.set(self.shared.tasks.get().wrapping_add(1));
    }

    fn run_timer(&self, realm: RealmId, id: TimerId) {
        self.count_task();
        if let Some(realm) = self.realm(realm) {
            realm.call("fireTimer", (id,));
        }
    }

    /// [Perform a microtask checkpoint](https://html.spec.whatwg.org/multipage/webappapis.html#perform-a-microtask-checkpoint),
    /// within the budget of the task it belongs to.
    pub(super) fn microtask_checkpoint(&self) {
        while !self.shared.budget.is_spent() {
            match self.runtime.execute_pending_job() {
                Ok(true) => {}
                Ok(false) => break,
                Err(exception) => self.report_job(&exception.0),
            }
        }
        for rejection in self.shared.rejections.take() {
            if let Some(realm) = self.realm_of(rejection.context) {
                realm.console_error(&format!("Uncaught (in promise) {}", rejection.reason));
            }
        }
    }

    /// A microtask ended with an exception. Callbacks of pages catch their own, so this is one that
    /// ran too long, or the engine's.
    fn report_job(&self, context: &Context) {
        let exception = context.with(|ctx| describe(&ctx, &ctx.catch()));
        let Some(realm) = self.realm_of(context.as_raw()) else { return };
        if !realm.report_interruption() {
            realm.console_error(&format!("Uncaught {exception}"));
        }
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// A context for a realm of this event loop.
    pub(super) fn new_context(&self) -> rquickjs::Result<Context> {
        new_context(&self.runtime)
    }

    /// The object by which the realms' preludes share internal slots.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    pub(super) fn next_realm_id(&self) -> RealmId {
        self.last_realm.set(self.last_realm.get() + 1);
        RealmId(self.last_realm.get())
    }

    pub(super) fn add_realm(&self, realm: &Rc<Realm>) {
        self.realms.borrow_mut().insert(realm.id(), Rc::downgrade(realm));
    }

    /// From now on no task and no timer of the realm runs.
    pub(super) fn remove_realm(&self, id: RealmId) {
        self.realms.borrow_mut().remove(&id);
        self.shared.timers.borrow_mut().clear_realm(id);
        self.has_garbage.set(true);
    }

    fn realm_of(&self, context: ContextId) -> Option<Rc<Realm>> {
        let realms = self.realms.borrow();
        realms.values().filter_map(Weak::upgrade).find(|realm| realm.context_id() == context)
    }

    fn realm(&self, id: RealmId) -> Option<Rc<Realm>> {
        self.realms.borrow().get(&id).and_then(Weak::upgrade)
    }
}

/// `Context::full` gives only the first context of a runtime a `DOMException`, so this names what it
/// adds, but for `atob` and `btoa`, which the prelude makes.
fn new_context(runtime: &Runtime) -> rquickjs::Result<Context> {
    Context::custom::<intrinsic::All>(runtime)
}
