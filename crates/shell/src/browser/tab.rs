//! A tab: its documents, their event loop, and the storage areas of origins.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sendbeacon::{
    Client, Document, FetchId, MemoryCookieStore, NavigableContainer, Origin, UserAgent,
    net::HttpNetwork,
};
use tokio::runtime::Handle;
use url::Url;

use super::{
    Browser, BrowserError, Console, Log,
    arrival::open_page,
    log::News,
    navigation::{NavigationError, fetch_document},
    scripts::Scripts,
    surroundings::{Call, Storage, Surroundings},
};
use crate::{
    page::{
        DocumentDone, EventLoop, FetchedScript, Navigation, Page, RealmId, ScriptRequest,
        StorageArea, TaskQueue,
    },
    room::Room,
    timeline::Step,
};

/// A tab: its documents, and the event loop on which their scripts run.
pub struct Tab {
    page: Page,
    event_loop: Rc<EventLoop>,
    calls: Calls,
    /// Set when the tab is to be closed.
    close: Arc<AtomicBool>,
}

/// How many calls of `sendBeacon()` are kept.
const MAX_CALLS: usize = 20_000;
/// How many bytes of URLs and error messages they may have.
const MAX_CALL_TEXT: usize = 8 << 20;

/// The `sendBeacon()` calls of a tab. What comes first is kept.
struct CallList {
    calls: Vec<Call>,
    room: Room,
}

impl Default for CallList {
    fn default() -> Self {
        Self { calls: Vec::new(), room: Room::new(MAX_CALLS, MAX_CALL_TEXT) }
    }
}

impl CallList {
    fn push(&mut self, call: Call) {
        let text = call.url.len() + call.result.as_ref().err().map_or(0, String::len);
        if self.room.take_item(text) {
            self.calls.push(call);
        }
    }
}

type Calls = Rc<RefCell<CallList>>;

/// Why a tab has stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The event loop is idle: no task, timer or fetch is left.
    Idle,
    /// A [closer](Tab::closer) was called.
    Closed,
    /// The time limit has passed.
    TimeIsUp,
}

impl Tab {
    pub(super) fn open(browser: &Browser, url: &Url) -> Result<Self, BrowserError> {
        let event_loop = EventLoop::new()?;
        let around = Rc::new(Here::new(browser));
        let calls = Rc::clone(&around.calls);
        let document = browser.fetch_document(&Navigation::of_user(url.clone()))?;
        let document = document.ok_or_else(|| NavigationError::NoDocument(url.to_string()))?;
        let page =
            open_page(&event_loop, document, browser.runtime.handle().clone(), around, None)?;
        Ok(Self { page, event_loop, calls, close: Arc::default() })
    }

    /// Returns a function that closes the tab, for use on any thread.
    pub fn closer(&self) -> impl Fn() + Send + Sync + 'static {
        let (close, queue, realm) =
            (Arc::clone(&self.close), self.event_loop.queue(), self.page.realm().id());
        move || {
            close.store(true, Relaxed);
            // Wakes the event loop.
            queue.post(realm, |_| {});
        }
    }

    /// Runs scripts until the tab is idle, is closed, or `limit` has passed.
    pub fn run(&mut self, limit: Duration) -> Stopped {
        self.run_until(limit, EventLoop::is_idle)
    }

    /// Like [`run`](Self::run), but continues while a document has deferred fetches.
    ///
    /// Closing the tab sends the deferred fetches, and it is the user who decides when to close a tab.
    pub fn run_for_user(&mut self, limit: Duration) -> Stopped {
        self.run_until(limit, |it| it.is_idle() && !it.has_deferred_fetches())
    }

    fn run_until(&mut self, limit: Duration, is_over: impl Fn(&EventLoop) -> bool) -> Stopped {
        let close = &self.close;
        let is_over = self.event_loop.run_until(deadline_after(limit), |event_loop| {
            close.load(Relaxed) || is_over(event_loop)
        });
        match is_over {
            _ if self.close.load(Relaxed) => Stopped::Closed,
            true => Stopped::Idle,
            false => Stopped::TimeIsUp,
        }
    }

    /// Hides the tab, as when the user changes to another tab.
    pub fn hide(&self) {
        self.page.hide();
    }

    /// Unloads the tab's documents: runs the handlers of their last events, and destroys them.
    pub fn unload(&self) {
        self.page.unload();
    }

    /// Evaluates a script in the page, as a user does at the console.
    pub fn evaluate(&self, script: &str) {
        self.page.realm().evaluate(script, "console");
    }

    /// The `sendBeacon()` calls of the tab's documents so far: the first 20,000, with at most 8 MiB of URLs and error messages.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().calls.clone()
    }
}

/// The time after `limit` from now, at most a day: an [`Instant`] cannot hold every sum.
pub(super) fn deadline_after(limit: Duration) -> Instant {
    Instant::now() + limit.min(Duration::from_secs(86_400))
}

/// The storage areas of origins. Each opaque origin has an area of its own.
#[derive(Default)]
pub(super) struct Areas(RefCell<HashMap<Origin, StorageArea>>);

impl Areas {
    pub(super) fn of(&self, origin: &Origin) -> StorageArea {
        self.0.borrow_mut().entry(origin.clone()).or_default().clone()
    }

    pub(super) fn has(&self, origin: &Origin) -> bool {
        self.0.borrow().contains_key(origin)
    }

