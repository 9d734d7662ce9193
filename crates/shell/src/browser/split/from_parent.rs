//! The messages of the parent process, which a thread of a content process reads.

use std::{
    collections::HashMap,
    io::BufReader,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc::{self, Receiver, Sender},
    },
};

use super::{
    ToContent,
    channel::{read, read_body},
    storage,
};
use crate::{
    lock::lock,
    page::{DocumentDone, FetchedDocument, FetchedScript, RealmId, TaskQueue},
};

/// What the parent process has said.
pub(super) struct FromParent {
    /// The queue of the process's event loop.
    pub(super) queue: TaskQueue,
    pub(super) is_closing: AtomicBool,
    /// Whether the process is closed because the tab navigates.
    pub(super) is_after_navigation: AtomicBool,
    /// How many messages the event loop has handled.
    pub(super) handled: AtomicU64,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The task queue of each document, by the document's identifier.
    pub(super) documents: HashMap<u64, (TaskQueue, RealmId)>,
    /// The callbacks of the unfinished [`FromContent::FetchDocument`](super::FromContent::FetchDocument)s.
    pub(super) fetches: HashMap<u64, DocumentDone>,
    pub(super) last_fetch: u64,
}

/// Receives the answers for which the event loop blocks. Sending one fails if the event loop has ended.
pub(super) struct Answers {
    pub(super) cookies: Sender<String>,
    pub(super) scripts: Sender<Result<FetchedScript, String>>,
    pub(super) done: Sender<u64>,
    pub(super) storage: Sender<storage::Said>,
    /// The tickets of commands of other processes.
    pub(super) tickets: Sender<u64>,
}

/// The other ends of [`Answers`].
pub(super) struct Incoming {
    pub(super) cookies: Receiver<String>,
    pub(super) scripts: Receiver<Result<FetchedScript, String>>,
    pub(super) done: Receiver<u64>,
    pub(super) tickets: Receiver<u64>,
    pub(super) storage: Receiver<storage::Said>,
}

impl Answers {
    pub(super) fn new() -> (Self, Incoming) {
        let (cookie_sender, cookies) = mpsc::channel();
        let (script_sender, scripts) = mpsc::channel();
        let (done_sender, done) = mpsc::channel();
        let (ticket_sender, tickets) = mpsc::channel();
        let (storage_sender, storage) = mpsc::channel();
        let answers = Self {
            cookies: cookie_sender,
            scripts: script_sender,
            done: done_sender,
            tickets: ticket_sender,
            storage: storage_sender,
        };
        (answers, Incoming { cookies, scripts, done, tickets, storage })
    }
}

impl FromParent {
    /// Reads messages until the parent process has gone.
    pub(super) fn listen(self: Arc<Self>, mut reader: BufReader<UnixStream>, answers: &Answers) {
        while let Ok(Some(message)) = read(&mut reader) {
            match message {
                ToContent::Cookies(answer) => drop(answers.cookies.send(answer)),
                ToContent::Script(answer) => drop(answers.scripts.send(answer)),
                ToContent::Done(ticket) => drop(answers.done.send(ticket)),
                ToContent::Items(items) => drop(answers.storage.send(storage::Said::Items(items))),
                ToContent::Stored(is_stored) => {
                    drop(answers.storage.send(storage::Said::Stored(is_stored)));
                }
                ToContent::Changed(origin, change) => {
                    drop(answers.storage.send(storage::Said::Changed(origin, *change)));
                }
                ToContent::Fetched { id, document, body_length, .. } => {
                    let Ok(body) = read_body(&mut reader, body_length) else { break };
                    let done = self.state().fetches.remove(&id);
                    if let Some(done) = done {
                        done(document.map(|document| {
                            document.map(|it| FetchedDocument { body: body.into(), ..*it })
                        }));
                    }
                }
                ToContent::News { document_id, news } => {
                    if let Some((queue, realm)) = self.state().documents.get(&document_id) {
                        queue.post(*realm, |realm| news.tell(realm));
                    }
                }
                ToContent::Window(navigable, message) => {
                    self.queue.post_to_event_loop(move |it| it.receive(navigable, message));
                }
                ToContent::Command { navigable, command, ticket } => {
                    let done = answers.tickets.clone();
                    self.queue.post_to_event_loop(move |event_loop| {
                        event_loop.obey(navigable, command);
                        let _ = done.send(ticket);
                    });
                }
                ToContent::Close { after_navigation } => {
                    self.is_after_navigation.store(after_navigation, SeqCst);
                    self.is_closing.store(true, SeqCst);
                }
                ToContent::Document(_) => break,
            }
            let this = Arc::clone(&self);
            // This also wakes the event loop.
            self.queue.post_to_event_loop(move |_| {
                this.handled.fetch_add(1, SeqCst);
            });
        }
        // The document is also closed if the parent process has gone.
        self.is_closing.store(true, SeqCst);
        self.queue.post_to_event_loop(|_| {});
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
