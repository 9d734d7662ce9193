//! `Window`, the native part of a realm's global object.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Instant, SystemTime},
};

use sendbeacon::{Client, CspDisposition, CspViolation, Origin};
use url::Url;

use super::{
    BodyInit, Environment, FetchDone, FetchRequest, PageHost, RealmId, ResourceTiming,
    data_urls::process_data_url,
    document::Document,
    dom::NodeId,
    event_loop::{EventLoop, Shared},
    host::{FetchedScript, PolicyContainer, ScriptRequest},
    markup::ScriptCreatedParser,
    modules::ModuleMap,
    navigable::{Navigable, NavigableId},
    realm::Realm,
};

/// The state that the native functions of a realm work on, for a window or a worker.
///
/// It holds no JavaScript value. Otherwise a native function that holds it would create a cycle that the garbage
/// collector does not see.
pub(super) struct Window {
    pub(super) id: RealmId,
    /// Whether another process runs the document.
    pub(super) is_remote: bool,
    pub(super) document: Document,
    pub(super) modules: ModuleMap,
    pub(super) time_origin: Cell<TimeOrigin>,
    shared: Rc<Shared>,
    host: RefCell<Rc<dyn PageHost>>,
    environment: RefCell<Environment>,
    last_fetch: Cell<u64>,
    last_worker: Cell<u32>,
    last_task: Cell<u32>,
    /// The navigable that shows this document. `None` if the document is not
    /// [fully active](https://html.spec.whatwg.org/multipage/document-sequences.html#fully-active).
    pub(super) navigable: Cell<Option<NavigableId>>,
    /// The [content navigables](https://html.spec.whatwg.org/multipage/document-sequences.html#content-navigable)
    /// of the document's elements.
    pub(super) frames: RefCell<BTreeMap<NodeId, NavigableId>>,
    pub(super) stage: Cell<Stage>,
    /// [Is initial about:blank](https://html.spec.whatwg.org/multipage/document-sequences.html#is-initial-about:blank)
    pub(super) is_initial: Cell<bool>,
    /// The [unload counter](https://html.spec.whatwg.org/multipage/document-lifecycle.html#unload-counter): it is not zero
    /// while the document fires `beforeunload` or is unloaded.
    pub(super) unload_counter: Cell<u32>,
    /// The parser that `document.open()` has created, until `document.close()`.
    pub(super) parser: RefCell<Option<Rc<ScriptCreatedParser>>>,
    /// How many scripts that a script has inserted delay the `load` event.
    pub(super) pending_scripts: Cell<usize>,
    /// Whether `parser` waits for a script that it has reached.
    pub(super) is_in_parser_script: Cell<bool>,
    /// The text that a script has passed to `document.write()` while a parser runs the script.
    pub(super) written: RefCell<String>,
}

/// How far a document is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The parser or the deferred scripts run.
    Parsing,
    /// The document waits until nothing delays its `load` event.
    Loading,
    /// `load` has been fired.
    Complete,
}

impl Window {
    /// A window with the [initial `about:blank`](https://html.spec.whatwg.org/multipage/document-sequences.html#is-initial-about:blank)
    /// document.
    pub(super) fn new(id: RealmId, shared: Rc<Shared>, is_remote: bool) -> Self {
        let url = Url::parse("about:blank").expect("about:blank is a URL");
        Self {
            id,
            is_remote,
            document: Document::new(url.clone()),
            modules: ModuleMap::default(),
            time_origin: Cell::new(TimeOrigin::at(Instant::now())),
            shared,
            host: RefCell::new(Rc::new(NoHost)),
            environment: RefCell::new(Environment::new(url)),
            last_fetch: Cell::new(0),
            last_worker: Cell::new(0),
            last_task: Cell::new(0),
            navigable: Cell::new(None),
            frames: RefCell::default(),
            stage: Cell::new(Stage::Parsing),
            is_initial: Cell::new(false),
            unload_counter: Cell::new(0),
            parser: RefCell::default(),
            pending_scripts: Cell::new(0),
            is_in_parser_script: Cell::new(false),
            written: RefCell::default(),
        }
    }

    /// Gives the window a new document, with its environment and its host.
    pub(super) fn initialize(&self, environment: Environment, host: Rc<dyn PageHost>) {
        self.document.replace(environment.url.clone(), environment.about_base_url.clone());
        if let Some(value) = &environment.refresh {
            self.document.refresh(value);
        }
        self.frames.take();
        self.pending_scripts.set(0);
        self.stage.set(Stage::Parsing);
        if let Some(navigation) = &environment.navigation {
            self.time_origin.set(TimeOrigin::at(navigation.timing.start));
        }
        self.environment.replace(environment);
        self.host.replace(host);
        self.host().attached(self.shared.queue.clone(), self.id);
        self.notify_host();
    }