    /// How many areas there are of origins of which `is_counted` is true.
    pub(super) fn count(&self, is_counted: impl Fn(&Origin) -> bool) -> usize {
        self.0.borrow().keys().filter(|origin| is_counted(origin)).count()
    }

    /// Makes `area` the storage area of `origin`.
    pub(super) fn set(&self, origin: Origin, area: StorageArea) {
        self.0.borrow_mut().insert(origin, area);
    }

    /// Copies all areas and their items if `is_copied`, and otherwise returns no areas.
    ///
    /// [Legacy-clone a traversable storage shed](https://html.spec.whatwg.org/multipage/webstorage.html#legacy-clone-a-browsing-context's-storage-shed)
    pub(super) fn copy_if(&self, is_copied: bool) -> Self {
        if !is_copied {
            return Self::default();
        }
        let areas = self.0.borrow();
        let copy = areas.iter().map(|(origin, area)| (origin.clone(), area.copy()));
        Self(RefCell::new(copy.collect()))
    }
}

/// The surroundings of the documents of a tab, in the browser's process.
struct Here {
    agent: Arc<UserAgent>,
    network: Arc<HttpNetwork>,
    cookies: Arc<MemoryCookieStore>,
    log: Arc<Log>,
    console: Console,
    scripts: Rc<Scripts>,
    runtime: Handle,
    local_storage: Rc<Areas>,
    session_storage: Areas,
    last_document: Rc<Cell<u64>>,
    calls: Calls,
}

impl Here {
    fn new(browser: &Browser) -> Self {
        Self {
            agent: Arc::clone(&browser.agent),
            network: Arc::clone(&browser.network),
            cookies: Arc::clone(&browser.cookies),
            log: Arc::clone(&browser.log),
            console: Arc::clone(&browser.console),
            scripts: Rc::new(Scripts::of(browser)),
            runtime: browser.runtime.handle().clone(),
            local_storage: Rc::clone(&browser.local_storage),
            session_storage: Areas::default(),
            last_document: Rc::clone(&browser.last_document),
            calls: Calls::default(),
        }
    }
}

impl Surroundings for Here {
    fn cookies(&self, client: &Client) -> String {
        self.cookies.document_cookie(client)
    }

    fn set_cookie(&self, client: &Client, cookie: &str) {
        self.cookies.set_document_cookie(client, cookie);
    }

    fn console(&self, level: &str, message: &str) {
        (self.console)(level, message);
    }

    fn load_script(
        &self,
        client: &Client,
        request: &ScriptRequest,
    ) -> Result<FetchedScript, String> {
        self.runtime.block_on(self.scripts.load(client.clone(), request))
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        let (network, cookies) = (Arc::clone(&self.network), Arc::clone(&self.cookies));
        self.runtime.spawn(async move {
            let fetched = fetch_document(&*network, &*cookies, &navigation).await;
            done(fetched.map_err(|error| error.to_string()));
        });
    }

    fn create_document(
        &self,
        client: &mut Client,
        container: Option<&NavigableContainer>,
    ) -> Document {
        self.last_document.set(self.last_document.get() + 1);
        client.document_id = self.last_document.get();
        match container {
            Some(container) => self.agent.nested_document(client.clone(), container),
            None => self.agent.document(client.clone()),
        }
    }

    fn storage(&self, origin: &Origin) -> Storage {
        Storage { local: self.local_storage.of(origin), session: self.session_storage.of(origin) }
    }

    fn open_tab(&self, copies_session: bool) -> Rc<dyn Surroundings> {
        Rc::new(Self {
            agent: Arc::clone(&self.agent),
            network: Arc::clone(&self.network),
            cookies: Arc::clone(&self.cookies),
            log: Arc::clone(&self.log),
            console: Arc::clone(&self.console),
            scripts: Rc::clone(&self.scripts),
            runtime: self.runtime.clone(),
            local_storage: Rc::clone(&self.local_storage),
            session_storage: self.session_storage.copy_if(copies_session),
            last_document: Rc::clone(&self.last_document),
            calls: Rc::clone(&self.calls),
        })
    }

    fn called(&self, call: Call) {
        self.calls.borrow_mut().push(call);
    }

    fn told(&self, document_id: u64, step: Step) {
        if let Some(timeline) = self.log.timeline() {
            timeline.told(document_id, step);
        }
    }

    fn deferred(&self, document_id: u64, id: FetchId, url: &Url) {
        if let Some(timeline) = self.log.timeline() {
            timeline.deferred(document_id, id, url);
        }
    }

    fn deferred_aborted(&self, id: FetchId) {
        if let Some(timeline) = self.log.timeline() {
            timeline.deferred_aborted(id);
        }
    }

    fn attached(&self, document_id: u64, queue: TaskQueue, realm: RealmId) {
        let tell = move |_, news: News| queue.post(realm, |realm| news.tell(realm));
        self.log.attach(document_id..=document_id, Box::new(tell));
    }

    fn detached(&self, document_id: u64) {
        self.log.detach(document_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_that_a_tab_keeps_are_limited() {
        let mut list = CallList::default();
        for url in ["x".repeat(MAX_CALL_TEXT), "x".to_owned(), String::new()] {
            list.push(Call { at: Instant::now(), url, result: Ok(true) });
        }
        assert_eq!(list.calls.len(), 2);
        for _ in 0..MAX_CALLS {
            list.push(Call { at: Instant::now(), url: String::new(), result: Ok(true) });
        }
        assert_eq!(list.calls.len(), MAX_CALLS);
    }
}
