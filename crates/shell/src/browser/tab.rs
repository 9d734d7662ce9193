use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sendbeacon::{Client, DocumentLifecycle, MemoryCookieStore, Origin, VisibilityState};
use url::Url;

use super::{
    Browser, BrowserError, Console, Log,
    arrival::Arrival,
    host::{self, Call, Host, Surroundings},
    log::News,
    scripts::{Script, Scripts},
};
use crate::page::{EventLoop, Page, RealmId, StorageArea, TaskQueue};

/// The URL that a document of the tab wants to go to.
type Navigation = Rc<RefCell<Option<Url>>>;

/// A tab: the document in it, and the event loop its scripts run on.
pub struct Tab {
    event_loop: Rc<EventLoop>,
    page: Page,
    host: Rc<Host>,
    /// Where its documents want to go.
    navigation: Navigation,
    session_storage: Areas,
    /// Set when the tab is to be closed, by a signal or whoever.
    close: Arc<AtomicBool>,
}

/// Why a tab stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing can happen any more by itself.
    Idle,
    /// It was told to close.
    Closed,
    /// The time was over.
    TimeIsUp,
}

impl Tab {
    pub(super) fn open(browser: &Browser, url: &Url) -> Result<Self, BrowserError> {
        let event_loop = EventLoop::new()?;
        let (navigation, session_storage) = (Navigation::default(), Areas::default());
        let arrival = Arrival::new(browser, browser.fetch_document(url, None)?, "")?;
        let (page, host) = enter(browser, &event_loop, &arrival, &navigation, &session_storage)?;
        Ok(Self { event_loop, page, host, navigation, session_storage, close: Arc::default() })
    }

    /// Something that closes the tab, for use on any thread.
    pub fn closer(&self) -> impl Fn() + Send + Sync + 'static {
        let (close, queue, realm) =
            (Arc::clone(&self.close), self.event_loop.queue(), self.page.realm().id());
        move || {
            close.store(true, Relaxed);
            // Wakes the event loop.
            queue.post(realm, |_| {});
        }
    }

    /// Runs scripts, and follows the navigations they ask for, until the tab is idle or closed or
    /// `limit` has passed.
    pub fn run(&mut self, browser: &Browser, limit: Duration) -> Result<Stopped, BrowserError> {
        let now = Instant::now();
        // A day is for ever, for a page.
        let deadline = now + limit.min(Duration::from_secs(86_400));
        loop {
            let (close, navigation) = (&self.close, &self.navigation);
            let is_over = self.event_loop.run_until(deadline, |event_loop| {
                close.load(Relaxed) || navigation.borrow().is_some() || event_loop.is_idle()
            });
            if self.close.load(Relaxed) {
                return Ok(Stopped::Closed);
            }
            let url = self.navigation.take();
            match url {
                Some(url) => self.navigate(browser, &url)?,
                None if is_over => return Ok(Stopped::Idle),
                None => return Ok(Stopped::TimeIsUp),
            }
        }
    }

    /// The tab is no longer visible.
    pub fn hide(&self) {
        self.page.hide();
        self.host.document().visibility_change(VisibilityState::Hidden);
    }

    /// The document goes: its handlers run, then it is gone.
    pub fn unload(&self) {
        self.page.unload(false);
        host::end(&self.host.document());
    }

    /// Evaluates a script, as somebody at the console would.
    pub fn evaluate(&self, script: &str) {
        self.page.realm().evaluate(script, "console");
    }

    /// The `sendBeacon()` calls of the document so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.host.calls.borrow().clone()
    }

    fn navigate(&mut self, browser: &Browser, url: &Url) -> Result<(), BrowserError> {
        let referrer = self.page.document_info().url;
        // The old document sees its unload once the new one's response is there.
        let fetched = browser.fetch_document(url, Some(&referrer))?;
        self.unload();
        let arrival = Arrival::new(browser, fetched, referrer.as_str())?;
        let storage = &self.session_storage;
        (self.page, self.host) =
            enter(browser, &self.event_loop, &arrival, &self.navigation, storage)?;
        Ok(())
    }
}

/// The storage areas of origins. That of an opaque origin is its own.
#[derive(Default)]
pub(super) struct Areas(RefCell<HashMap<Origin, StorageArea>>);

impl Areas {
    pub(super) fn of(&self, origin: &Origin) -> StorageArea {
        self.0.borrow_mut().entry(origin.clone()).or_default().clone()
    }
}

/// Makes a page of a document that has come, and completes loading it.
fn enter(
    browser: &Browser,
    event_loop: &Rc<EventLoop>,
    arrival: &Arrival,
    navigation: &Navigation,
    session_storage: &Areas,
) -> Result<(Page, Rc<Host>), BrowserError> {
    let client = arrival.client.clone();
    let storage = browser.storage(&client.origin, session_storage);
    let around = Here {
        scripts: Scripts::of(browser),
        cookies: Arc::clone(&browser.cookies),
        log: Arc::clone(&browser.log),
        navigation: Rc::clone(navigation),
        console: Arc::clone(&browser.console),
    };
    let document = browser.agent.document(client);
    let host = Host::new(document, browser.runtime.handle().clone(), Box::new(around));
    let mut page = arrival.enter(event_loop, Rc::<Host>::clone(&host), storage)?;
    page.fire_load();
    Ok((page, host))
}

/// The browser around a document in this process.
struct Here {
    scripts: Scripts,
    cookies: Arc<MemoryCookieStore>,
    log: Arc<Log>,
    navigation: Navigation,
    console: Console,
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

    fn load_script(&self, client: &Client, url: &Url) -> Result<Script, String> {
        self.scripts.load(client, url)
    }

    fn navigate(&self, _: &Client, url: &Url) {
        *self.navigation.borrow_mut() = Some(url.clone());
    }

    fn attached(&self, document_id: u64, queue: TaskQueue, realm: RealmId) {
        let tell = move |news: News| queue.post(realm, |realm| news.tell(realm));
        self.log.attach(document_id, Box::new(tell));
    }

    fn detached(&self, document_id: u64) {
        self.log.detach(document_id);
    }
}
