//! The parent process: starts content processes, answers what their documents ask for, and passes their messages on.

mod requests;
mod storage;
mod windows;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, Sender},
    },
    time::{Duration, Instant},
};

use sendbeacon::{Origin, ReservedQuota, remote::Pin};
use url::Url;

use self::{requests::Answer, windows::Asked};
use super::{
    FirstDocument, FromContent, ToContent,
    process::{GRACE, Process, Said},
    tree::{MAX_PROCESSES, Misconduct, ProcessId, TAB, Tree},
};
use crate::{
    browser::{
        Browser, BrowserError,
        navigation::NavigationError,
        scripts::Scripts,
        tab::{Areas, deadline_after},
    },
    lock::lock,
    page::{FetchedDocument, NavigableId, Navigation, StorageArea, WindowMessage},
};

/// How many document identifiers a process gets.
const DOCUMENTS: u64 = 1 << 20;

/// What the parent process waits for.
enum Event {
    Said(ProcessId, Said),
    /// A fetch for a process has ended.
    Fetched(ProcessId, Answer),
    /// The fetch of the tab's next document has ended. The number is that of the navigation.
    Navigated(u64, Box<Result<Option<FetchedDocument>, NavigationError>>),
    /// The tab is to be closed.
    Close,
}

/// A tab whose documents run in processes of their own.
#[derive(Default)]
pub struct Split {
    close: Arc<AtomicBool>,
    /// Sends events to the tab that runs now.
    events: Arc<Mutex<Option<Sender<Event>>>>,
}

impl Split {
    /// Returns a function that closes the tab, for use on any thread.
    pub fn closer(&self) -> impl Fn() + Send + Sync + 'static {
        let (close, events) = (Arc::clone(&self.close), Arc::clone(&self.events));
        move || {
            close.store(true, SeqCst);
            if let Some(events) = &*lock(&events) {
                // This fails if the tab has ended, so that nothing is left to close.
                let _ = events.send(Event::Close);
            }
        }
    }

    /// Opens `url`, and follows the navigations that its documents ask for.
    ///
    /// Returns when all documents are idle, when the tab is closed, or when `limit` has passed.
    ///
    /// # Errors
    /// If the document cannot be fetched, or a process of the tab's own documents cannot be started or fails.
    pub fn run(&self, browser: &Browser, url: &Url, limit: Duration) -> Result<(), BrowserError> {
        let deadline = deadline_after(limit);
        let document = browser.fetch_document(&Navigation::of_user(url.clone()))?;
        let document = document.ok_or_else(|| NavigationError::NoDocument(url.to_string()))?;
        let (events, incoming) = mpsc::channel();
        *lock(&self.events) = Some(events.clone());
        let mut tab = SplitTab::new(browser, events);
        tab.show(document)?;
        if self.close.load(SeqCst) {
            tab.close();
        }
        while !tab.processes.is_empty() {
            let close_at = (!tab.is_closing).then_some(deadline);
            let wake = close_at.into_iter().chain(tab.next_kill()).min();
            let wait = wake.map_or(GRACE, |it| it.saturating_duration_since(Instant::now()));
            // The channel is never disconnected, because the tab holds a sender.
            if let Ok(event) = incoming.recv_timeout(wait) {
                tab.handle(event)?;
            }
            tab.kill_late();
            if !tab.is_closing && (tab.is_idle() || Instant::now() >= deadline) {
                tab.close();
            }
        }
        tab.result
    }
}

/// The processes of a tab, and what they wait for.
struct SplitTab<'a> {
    browser: &'a Browser,
    scripts: Arc<Scripts>,
    events: Sender<Event>,
    processes: BTreeMap<ProcessId, Process>,
    last_process: ProcessId,
    tree: Tree,
    session_storage: Areas,
    /// The documents that were fetched for frames and windows, and that other processes have to run.
    held: BTreeMap<NavigableId, FetchedDocument>,
    asked: Vec<Asked>,
    last_ticket: u64,
    /// The number of the last navigation of the tab.
    last_navigation: u64,
    /// Whether the next document of the tab is being fetched.
    is_navigating: bool,
    /// The document that the tab shows when the current one is unloaded.
    next: Option<FetchedDocument>,
    is_closing: bool,
    result: Result<(), BrowserError>,
}