    /// Runs `steps`, during which the document does not navigate.
    pub(super) fn while_unloading<T>(&self, steps: impl FnOnce() -> T) -> T {
        let counter = &self.unload_counter;
        counter.set(counter.get() + 1);
        let result = steps();
        counter.set(counter.get() - 1);
        result
    }

    /// Sets the origin of the settings object. Only a remote window has not had it from the beginning.
    pub(super) fn set_origin(&self, origin: Origin) {
        self.environment.borrow_mut().client.origin = origin;
    }

    pub(super) fn environment(&self) -> Ref<'_, Environment> {
        self.environment.borrow()
    }

    /// The URL whose cookies `document.cookie` gives access to.
    pub(super) fn cookie_url(&self) -> Url {
        let inherited = self.environment().cookie_url.clone();
        inherited.unwrap_or_else(|| self.document.url())
    }

    /// The settings object as it is now.
    pub(super) fn client(&self) -> Client {
        self.document.info().client(self.environment().client.clone())
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn event_loop(&self) -> Option<Rc<EventLoop>> {
        self.shared.event_loop()
    }

    /// The [node navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#node-navigable)
    /// of the document.
    pub(super) fn navigable(&self) -> Option<Rc<Navigable>> {
        self.event_loop()?.navigables().get(self.navigable.get()?)
    }

    /// The realm of this window, if its document is fully active.
    pub(super) fn active_realm(&self) -> Option<Rc<Realm>> {
        self.navigable.get()?;
        self.event_loop()?.realm(self.id)
    }

    /// The [content navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#content-navigable)
    /// of one of the document's elements.
    pub(super) fn content_navigable(&self, container: NodeId) -> Option<Rc<Navigable>> {
        let id = self.frames.borrow().get(&container).copied()?;
        self.event_loop()?.navigables().get(id)
    }

    pub(super) fn host(&self) -> Rc<dyn PageHost> {
        Rc::clone(&self.host.borrow())
    }

    /// Reports these violations, and fires their events. Returns whether an enforced policy was violated.
    pub(super) fn report_violations(&self, violations: Vec<CspViolation>) -> bool {
        let is_enforced = violations.iter().any(|it| it.disposition == CspDisposition::Enforce);
        for violation in violations {
            self.host().report_violation(&violation);
            self.shared.queue.post(self.id, move |realm| realm.fire_violation(violation.into()));
        }
        is_enforced
    }

    /// Fetches a script, and adds the fetch to the performance timeline.
    pub(super) fn load_script(&self, request: &ScriptRequest) -> Result<FetchedScript, String> {
        let url = &request.url;
        if url.scheme() == "data" {
            let (type_, body) =
                process_data_url(url.as_str()).ok_or("the data: URL is not valid")?;
            return Ok(FetchedScript {
                url: url.clone(),
                type_: Some(type_.to_string()),
                policies: PolicyContainer::default(),
                body,
            });
        }
        let start = Instant::now();
        let loaded = self.host().load_script(request);
        let timing = ResourceTiming::opaque(url.to_string(), "script", start);
        self.shared.queue.post(self.id, |realm| realm.add_resource_timing(timing));
        loaded
    }

    pub(super) fn next_fetch_id(&self) -> u64 {
        self.last_fetch.set(self.last_fetch.get() + 1);
        self.last_fetch.get()
    }

    pub(super) fn next_task_id(&self) -> u32 {
        self.last_task.set(self.last_task.get().wrapping_add(1));
        self.last_task.get()
    }

    pub(super) fn next_worker_id(&self) -> u32 {
        self.last_worker.set(self.last_worker.get().wrapping_add(1));
        self.last_worker.get()
    }

    /// Applies what the parser or a script has changed in the tree, and tells the host if requests depend on it.
    pub(super) fn apply_tree_changes(&self) {
        if self.document.apply_tree_changes() {
            self.notify_host();
        }
    }

    pub(super) fn notify_host(&self) {
        self.host().document_changed(&self.document.info());
    }
}

/// The [time origin](https://w3c.github.io/hr-time/#dfn-get-time-origin-timestamp) of a realm.
#[derive(Clone, Copy)]
pub(super) struct TimeOrigin {
    pub(super) at: Instant,
    pub(super) unix_milliseconds: f64,
}

impl TimeOrigin {
    fn at(at: Instant) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix_milliseconds = now.saturating_sub(at.elapsed()).as_secs_f64() * 1000.0;
        Self { at, unix_milliseconds }
    }
}

/// The host of a window that has no document yet: it does nothing.
pub(super) struct NoHost;

impl PageHost for NoHost {
    fn send_beacon(&self, _url: &str, _data: Option<BodyInit>) -> Result<bool, String> {
        Ok(false)
    }

    fn fetch(&self, _request: FetchRequest, done: FetchDone) {
        done(Err("the document has no browser".into()));
    }

    fn console(&self, _level: &str, _message: &str) {}
}
