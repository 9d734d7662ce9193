//! The [event loop](https://html.spec.whatwg.org/multipage/webappapis.html#event-loops) of a page's thread.
//!
//! All documents of the loop share one JavaScript heap. The loop runs tasks, which any thread can post, timers and
//! microtasks.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeSet, HashMap},
    rc::{Rc, Weak},
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use rquickjs::{Context, Ctx, Function, Runtime, Value};

use super::{
    PageError, PageHost, RealmId, TaskQueue,
    budget::{Budget, TASK_BUDGET},
    contexts::{Contexts, NewContext},
    dom::Subtree,
    exceptions::{ContextId, describe},
    modules,
    navigable::{NavigableId, Navigables},
    prelude::{self, Agent},
    realm::Realm,
    task_queue::Task,
    timers::{TimerId, Timers},
    window::NoHost,
    workers::{self, Workers},
};

/// How many bytes of memory all scripts of an event loop may use together.
const MEMORY_LIMIT: usize = 256 << 20;
/// How large the heap is when the engine collects garbage for the first time. A page with its prelude has about 4 MB, which it
/// keeps.
const GC_THRESHOLD: usize = 16 << 20;
/// How many bytes of stack a script may use. A thread of std has 2 MiB by default.
const STACK_LIMIT: usize = 512 << 10;

/// The state that the native functions of all realms share. It holds no JavaScript value, so the engine can own it
/// without a cycle.
pub(super) struct Shared {
    pub(super) queue: TaskQueue,
    pub(super) timers: RefCell<Timers>,
    pub(super) budget: Budget,
    /// The realms with rejected promises of which they were not notified yet.
    rejected: RefCell<BTreeSet<RealmId>>,
    /// How many fetches run.
    pub(super) fetches: Cell<usize>,
    /// The deferred fetches that were not sent yet at the last look, by realm and number.
    pub(super) deferred: RefCell<Vec<(RealmId, u64)>>,
    /// How many algorithms run that a script has called. While it is not zero, no microtask may run.
    pub(super) nested: Cell<usize>,
    /// The nodes that have left a document and that another document adopts next.
    pub(super) adopted: RefCell<Subtree>,
    /// Whether a document has anything that can run a script or needs a realm.
    pub(super) expects_scripts: Cell<bool>,
    event_loop: OnceCell<Weak<EventLoop>>,
}

impl Shared {
    /// The event loop, unless it is being dropped.
    pub(super) fn event_loop(&self) -> Option<Rc<EventLoop>> {
        self.event_loop.get()?.upgrade()
    }

    /// [HostPromiseRejectionTracker](https://html.spec.whatwg.org/multipage/webappapis.html#the-hostpromiserejectiontracker-implementation)
    fn track_rejection<'js>(
        &self,
        ctx: &Ctx<'js>,
        promise: Value<'js>,
        reason: Value<'js>,
        is_handled: bool,
    ) {
        let realm = self.event_loop().and_then(|it| it.realm_of(ctx.as_raw()));
        let Some(realm) = realm.filter(|_| !self.budget.is_spent()) else { return };
        realm.call_in(ctx, "trackRejection", (promise, reason, is_handled));
        if !is_handled {
            self.rejected.borrow_mut().insert(realm.id());
        }
    }
}

/// What a frozen realm keeps until it is thawed.
#[derive(Default)]
struct Frozen {
    tasks: Vec<Task>,
    /// The timers, and the time that each has left.
    timers: Vec<(TimerId, Duration)>,
}

/// The event loop of one thread.
///
/// NB: fields are dropped in order. Everything that refers to JavaScript objects stands before `runtime`.
pub struct EventLoop {
    /// The windows and frames, with the documents they show.
    navigables: Navigables,
    workers: Workers,
    agent: Agent,
    contexts: Contexts,
    /// The context that `agent` is an object of.
    agent_context: Context,
    /// The host of the windows whose documents other processes run.
    remote_host: RefCell<Rc<dyn PageHost>>,
    realms: RefCell<HashMap<RealmId, Weak<Realm>>>,
    last_realm: Cell<u64>,
    /// The realms whose tasks and timers do not run for now.
    frozen: RefCell<HashMap<RealmId, Frozen>>,
    /// Whether a realm was removed since the last garbage collection.
    has_garbage: Cell<bool>,
    incoming: Receiver<Task>,
    shared: Rc<Shared>,
    runtime: Runtime,
}