impl<'a> SplitTab<'a> {
    fn new(browser: &'a Browser, events: Sender<Event>) -> Self {
        Self {
            browser,
            scripts: Arc::new(Scripts::of(browser)),
            events,
            processes: BTreeMap::new(),
            last_process: ProcessId::PARENT,
            tree: Tree::default(),
            session_storage: Areas::default(),
            held: BTreeMap::new(),
            asked: Vec::new(),
            last_ticket: 0,
            last_navigation: 0,
            is_navigating: false,
            next: None,
            is_closing: false,
            result: Ok(()),
        }
    }

    /// Shows a document in the tab.
    fn show(&mut self, document: FetchedDocument) -> Result<(), BrowserError> {
        self.held.clear();
        self.tree.begin(document.client.origin.clone());
        Ok(self.start(document, TAB, None)?)
    }

    /// Starts a process that runs `document` in the navigable `place`. `reserved` is given for a frame.
    fn start(
        &mut self,
        document: FetchedDocument,
        place: NavigableId,
        reserved: Option<ReservedQuota>,
    ) -> io::Result<()> {
        let id = ProcessId(self.last_process.0 + 1);
        if id.0 >= MAX_PROCESSES {
            return Err(io::Error::other("the tab has had too many documents"));
        }
        self.last_process = id;
        let browser = self.browser;
        let origin = &document.client.origin;
        // That of an opaque origin is the document's own.
        let session_storage = match origin {
            Origin::Opaque(_) => StorageArea::default(),
            Origin::Tuple { .. } => self.session_storage.of(origin),
        };
        let local_storage = self.items_of(origin);
        let first = browser.last_document.get() + 1;
        browser.last_document.set(browser.last_document.get() + DOCUMENTS);
        let document_ids = first..=browser.last_document.get();
        let mut pin = Pin::of(&document.client);
        pin.document_ids = document_ids.clone();
        self.tree.set_runner(place, id);
        let events = self.events.clone();
        let first_document = FirstDocument {
            body_length: document.body.len(),
            document,
            document_ids: document_ids.clone(),
            place,
            first_navigable: id.first_navigable(),
            navigables: self.tree.list(),
            reserved,
            local_storage,
            session_storage: session_storage.items(),
        };
        let channel = browser.agent.content_process(pin);
        let process = Process::start(first_document, session_storage, channel, move |said| {
            // Sending fails if the tab has ended.
            let _ = events.send(Event::Said(id, said));
        })?;
        let mailbox = process.mailbox.clone();
        // A process that handles nothing misses news.
        let tell = move |document_id, news| {
            if !mailbox.is_full_for(ProcessId::PARENT) {
                mailbox.send(ProcessId::PARENT, &ToContent::News { document_id, news });
            }
        };
        browser.log.attach(document_ids, Box::new(tell));
        self.processes.insert(id, process);
        Ok(())
    }

    /// Closes the tab: its process unloads the document and everything in it.
    fn close(&mut self) {
        self.is_closing = true;
        self.next = None;
        match self.tree.runner(TAB).and_then(|id| self.processes.get_mut(&id)) {
            Some(process) => process.close(false),
            None => self.processes.values_mut().for_each(|process| process.close(false)),
        }
    }

    /// Whether nothing happens any more until the user closes the tab.
    fn is_idle(&self) -> bool {
        !self.is_closing
            && !self.is_navigating
            && self.next.is_none()
            && self.processes.values().all(Process::is_idle)
    }

    fn next_kill(&self) -> Option<Instant> {
        self.processes.values().filter_map(|process| process.kill_at).min()
    }

    /// Kills the processes that were closed and have not ended in time.
    fn kill_late(&mut self) {
        let now = Instant::now();
        let is_late = |process: &&mut Process| process.kill_at.is_some_and(|at| at <= now);
        self.processes.values_mut().filter(is_late).for_each(Process::kill);
    }

