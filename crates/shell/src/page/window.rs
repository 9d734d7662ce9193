//! The part of a window that is not JavaScript.

use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
    time::{Instant, SystemTime},
};

use url::Url;

use super::{
    BodyInit, Environment, FetchDone, FetchRequest, PageHost, RealmId, ResourceTiming,
    document::Document, event_loop::Shared,
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
        }
    }

    pub(super) fn initialize(&self, environment: Environment, host: Rc<dyn PageHost>) {
        self.document.set_url(environment.url.clone());
        self.environment.replace(environment);
        self.host.replace(host);
        self.host().attached(self.shared.queue.clone(), self.id);
        self.notify_host();
    }

    pub(super) fn environment(&self) -> Ref<'_, Environment> {
        self.environment.borrow()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn host(&self) -> Rc<dyn PageHost> {
        Rc::clone(&self.host.borrow())
    }

    /// Fetches a script, and puts that into the timeline.
    pub(super) fn load_script(&self, url: &Url) -> Result<(Vec<u8>, Option<String>), String> {
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
struct NoHost;

impl PageHost for NoHost {
    fn send_beacon(&self, _url: &str, _data: Option<BodyInit>) -> Result<bool, String> {
        Ok(false)
    }

    fn fetch(&self, _request: FetchRequest, done: FetchDone) {
        done(Err("the document has no browser".into()));
    }

    fn console(&self, _level: &str, _message: &str) {}

    fn navigate(&self, _url: &Url) {}
}
