//! A content process: one document with its frames, and nothing of the network.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, BufReader, stdin, stdout},
    ops::RangeInclusive,
    os::{fd::AsFd, unix::net::UnixStream},
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use sendbeacon::{Client, Document, NavigableContainer, Origin, remote::RemoteUserAgent};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::{FromContent, Stored, ToContent, read, read_body, write};
use crate::{
    browser::{
        arrival::open_page,
        host::{Storage, Surroundings},
        scripts::Script,
        tab::Areas,
    },
    page::{
        DocumentDone, EventLoop, FetchedDocument, Navigation, PageError, RealmId, StorageArea,
        TaskQueue,
    },
};

/// Why a content process could not do its work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Its channels are not what they should be.
    #[error("a content process is started by \"open --split\": {0}")]
    Channel(#[from] io::Error),
    /// The page could not be made.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// Runs the document that the parent process sends, until that says so or nothing can happen any more.
pub fn run_content() -> Result<(), ContentError> {
    let channel = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let control = UnixStream::from(stdout().as_fd().try_clone_to_owned()?);
    let agent = RemoteUserAgent::over_unix_stream(channel)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // What closes the window closes the parent, and that says so.
    let signals = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };

    let mut reader = BufReader::new(control.try_clone()?);
    let Some(ToContent::Document { mut document, document_ids, stored, body_length, limit }) =
        read(&mut reader)?
    else {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    };
    document.body = read_body(&mut reader, body_length)?.into();

    let parent = Arc::new(Parent::default());
    let (cookie_sender, cookies) = mpsc::channel();
    let (script_sender, scripts) = mpsc::channel();
    thread::spawn({
        let parent = Arc::clone(&parent);
        move || parent.listen(&mut reader, &cookie_sender, &script_sender)
    });
    let storage = Storage::default();
    stored.store(&storage);
    let around = Around {
        process: Rc::new(Process {
            agent,
            control: control.try_clone()?,
            parent: Arc::clone(&parent),
            cookies,
            scripts,
            document_ids: RefCell::new(document_ids),
            origin: document.client.origin.clone(),
            local_storage: storage.local.clone(),
            other_local_storage: Areas::default(),
            navigating: RefCell::default(),
        }),
        session_storage: Areas::default(),
        is_first_tab: true,
    };
    around.session_storage.set(document.client.origin.clone(), storage.session.clone());
    let event_loop = EventLoop::new()?;
    let page = open_page(&event_loop, *document, runtime.handle().clone(), Rc::new(around))?;
    // A day is for ever, for a page.
    let deadline = Instant::now() + limit.min(Duration::from_secs(86_400));
    event_loop.run_until(deadline, |event_loop| parent.is_closing() || event_loop.is_idle());
    page.unload();
    // A parent that has gone has no use for it.
    let _ = write(&control, &FromContent::Gone(Stored::of(&storage)));
    drop(signals);
    Ok(())
}

/// What the parent says, as a thread of its own hears it.
#[derive(Default)]
struct Parent {
    is_closing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where each document's tasks go.
    documents: HashMap<u64, (TaskQueue, RealmId)>,
    /// Who waits for a document.
    fetches: HashMap<u64, DocumentDone>,
    last_fetch: u64,
}

impl Parent {
    fn is_closing(&self) -> bool {
        self.is_closing.load(SeqCst)
    }