    fn handle(&mut self, event: Event) -> Result<(), BrowserError> {
        match event {
            Event::Said(id, Said::Message(message)) => {
                let is_killed = self.processes.get(&id).is_none_or(|process| process.is_killed);
                if !is_killed && let Err(misconduct) = self.handle_message(id, message) {
                    self.end(id, &misconduct);
                }
                if let Some(process) = self.processes.get(&id) {
                    process.read_next();
                }
            }
            Event::Said(id, Said::End(error)) => {
                if let Some(error) = error {
                    self.end(id, &error);
                }
                self.ended(id)?;
            }
            Event::Fetched(id, answer) => self.fetched(id, answer),
            Event::Navigated(navigation, result) if navigation == self.last_navigation => {
                self.navigated(*result);
            }
            Event::Navigated(..) => {}
            Event::Close => self.close(),
        }
        Ok(())
    }

    /// Ends a process that has sent what it may not send.
    fn end(&mut self, id: ProcessId, why: &dyn std::error::Error) {
        if let Some(process) = self.processes.get_mut(&id) {
            eprintln!("sendbeacon-shell: a content process is ended: {why}");
            process.kill();
        }
    }

    fn handle_message(&mut self, id: ProcessId, message: FromContent) -> Result<(), Misconduct> {
        let Some(process) = self.processes.get_mut(&id) else { return Ok(()) };
        if process.mailbox.is_full_for(id) {
            return Err(Misconduct::Backlog);
        }
        match message {
            FromContent::Window(navigable, message) => {
                return self.pass_on(id, navigable, message);
            }
            FromContent::Command { navigable, command, ticket } => {
                return self.ask(id, navigable, command, ticket);
            }
            FromContent::Done(ticket) => self.answer(id, ticket),
            FromContent::Turn { handled, is_idle } => {
                process.idle = is_idle.then_some(handled);
                process.mailbox.handled(handled);
            }
            FromContent::Gone(items) => process.session_storage.replace(items),
            FromContent::GetItems(origin) => return self.get_items(id, &origin),
            FromContent::Store(origin, change) => return self.store(id, &origin, *change),
            FromContent::Told(document_id, step) => {
                if let Some(timeline) = self.browser.log.timeline()
                    && process.document_ids.contains(&document_id)
                {
                    timeline.told(document_id, step);
                }
            }
            FromContent::Console { level, message } => (self.browser.console)(&level, &message),
            other => return self.request(id, other),
        }
        Ok(())
    }

    /// A process has ended.
    fn ended(&mut self, id: ProcessId) -> Result<(), BrowserError> {
        let Some(process) = self.processes.remove(&id) else { return Ok(()) };
        let (was_closed, is_killed) = (process.kill_at.is_some(), process.is_killed);
        let place = process.place;
        if let Some(timeline) = self.browser.log.timeline() {
            timeline.process_gone(process.document_ids.clone());
        }
        self.browser.log.detach(*process.document_ids.start());
        let status = process.wait()?;
        self.answer_for(id);
        if place == TAB {
            // A document that does not end in time does not keep the tab from navigating.
            let is_late = is_killed && self.next.is_some();
            if !status.success() && !is_late {
                self.result = Err(BrowserError::Content(status));
                self.next = None;
            }
            // The end of the tab's document is the end of what is in it.
            self.processes.values_mut().for_each(|process| process.close(false));
            match self.next.take() {
                Some(next) => self.show(next)?,
                None => self.is_closing = true,
            }
        } else {
            if !was_closed {
                eprintln!("sendbeacon-shell: a content process ended with {status}");
            }
            self.lost(id, place);
        }
        Ok(())
    }

    /// Sends a message about a navigable to a process, if it is there, on behalf of another process.
    fn tell(&self, id: ProcessId, from: ProcessId, navigable: NavigableId, message: WindowMessage) {
        if let Some(process) = self.processes.get(&id) {
            process.mailbox.send(from, &ToContent::Window(navigable, message));
        }
    }

    /// Whether a process has to handle what `from` has sent before it gets more.
    fn is_full(&self, id: ProcessId, from: ProcessId) -> bool {
        self.processes.get(&id).is_some_and(|process| process.mailbox.is_full_for(from))
    }
}
