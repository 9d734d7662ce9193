//! The content process: runs one document with its frames and windows, without access to the network.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufReader},
    ops::RangeInclusive,
    os::unix::net::UnixStream,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc::Receiver,
    },
    thread,
    time::{Duration, Instant},
};

use sendbeacon::{
    Client, Document, NavigableContainer, Origin, PartitionKey, remote::RemoteUserAgent,
};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    FirstDocument, FromContent, ToContent,
    channel::{read, read_body, write},
    from_parent::{Answers, FromParent, State},
    storage::LocalStorage,
};
use crate::{
    browser::{
        arrival::{Place, open_page},
        remote_host::RemoteHost,
        surroundings::{Storage, Surroundings},
        tab::{Areas, deadline_after},
    },
    page::{
        Command, DocumentDone, EventLoop, FetchedScript, NavigableId, Navigation, PageError,
        RealmId, ScriptRequest, TaskQueue, WindowMessage,
    },
    timeline::Step,
};

/// How long a document waits for the document of another process to do what it has to do.
const COMMAND_LIMIT: Duration = Duration::from_secs(2);

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

/// Runs the document that the parent process sends, until the parent process closes it. `channel` is that of the library,
/// and `control` is that of the shell. A content process has them as stdin and stdout.
///
/// # Errors
/// If the two are not the channels of a content process, or the page cannot be created.
pub fn run_content(channel: UnixStream, control: UnixStream) -> Result<(), ContentError> {
    let agent = RemoteUserAgent::over_unix_stream(channel)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // A signal to the process group must not end this process: the parent process gets it, too, and sends `Close`.
    let signals = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };

    let mut reader = BufReader::new(control.try_clone()?);
    let Some(ToContent::Document(first)) = read(&mut reader)? else {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    };
    let FirstDocument {
        mut document,
        body_length,
        document_ids,
        place,
        first_navigable,
        navigables,
        reserved,
        local_storage: local_items,
        session_storage: session_items,
    } = *first;
    document.body = read_body(&mut reader, body_length)?.into();

    let event_loop = EventLoop::new()?;
    event_loop.begin_at(first_navigable);
    let parent = Arc::new(FromParent {
        queue: event_loop.queue(),
        is_closing: AtomicBool::new(false),
        is_after_navigation: AtomicBool::new(false),
        handled: AtomicU64::new(0),
        state: Mutex::new(State::default()),
    });
    let (answers, incoming) = Answers::new();
    thread::spawn({
        let parent = Arc::clone(&parent);
        move || parent.listen(reader, &answers)
    });
    let origin = document.client.origin.clone();
    let local_storage = LocalStorage::new(control.try_clone()?, incoming.storage, &event_loop);
    if !matches!(origin, Origin::Opaque(_)) {
        local_storage.begin(origin.clone(), local_items);
    }
    let process = Rc::new(Process {
        agent,
        control,
        parent: Arc::clone(&parent),
        cookies: incoming.cookies,
        scripts: incoming.scripts,
        done: incoming.done,
        last_ticket: Cell::new(0),
        document_ids: RefCell::new(document_ids),
        partition: document.client.network_partition_key.clone(),
        local_storage,
    });
    let around =
        Rc::new(Around { process: Rc::clone(&process), session_storage: Areas::default() });
    let session_storage = around.session_storage.of(&origin);
    session_storage.replace(session_items);
    event_loop.set_remote_host(Rc::new(RemoteHost {
        runtime: runtime.handle().clone(),
        around: Rc::clone(&around) as _,
    }));
    let container = reserved.map(NavigableContainer::in_another_process);
    let place = Place { navigable: place, container };
    for (id, new) in navigables {
        event_loop.receive(id, WindowMessage::Created(new));
    }
    let handle = runtime.handle().clone();
    let page = open_page(&event_loop, document, handle, around, Some(&place))?;
    let mut told = (0, false);
    event_loop.run_until(deadline_after(Duration::MAX), |event_loop| {
        for ticket in incoming.tickets.try_iter() {
            process.say(&FromContent::Done(ticket));
        }
        process.local_storage.update();
        let is_idle = event_loop.is_idle() && !event_loop.has_deferred_fetches();
        let turn = (parent.handled.load(SeqCst), is_idle);
        if told != turn {
            told = turn;
            let (handled, is_idle) = turn;
            process.say(&FromContent::Turn { handled, is_idle });
        }
        parent.is_closing.load(SeqCst)
    });
    if parent.is_after_navigation.load(SeqCst) {
        page.unload_after_navigation();
    } else {
        page.unload();
    }
    process.say(&FromContent::Gone(session_storage.items()));
    drop(signals);
    Ok(())
}

/// What all documents of the process share.
struct Process {
    agent: RemoteUserAgent,
    control: UnixStream,
    parent: Arc<FromParent>,
    cookies: Receiver<String>,
    scripts: Receiver<Result<FetchedScript, String>>,
    /// The tickets of the commands that are done.
    done: Receiver<u64>,
    last_ticket: Cell<u64>,
    /// The document identifiers that are not in use yet.
    document_ids: RefCell<RangeInclusive<u64>>,
    /// The network partition key of the first document.
    partition: PartitionKey,
    local_storage: Rc<LocalStorage>,
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
        let (client, request) = (Box::new(client.clone()), Box::new(request.clone()));
        self.process.say(&FromContent::LoadScript(client, request));
        let answer = self.process.scripts.recv();
        answer.unwrap_or_else(|_| Err("the parent process has gone".into()))
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        let navigation = Box::new(navigation);
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
        // NB: the initial document of a window that a frame opens belongs to the partition of the frame here. A process
        // has one partition.
        client.network_partition_key.clone_from(&self.process.partition);
        match container {
            Some(container) => self.process.agent.nested_document(client.clone(), container),
            None => self.process.agent.document(client.clone()),
        }
    }

    fn storage(&self, origin: &Origin) -> Storage {
        let local = self.process.local_storage.of(origin);
        Storage { local, session: self.session_storage.of(origin) }
    }

    fn open_tab(&self, copies_session: bool) -> Rc<dyn Surroundings> {
        Rc::new(Self {
            process: Rc::clone(&self.process),
            session_storage: self.session_storage.copy_if(copies_session),
        })
    }

    fn told(&self, document_id: u64, step: Step) {
        self.process.say(&FromContent::Told(document_id, step));
    }

    fn send(&self, navigable: NavigableId, message: WindowMessage) {
        self.process.say(&FromContent::Window(navigable, message));
    }

    fn command(&self, navigable: NavigableId, command: Command) {
        let process = &self.process;
        let ticket = process.last_ticket.get() + 1;
        process.last_ticket.set(ticket);
        process.say(&FromContent::Command { navigable, command, ticket });
        let deadline = Instant::now() + COMMAND_LIMIT;
        // The answers to earlier commands, which came too late, are skipped.
        while let Ok(done) =
            process.done.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            && done != ticket
        {}
    }

    fn attached(&self, document_id: u64, queue: TaskQueue, realm: RealmId) {
        self.process.parent.state().documents.insert(document_id, (queue, realm));
    }

    fn detached(&self, document_id: u64) {
        self.process.parent.state().documents.remove(&document_id);
    }
}
