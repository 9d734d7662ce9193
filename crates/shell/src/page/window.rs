//! The part of a window that is not JavaScript.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Instant, SystemTime},
};

use data_url::DataUrl;
use sendbeacon::Client;
use url::Url;

use super::{
    BodyInit, Environment, FetchDone, FetchRequest, PageHost, RealmId, ResourceTiming,
    document::Document,
    dom::NodeId,
    event_loop::{EventLoop, Shared},
    markup::ScriptCreatedParser,
    navigable::{Navigable, NavigableId},
};

/// What the native functions of a realm work on. Holds no JavaScript value, so that they may hold
/// it.
pub(super) struct Window {
    pub(super) id: RealmId,
    pub(super) document: Document,
    pub(super) time_origin: TimeOrigin,
    shared: Rc<Shared>,
    host: RefCell<Rc<dyn PageHost>>,
    environment: RefCell<Environment>,
    last_fetch: Cell<u64>,
    last_worker: Cell<u32>,
    /// The navigable whose active document this is; none if it is not
    /// [fully active](https://html.spec.whatwg.org/multipage/document-sequences.html#fully-active).
    pub(super) navigable: Cell<Option<NavigableId>>,
    /// The [content navigables](https://html.spec.whatwg.org/multipage/document-sequences.html#content-navigable)
    /// of its elements.
    pub(super) frames: RefCell<BTreeMap<NodeId, NavigableId>>,
    pub(super) stage: Cell<Stage>,
    /// [Is initial about:blank](https://html.spec.whatwg.org/multipage/document-sequences.html#is-initial-about:blank)
    pub(super) is_initial: Cell<bool>,
    /// Since `document.open()`.
    pub(super) parser: RefCell<Option<Rc<ScriptCreatedParser>>>,
    pub(super) is_in_parser_script: Cell<bool>,
    /// What a script that a parser runs has written.
    pub(super) written: RefCell<String>,
}

/// How far a document has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its parser runs, or its deferred scripts.
    Parsing,
    /// It waits for what delays its `load` event.
    Loading,
    /// `load` has been fired.
    Complete,
}

impl Window {
    /// A window with the [initial `about:blank`](https://html.spec.whatwg.org/multipage/document-sequences.html#is-initial-about:blank)
    /// document.
    pub(super) fn new(id: RealmId, shared: Rc<Shared>) -> Self {
        let url = Url::parse("about:blank").expect("about:blank is a URL");
        Self {
            id,
            document: Document::new(url.clone()),
            time_origin: TimeOrigin::now(),
            shared,
            host: RefCell::new(Rc::new(NoHost)),
            environment: RefCell::new(Environment::new(url)),
            last_fetch: Cell::new(0),
            last_worker: Cell::new(0),
            navigable: Cell::new(None),
            frames: RefCell::default(),
            stage: Cell::new(Stage::Parsing),
            is_initial: Cell::new(false),
            parser: RefCell::default(),
            is_in_parser_script: Cell::new(false),
            written: RefCell::default(),
        }
    }

    pub(super) fn initialize(&self, environment: Environment, host: Rc<dyn PageHost>) {
        self.document.replace(environment.url.clone(), environment.about_base_url.clone());
        if let Some(value) = &environment.refresh {
            self.document.refresh(value);
        }
        self.frames.take();
        self.stage.set(Stage::Parsing);
        self.environment.replace(environment);
        self.host.replace(host);
        self.host().attached(self.shared.queue.clone(), self.id);
        self.notify_host();
    }

    pub(super) fn environment(&self) -> Ref<'_, Environment> {
        self.environment.borrow()
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
    /// of its document.
    pub(super) fn navigable(&self) -> Option<Rc<Navigable>> {
        self.event_loop()?.navigables().get(self.navigable.get()?)
    }

    /// The [content navigable](https://html.spec.whatwg.org/multipage/document-sequences.html#content-navigable)
    /// of one of its elements.
    pub(super) fn content_navigable(&self, container: NodeId) -> Option<Rc<Navigable>> {
        let id = self.frames.borrow().get(&container).copied()?;
        self.event_loop()?.navigables().get(id)
    }

    pub(super) fn host(&self) -> Rc<dyn PageHost> {
        Rc::clone(&self.host.borrow())
    }

    /// Fetches a script, and puts that into the timeline.
    pub(super) fn load_script(&self, url: &Url) -> Result<(Vec<u8>, Option<String>), String> {
        if url.scheme() == "data" {
            return load_data(url).ok_or_else(|| "the data: URL is none".to_owned());
        }
        let start = Instant::now();
        let loaded = self.host().load_script(url);
        let timing = ResourceTiming::opaque(url.to_string(), "script", start);
        self.shared.queue.post(self.id, |realm| realm.add_resource_timing(timing));
        loaded
    }

    pub(super) fn next_fetch_id(&self) -> u64 {
        self.last_fetch.set(self.last_fetch.get() + 1);
        self.last_fetch.get()
    }

    pub(super) fn next_worker_id(&self) -> u32 {
        self.last_worker.set(self.last_worker.get().wrapping_add(1));
        self.last_worker.get()
    }

    /// Takes note of what the parser or a script has put into the tree.
    pub(super) fn settle(&self) {
        if self.document.settle() {
            self.notify_host();
        }
    }

    pub(super) fn notify_host(&self) {
        self.host().document_changed(&self.document.info());
    }
}

fn load_data(url: &Url) -> Option<(Vec<u8>, Option<String>)> {
    let data = DataUrl::process(url.as_str()).ok()?;
    let (bytes, _) = data.decode_to_vec().ok()?;
    Some((bytes, data.mime_type().get_parameter("charset").map(str::to_owned)))
}

/// The [time origin](https://w3c.github.io/hr-time/#dfn-get-time-origin-timestamp) of a realm.
pub(super) struct TimeOrigin {
    pub(super) at: Instant,
    pub(super) unix_milliseconds: f64,
}

impl TimeOrigin {
    fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let unix_milliseconds = since_epoch.unwrap_or_default().as_secs_f64() * 1000.0;
        Self { at: Instant::now(), unix_milliseconds }
    }
}

/// The host of a document nobody has navigated to yet.
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