impl EventLoop {
    /// Creates an event loop without realms.
    pub fn new() -> Result<Rc<Self>, PageError> {
        let (queue, incoming) = TaskQueue::new();
        let shared = Rc::new(Shared {
            queue,
            timers: RefCell::default(),
            budget: Budget::new(TASK_BUDGET),
            rejected: RefCell::default(),
            fetches: Cell::new(0),
            deferred: RefCell::default(),
            nested: Cell::new(0),
            adopted: RefCell::default(),
            expects_scripts: Cell::new(false),
            event_loop: OnceCell::new(),
        });
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(MEMORY_LIMIT);
        runtime.set_max_stack_size(STACK_LIMIT);
        runtime.set_gc_threshold(GC_THRESHOLD);
        let budget = Rc::clone(&shared);
        runtime.set_interrupt_handler(Some(Box::new(move || budget.budget.should_interrupt())));
        let tracker = Rc::clone(&shared);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, is_handled| {
                tracker.track_rejection(&ctx, promise, reason, is_handled);
            },
        )));
        modules::install(&runtime, &shared);
        let contexts = Contexts::default();
        contexts.fill(&runtime, false)?;
        let agent_context = contexts.take().ok_or(PageError::TooManyRealms)?.into_context();
        let agent = agent_context.with(|ctx| prelude::create_agent(&ctx))?;
        let event_loop = Rc::new(Self {
            navigables: Navigables::default(),
            workers: Workers::default(),
            agent,
            contexts,
            agent_context,
            remote_host: RefCell::new(Rc::new(NoHost)),
            realms: RefCell::default(),
            last_realm: Cell::new(0),
            frozen: RefCell::default(),
            has_garbage: Cell::new(false),
            incoming,
            shared,
            runtime,
        });
        // Cannot fail: nothing else sets it.
        let _ = event_loop.shared.event_loop.set(Rc::downgrade(&event_loop));
        Ok(event_loop)
    }

    /// The queue by which any thread posts tasks.
    #[must_use]
    pub fn queue(&self) -> TaskQueue {
        self.shared.queue.clone()
    }

    /// Sets the number of the first navigable, because other event loops have navigables of the same tab. Default: 1.
    pub fn begin_at(&self, first: NavigableId) {
        self.navigables.begin_at(first);
    }

    /// Sets the host of the windows whose documents other processes run. Default: one that does nothing.
    pub fn set_remote_host(&self, host: Rc<dyn PageHost>) {
        self.remote_host.replace(host);
    }

    pub(super) fn remote_host(&self) -> Rc<dyn PageHost> {
        Rc::clone(&self.remote_host.borrow())
    }

    /// Sets how long a task may run before its script is interrupted. Default: 10 seconds.
    pub fn set_task_budget(&self, limit: Duration) {
        self.shared.budget.set_limit(limit);
    }

    /// Whether there is no timer, no running fetch, no task and no microtask. An idle loop stays idle until a thread
    /// posts a task.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.fetches.get() == 0
            && self.shared.queue.is_empty()
            && self.shared.timers.borrow().is_empty()
            && !self.runtime.is_job_pending()
    }

    /// Whether a deferred fetch (`fetchLater()`) of a document is not sent yet.
    #[must_use]
    pub fn has_deferred_fetches(&self) -> bool {
        let is_waiting = |&(realm, id): &(RealmId, u64)| {
            self.realm(realm).is_some_and(|realm| !realm.window().host().is_activated(id))
        };
        let mut deferred = self.shared.deferred.borrow_mut();
        deferred.retain(is_waiting);
        !deferred.is_empty()
    }

    /// Runs until `done` returns true, or until `deadline`. Returns whether `done` returned true.
    ///
    /// It calls `done` before every turn, and sleeps while there is nothing to do.
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
            // The channel is never disconnected, because `shared` holds a sender.
            if let Ok(task) = self.incoming.recv_timeout(wake.saturating_duration_since(now)) {
                self.run_task(task);
            }
        }
    }

    /// [`run_until`](Self::run_until) [`is_idle`](Self::is_idle).
    pub fn run_until_idle(&self, deadline: Instant) -> bool {
        self.run_until(deadline, Self::is_idle)
    }

    /// Runs at most one task and one timer, so that neither starves the other. Returns whether anything ran.
    fn turn(&self, now: Instant) -> bool {
        // The objects of a realm refer to each other, and keep its host alive: only the collector frees them.
        if self.has_garbage.take() {
            self.workers.drop_stopped();
            self.forget_navigables();
            self.runtime.run_gc();
        }
        self.fill_contexts();
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
        // What the embedder runs before the next turn (an unload, for example) is not part of this task.
        self.shared.queue.note_started();
        ran
    }

    /// Releases the `WindowProxy` objects of the navigables that were removed.
    fn forget_navigables(&self) {
        let removed = self.navigables.take_removed();
        // Without memory this fails, and the objects stay.
        let _ = self.agent_context.with(|ctx| {
            let forget: Function = self.agent.clone().restore(&ctx)?.get("forgetNavigable")?;
            removed.iter().try_for_each(|id| forget.call::<_, ()>((id.0,)))
        });
    }

    fn run_task(&self, task: Task) {
        self.shared.queue.note_received();
        if task.ends_fetch {
            self.shared.fetches.set(self.shared.fetches.get().saturating_sub(1));
        }
        let mut frozen = self.frozen.borrow_mut();
        if let Some(frozen) = task.realm.and_then(|realm| frozen.get_mut(&realm)) {
            frozen.tasks.push(task);
            return;
        }
        drop(frozen);
        self.shared.queue.note_started();
        if let Some(event_loop) = self.shared.event_loop() {
            (task.steps)(&event_loop);
        }
    }

    fn run_timer(&self, realm: RealmId, id: TimerId) {
        self.shared.queue.note_started();
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
        // https://html.spec.whatwg.org/multipage/webappapis.html#notify-about-rejected-promises
        for realm in self.shared.rejected.take() {
            self.shared.queue.post(realm, |realm| realm.call("notifyAboutRejectedPromises", ()));
        }
    }

    /// Reports an exception that ended a microtask.
    ///
    /// The prelude reports what the callbacks of pages throw. So the microtask was interrupted because it ran too long,
    /// or the engine itself failed.
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

    /// The navigables whose documents run on this event loop.
    pub(super) fn navigables(&self) -> &Navigables {
        &self.navigables
    }

    /// The workers whose scripts run on this event loop.
    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Creates the spare contexts that may be needed until the next call. Must not be called while a script runs.
    pub(super) fn fill_contexts(&self) {
        // Without memory there are fewer spare contexts, and realms cannot be created.
        let _ = self.contexts.fill(&self.runtime, self.shared.expects_scripts.get());
    }

    /// Takes a spare context for a new realm.
    pub(super) fn new_context(&self) -> Option<NewContext> {
        self.contexts.take()
    }

    /// Whether there is a spare context, so that a realm can be created while a script runs.
    pub(super) fn has_new_context(&self) -> bool {
        !self.contexts.is_empty()
    }

    /// Runs `steps` as a task that is in none of the documents' realms. Must not be called while a script runs.
    pub(super) fn enter<T>(&self, steps: impl FnOnce(&Ctx<'_>) -> T) -> T {
        self.fill_contexts();
        self.shared.budget.start();
        self.agent_context.with(|ctx| steps(&ctx))
    }

    /// The JavaScript object that the preludes of all realms share. It holds the internal slots.
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

    /// Removes a realm: none of its tasks and timers runs any more, and its workers stop.
    pub(super) fn remove_realm(&self, id: RealmId) {
        self.realms.borrow_mut().remove(&id);
        self.frozen.borrow_mut().remove(&id);
        self.shared.timers.borrow_mut().clear_realm(id);
        self.has_garbage.set(true);
        for worker in self.workers.take_without(id) {
            workers::stop_realm(self, &worker);
        }
    }

    /// Stops the tasks and timers of a realm until [`thaw`](Self::thaw).
    pub(super) fn freeze(&self, id: RealmId) {
        let timers = self.shared.timers.borrow_mut().take_realm(id, Instant::now());
        self.frozen.borrow_mut().insert(id, Frozen { tasks: Vec::new(), timers });
    }

    /// Lets the tasks and timers of a frozen realm run again.
    pub(super) fn thaw(&self, id: RealmId) {
        let Some(Frozen { tasks, timers }) = self.frozen.borrow_mut().remove(&id) else { return };
        for task in tasks {
            self.shared.queue.send(Task { ends_fetch: false, ..task });
        }
        let now = Instant::now();
        for (timer, left) in timers {
            self.shared.timers.borrow_mut().start(id, Some(timer), now + left);
        }
    }

    pub(super) fn realm_of(&self, context: ContextId) -> Option<Rc<Realm>> {
        let realms = self.realms.borrow();
        realms.values().filter_map(Weak::upgrade).find(|realm| realm.context_id() == context)
    }

    pub(super) fn realm(&self, id: RealmId) -> Option<Rc<Realm>> {
        self.realms.borrow().get(&id).and_then(Weak::upgrade)
    }
}