    fn listen(
        &self,
        reader: &mut BufReader<UnixStream>,
        cookies: &mpsc::Sender<String>,
        scripts: &mpsc::Sender<Result<Script, String>>,
    ) {
        while let Ok(Some(message)) = read(reader) {
            match message {
                ToContent::Cookies(answer) => {
                    // Whoever asked has waited.
                    let _ = cookies.send(answer);
                }
                ToContent::Fetched { id, document, body_length, .. } => {
                    let Ok(body) = read_body(reader, body_length) else { break };
                    let done = self.state().fetches.remove(&id);
                    if let Some(done) = done {
                        done(document.map(|document| {
                            document.map(|it| FetchedDocument { body: body.into(), ..*it })
                        }));
                    }
                }
                ToContent::Script(answer) => {
                    let _ = scripts.send(answer);
                }
                ToContent::News { document_id, news } => {
                    if let Some((queue, realm)) = self.state().documents.get(&document_id) {
                        queue.post(*realm, |realm| news.tell(realm));
                    }
                }
                ToContent::Close | ToContent::Document { .. } => break,
            }
        }
        // A parent that has gone closes, too.
        self.is_closing.store(true, SeqCst);
        // Wakes the event loop.
        for (queue, realm) in self.state().documents.values() {
            queue.post(*realm, |_| {});
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is around all documents of the process.
struct Process {
    agent: RemoteUserAgent,
    control: UnixStream,
    parent: Arc<Parent>,
    cookies: mpsc::Receiver<String>,
    scripts: mpsc::Receiver<Result<Script, String>>,
    /// The identifiers that are left.
    document_ids: RefCell<RangeInclusive<u64>>,
    /// That of the first document.
    origin: Origin,
    /// What it has stored.
    local_storage: StorageArea,
    other_local_storage: Areas,
    /// What never comes: the process ends before.
    navigating: RefCell<Vec<DocumentDone>>,
}

impl Process {
    fn say(&self, message: &FromContent) {
        // If the parent has gone, the document is about to go.
        let _ = write(&self.control, message);
    }
}

/// The browser around the documents of a tab, in the parent process.
struct Around {
    process: Rc<Process>,
    session_storage: Areas,
    is_first_tab: bool,
}

impl Surroundings for Around {
    fn cookies(&self, client: &Client) -> String {
        self.process.say(&FromContent::GetCookies(Box::new(client.clone())));
        self.process.cookies.recv().unwrap_or_default()
    }

    fn set_cookie(&self, client: &Client, cookie: &str) {
        let client = Box::new(client.clone());
        self.process.say(&FromContent::SetCookie(client, cookie.to_owned()));
    }

    fn console(&self, level: &str, message: &str) {
        let (level, message) = (level.to_owned(), message.to_owned());
        self.process.say(&FromContent::Console { level, message });
    }

    fn load_script(&self, client: &Client, url: &Url) -> Result<Script, String> {
        self.process.say(&FromContent::LoadScript(Box::new(client.clone()), url.clone()));
        let answer = self.process.scripts.recv();
        answer.unwrap_or_else(|_| Err("the parent process has gone".into()))
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        let navigation = Box::new(navigation);
        if self.is_first_tab && navigation.container.is_none() {
            self.process.navigating.borrow_mut().push(done);
            self.process.say(&FromContent::Navigate(navigation));
            return;
        }
        let id = {
            let mut state = self.process.parent.state();
            state.last_fetch += 1;
            let id = state.last_fetch;
            state.fetches.insert(id, done);
            id
        };
        self.process.say(&FromContent::FetchDocument { id, navigation });
    }

    fn create_document(
        &self,
        client: &mut Client,
        container: Option<&NavigableContainer>,
    ) -> Document {
        let mut ids = self.process.document_ids.borrow_mut();
        // There are more than anybody needs; whoever does shares the last.
        client.document_id = ids.next().unwrap_or(*ids.end());
        match container {
            Some(container) => self.process.agent.nested_document(client.clone(), container),
            None => self.process.agent.document(client.clone()),
        }
    }

    fn storage(&self, origin: &Origin) -> Storage {
        let process = &self.process;
        let is_first = *origin == process.origin;
        let other = || process.other_local_storage.of(origin);
        let local = if is_first { process.local_storage.clone() } else { other() };
        Storage { local, session: self.session_storage.of(origin) }
    }

    fn open_tab(&self, copies_session: bool) -> Rc<dyn Surroundings> {
        Rc::new(Self {
            process: Rc::clone(&self.process),
            session_storage: self.session_storage.copy_if(copies_session),
            is_first_tab: false,
        })
    }

    fn attached(&self, document_id: u64, queue: TaskQueue, realm: RealmId) {
        self.process.parent.state().documents.insert(document_id, (queue, realm));
    }

    fn detached(&self, document_id: u64) {
        self.process.parent.state().documents.remove(&document_id);
    }
}
