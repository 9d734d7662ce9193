//! The content process: runs one document with its frames and windows, without access to the network.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, BufReader, stdin, stdout},
    ops::RangeInclusive,
    os::{fd::AsFd, unix::net::UnixStream},
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use sendbeacon::{Client, Document, NavigableContainer, Origin, remote::RemoteUserAgent};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use super::{FromContent, Stored, ToContent, read, read_body, write};
use crate::{
    browser::{
        arrival::open_page,
        surroundings::{Storage, Surroundings},
        tab::{Areas, deadline_after},
    },
    lock::lock,
    page::{
        DocumentDone, EventLoop, FetchedDocument, FetchedScript, Navigation, PageError, RealmId,
        ScriptRequest, StorageArea, TaskQueue,
    },
    timeline::Step,
};

/// Why a content process has failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The process was not started by `open --split`, or its channels have failed.
    #[error("a content process is started by \"open --split\": {0}")]
    Channel(#[from] io::Error),
    /// The page could not be created.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// Runs the document that the parent process sends.
///
/// Returns when the parent process closes the document, or when the document is idle and has no deferred fetches.
///
/// # Errors
/// If stdin and stdout are not the channels of a content process, or the page cannot be created.
pub fn run_content() -> Result<(), ContentError> {
    let channel = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let control = UnixStream::from(stdout().as_fd().try_clone_to_owned()?);
    let agent = RemoteUserAgent::over_unix_stream(channel)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // A signal to the process group must not end this process: the parent process gets it, too, and sends `Close`.
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
    event_loop.run_until(deadline_after(limit), |it| {
        parent.is_closing() || (it.is_idle() && !it.has_deferred_fetches())
    });
    page.unload();
    // This fails if the parent process has gone. Then nothing needs the storage.
    let _ = write(&control, &FromContent::Gone(Stored::of(&storage)));
    drop(signals);
    Ok(())
}

/// The messages of the parent process, which a thread of its own reads.
#[derive(Default)]
struct Parent {
    is_closing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The task queue of each document, by the document's identifier.
    documents: HashMap<u64, (TaskQueue, RealmId)>,
    /// The callbacks of the unfinished [`FromContent::FetchDocument`]s.
    fetches: HashMap<u64, DocumentDone>,
    last_fetch: u64,
}

impl Parent {
    fn is_closing(&self) -> bool {
        self.is_closing.load(SeqCst)
    }

    /// Reads messages until the parent process closes the document or has gone.
    fn listen(
        &self,
        reader: &mut BufReader<UnixStream>,
        cookies: &mpsc::Sender<String>,
        scripts: &mpsc::Sender<Result<FetchedScript, String>>,
    ) {
        while let Ok(Some(message)) = read(reader) {
            match message {
                ToContent::Cookies(answer) => {
                    // Sending fails if the document is closed already, and so has stopped waiting.
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
        // The document is also closed if the parent process has gone.
        self.is_closing.store(true, SeqCst);
        // Wakes the event loop.
        for (queue, realm) in self.state().documents.values() {
            queue.post(*realm, |_| {});
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What all documents of the process share.
struct Process {
    agent: RemoteUserAgent,
    control: UnixStream,
    parent: Arc<Parent>,
    cookies: mpsc::Receiver<String>,
    scripts: mpsc::Receiver<Result<FetchedScript, String>>,
    /// The document identifiers that are not in use yet.
    document_ids: RefCell<RangeInclusive<u64>>,
    /// The origin of the first document.
    origin: Origin,
    /// The local storage of `origin`, which goes back to the parent process at the end.
    local_storage: StorageArea,
    /// The local storage of other origins, which ends with the process.
    other_local_storage: Areas,
    /// The callbacks of navigations of the first tab. They are never called: another process runs the next document.
    navigating: RefCell<Vec<DocumentDone>>,
}

impl Process {
    fn say(&self, message: &FromContent) {
        // This fails if the parent process has gone. Then `listen` closes the document.
        let _ = write(&self.control, message);
    }
}

/// The surroundings of the documents of a tab, in a content process.
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

    fn load_script(
        &self,
        client: &Client,
        request: &ScriptRequest,
    ) -> Result<FetchedScript, String> {
        self.process.say(&FromContent::LoadScript(Box::new(client.clone()), request.clone()));
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
        // The range is far larger than a process needs. If it is used up, documents share the last identifier.
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

    fn told(&self, document_id: u64, step: Step) {
        self.process.say(&FromContent::Told(document_id, step));
    }

    fn attached(&self, document_id: u64, queue: TaskQueue, realm: RealmId) {
        self.process.parent.state().documents.insert(document_id, (queue, realm));
    }

    fn detached(&self, document_id: u64) {
        self.process.parent.state().documents.remove(&document_id);
    }
}
