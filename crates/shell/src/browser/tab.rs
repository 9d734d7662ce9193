use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sendbeacon::{DocumentLifecycle, Origin, VisibilityState, is_potentially_trustworthy};
use url::Url;

use super::{
    Browser, BrowserError, USER_AGENT,
    host::{Call, Host},
    navigation::{Fetched, fetch_document},
};
use crate::page::{Environment, EventLoop, Page, StorageArea};

/// A tab: the document in it, and the event loop its scripts run on.
pub struct Tab {
    event_loop: Rc<EventLoop>,
    page: Page,
    host: Rc<Host>,
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
        let session_storage = Areas::default();
        let (mut page, host) = load(browser, &event_loop, url, &session_storage)?;
        page.fire_load();
        Ok(Self { event_loop, page, host, session_storage, close: Arc::default() })
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
            let (close, navigation) = (&self.close, &self.host.navigation);
            let is_over = self.event_loop.run_until(deadline, |event_loop| {
                close.load(Relaxed) || navigation.borrow().is_some() || event_loop.is_idle()
            });
            if self.close.load(Relaxed) {
                return Ok(Stopped::Closed);
            }
            let url = self.host.navigation.take();
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
        let document = self.host.document();
        document.visibility_change(VisibilityState::Hidden);
        document.pagehide(false);
        document.unload();
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
        let fetch = fetch_document(&*browser.network, &*browser.cookies, url, Some(&referrer));
        let fetched = browser.runtime.block_on(fetch)?;
        self.unload();
        (self.page, self.host) =
            enter(browser, &self.event_loop, &fetched, referrer.as_str(), &self.session_storage)?;
        self.page.fire_load();
        Ok(())
    }
}

/// The storage areas of origins. That of an opaque origin is its own.
#[derive(Default)]
pub(super) struct Areas(RefCell<HashMap<Origin, StorageArea>>);

impl Areas {
    fn of(&self, origin: &Origin) -> StorageArea {
        self.0.borrow_mut().entry(origin.clone()).or_default().clone()
    }
}

/// Fetches the document at `url` and makes a page of it.
fn load(
    browser: &Browser,
    event_loop: &Rc<EventLoop>,
    url: &Url,
    session_storage: &Areas,
) -> Result<(Page, Rc<Host>), BrowserError> {
    let fetched = browser.runtime.block_on(fetch_document(
        &*browser.network,
        &*browser.cookies,
        url,
        None,
    ))?;
    enter(browser, event_loop, &fetched, "", session_storage)
}

/// Makes a page of a document that was fetched.
fn enter(
    browser: &Browser,
    event_loop: &Rc<EventLoop>,
    fetched: &Fetched,
    referrer: &str,
    session_storage: &Areas,
) -> Result<(Page, Rc<Host>), BrowserError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let mut client = fetched.client(u128::from_ne_bytes(nonce));
    client.document_id = browser.next_document.get();
    browser.next_document.set(client.document_id + 1);
    let environment = Environment {
        origin: client.origin.to_string(),
        secure_context: is_potentially_trustworthy(&fetched.url),
        cross_origin_isolated: fetched.is_cross_origin_isolated(),
        referrer: referrer.to_owned(),
        user_agent: USER_AGENT.to_owned(),
        local_storage: browser.local_storage.of(&client.origin),
        session_storage: session_storage.of(&client.origin),
        ..Environment::new(fetched.url.clone())
    };
    let charset = fetched.charset();
    let document = browser.agent.document(client);
    let cookies = Arc::clone(&browser.cookies);
    let host =
        Host::new(document, browser.runtime.handle().clone(), cookies, Arc::clone(&browser.log));
    let page = Page::load(
        event_loop,
        &fetched.body,
        charset.as_deref(),
        environment,
        Rc::<Host>::clone(&host),
    )?;
    Ok((page, host))
}
