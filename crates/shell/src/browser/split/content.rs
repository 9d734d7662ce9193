//! A content process: one document, and nothing of the network.

use std::{
    cell::Cell,
    io::{self, BufReader, stdin, stdout},
    os::{fd::AsFd, unix::net::UnixStream},
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use sendbeacon::{Client, remote::RemoteUserAgent};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use super::{FromContent, Stored, ToContent, read, read_body, write};
use crate::{
    browser::{
        arrival::Storage,
        host::{self, Host, Surroundings},
        scripts::Script,
    },
    page::{EventLoop, PageError, RealmId, TaskQueue},
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
    let Some(ToContent::Document { mut arrival, stored, body_length, limit }) = read(&mut reader)?
    else {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    };
    arrival.body = read_body(&mut reader, body_length)?.into();

    let parent = Arc::new(Parent::default());
    let (cookie_sender, cookies) = mpsc::channel();
    let (script_sender, scripts) = mpsc::channel();
    let navigating = Rc::new(Cell::new(false));
    let around = Around {
        control: control.try_clone()?,
        parent: Arc::clone(&parent),
        cookies,
        scripts,
        navigating: Rc::clone(&navigating),
    };
    thread::spawn({
        let parent = Arc::clone(&parent);
        move || parent.listen(&mut reader, &cookie_sender, &script_sender)
    });
    let event_loop = EventLoop::new()?;
    let document = agent.document(arrival.client.clone());
    let host = Host::new(document, runtime.handle().clone(), Box::new(around));
    let storage = Storage::default();
    stored.store(&storage);
    let mut page = arrival.enter(&event_loop, Rc::<Host>::clone(&host), storage.clone())?;
    page.fire_load();
    // A day is for ever, for a page.
    let deadline = Instant::now() + limit.min(Duration::from_secs(86_400));
    event_loop.run_until(deadline, |event_loop| {
        parent.is_closing() || event_loop.is_idle() && !navigating.get()
    });
    page.unload(false);
    host::end(&host.document());
    // A parent that has gone has no use for it.
    let _ = write(&control, &FromContent::Gone(Stored::of(&storage)));
    drop(signals);
    Ok(())
}

/// What the parent says, as a thread of its own hears it.
#[derive(Default)]
struct Parent {
    is_closing: AtomicBool,
    /// Where tasks for the document go, once it has a realm.
    document: Mutex<Option<(TaskQueue, RealmId)>>,
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
        loop {
            match read(reader) {
                Ok(Some(ToContent::Cookies(answer))) => {
                    // Whoever asked has waited.
                    let _ = cookies.send(answer);
                }
                Ok(Some(ToContent::Script(answer))) => {
                    let _ = scripts.send(answer);
                }
                Ok(Some(ToContent::News(news))) => {
                    if let Some((queue, realm)) = self.document() {
                        queue.post(realm, |realm| news.tell(realm));
                    }
                }
                // A parent that has gone closes, too.
                Ok(Some(ToContent::Close | ToContent::Document { .. }) | None) | Err(_) => {
                    self.is_closing.store(true, SeqCst);
                    // Wakes the event loop.
                    if let Some((queue, realm)) = self.document() {
                        queue.post(realm, |_| {});
                    }
                    return;
                }
            }
        }
    }

    fn document(&self) -> Option<(TaskQueue, RealmId)> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The browser around the document, in the parent process.
struct Around {
    control: UnixStream,
    parent: Arc<Parent>,
    cookies: mpsc::Receiver<String>,
    scripts: mpsc::Receiver<Result<Script, String>>,
    navigating: Rc<Cell<bool>>,
}

impl Around {
    fn say(&self, message: &FromContent) {
        // If the parent has gone, the document is about to go.
        let _ = write(&self.control, message);
    }
}

impl Surroundings for Around {
    fn cookies(&self, _: &Client) -> String {
        self.say(&FromContent::GetCookies);
        self.cookies.recv().unwrap_or_default()
    }

    fn set_cookie(&self, _: &Client, cookie: &str) {
        self.say(&FromContent::SetCookie(cookie.to_owned()));
    }

    fn console(&self, level: &str, message: &str) {
        let (level, message) = (level.to_owned(), message.to_owned());
        self.say(&FromContent::Console { level, message });
    }

    fn load_script(&self, _: &Client, url: &Url) -> Result<Script, String> {
        self.say(&FromContent::LoadScript(url.clone()));
        self.scripts.recv().unwrap_or_else(|_| Err("the parent process has gone".into()))
    }

    fn navigate(&self, client: &Client, url: &Url) {
        if !self.navigating.replace(true) {
            let (url, from) = (url.clone(), client.creation_url.clone());
            self.say(&FromContent::Navigate { url, from });
        }
    }

    fn attached(&self, _: u64, queue: TaskQueue, realm: RealmId) {
        let mut document = self.parent.document.lock().unwrap_or_else(PoisonError::into_inner);
        *document = Some((queue, realm));
    }

    fn detached(&self, _: u64) {}
}
