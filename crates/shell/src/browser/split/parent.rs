use std::{
    io::{BufReader, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use sendbeacon::{Client, remote::Pin};
use url::Url;

use super::{FromContent, Stored, ToContent, read, serialize, write};
use crate::browser::{
    Browser, BrowserError,
    arrival::{Arrival, Storage},
    scripts::Scripts,
    tab::Areas,
};

/// How much longer than it should a process may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A tab whose documents each have a process of their own.
#[derive(Default)]
pub struct Split {
    close: Arc<AtomicBool>,
    /// The shell's channel to the content process that runs now.
    control: Arc<Mutex<Option<Sender<ToContent>>>>,
}

impl Split {
    /// Something that closes the tab, for use on any thread.
    pub fn closer(&self) -> impl Fn() + Send + Sync + 'static {
        let (close, control) = (Arc::clone(&self.close), Arc::clone(&self.control));
        move || {
            close.store(true, SeqCst);
            if let Some(sender) = &*control.lock().unwrap_or_else(PoisonError::into_inner) {
                // If it is not there any more it is closed.
                let _ = sender.send(ToContent::Close);
            }
        }
    }

    /// Opens `url`, and follows the navigations its documents ask for, until one is idle or the tab is
    /// closed or `limit` has passed.
    pub fn run(&self, browser: &Browser, url: &Url, limit: Duration) -> Result<(), BrowserError> {
        let start = Instant::now();
        let fetched = browser.fetch_document(url, None)?;
        let mut arrival = Arrival::new(browser, fetched, "")?;
        let session_storage = Areas::default();
        loop {
            let limit = limit.saturating_sub(start.elapsed());
            let storage = browser.storage(&arrival.client.origin, &session_storage);
            match self.run_document(browser, arrival, &storage, limit)? {
                Some(next) if !self.close.load(SeqCst) => arrival = next,
                _ => return Ok(()),
            }
        }
    }

    /// Runs one document until its process has ended, and gives the next.
    fn run_document(
        &self,
        browser: &Browser,
        arrival: Arrival,
        storage: &Storage,
        limit: Duration,
    ) -> Result<Option<Arrival>, BrowserError> {
        let client = arrival.client.clone();
        let (mut child, channel, control) = start()?;
        let mut pin = Pin::of(&client);
        pin.document_ids = client.document_id..=client.document_id;
        let process = browser.agent.content_process(pin);
        let channel = thread::spawn(move || process.serve_unix(channel));
        let sender = write_from_a_thread(control.try_clone()?, arrival, storage, limit);
        let for_news = sender.clone();
        let tell = move |news| drop(for_news.send(ToContent::News(news)));
        browser.log.attach(client.document_id, Box::new(tell));
        *self.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        if self.close.load(SeqCst) {
            let _ = sender.send(ToContent::Close);
        }
        // Whatever becomes of its own limit.
        let (served, watched) = mpsc::channel::<()>();
        let for_the_end = control.try_clone()?;
        thread::spawn(move || {
            let limit = limit.saturating_add(GRACE);
            if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let _ = for_the_end.shutdown(Shutdown::Both);
            }
        });
        let next = serve(browser, &client, storage, &control, &sender);
        drop(served);
        browser.log.detach(client.document_id);
        *self.control.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Now it cannot write any more, and has nothing to wait for.
        let _ = control.shutdown(Shutdown::Both);
        let status = wait(&mut child)?;
        if let Ok(Err(error)) = channel.join() {
            eprintln!("the channel of a content process was ended: {error}");
        }
        if status.success() { next } else { Err(BrowserError::Content(status)) }
    }
}

/// Starts a content process: it, the library's channel and the shell's own.
fn start() -> std::io::Result<(Child, UnixStream, UnixStream)> {
    let (channel, channel_of_child) = UnixStream::pair()?;
    let (control, control_of_child) = UnixStream::pair()?;
    let child = Command::new(std::env::current_exe()?)
        .arg("content")
        .stdin(Stdio::from(OwnedFd::from(channel_of_child)))
        .stdout(Stdio::from(OwnedFd::from(control_of_child)))
        .spawn()?;
    Ok((child, channel, control))
}

/// Sends the document, and then what the sender is given. If the process does not take it, it has
/// ended, and its end says so.
fn write_from_a_thread(
    stream: UnixStream,
    arrival: Arrival,
    storage: &Storage,
    limit: Duration,
) -> Sender<ToContent> {
    let (sender, messages) = mpsc::channel();
    let (body, body_length) = (arrival.body.clone(), arrival.body.len());
    let (arrival, stored) = (Box::new(arrival), Stored::of(storage));
    let document = serialize(&ToContent::Document { arrival, stored, body_length, limit });
    thread::spawn(move || {
        (&stream).write_all(&document?)?;
        (&stream).write_all(&body)?;
        messages.into_iter().try_for_each(|message| write(&stream, &message))
    });
    sender
}

/// Waits for the process, which has nothing to wait for any more. One that hangs is killed.
fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > GRACE {
            child.kill()?;
            return child.wait();
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Answers what a document asks of its browser, until it has gone.
fn serve(
    browser: &Browser,
    client: &Client,
    storage: &Storage,
    control: &UnixStream,
    sender: &Sender<ToContent>,
) -> Result<Option<Arrival>, BrowserError> {
    let mut reader = BufReader::new(control);
    let mut next = None;
    while let Some(message) = read(&mut reader)? {
        match message {
            FromContent::Console { level, message } => (browser.console)(&level, &message),
            FromContent::GetCookies => {
                // It may be gone by now; the next read says so.
                let cookies = browser.cookies.document_cookie(client);
                let _ = sender.send(ToContent::Cookies(cookies));
            }
            FromContent::LoadScript(url) => {
                let _ = sender.send(ToContent::Script(Scripts::of(browser).load(client, &url)));
            }
            FromContent::SetCookie(cookie) => browser.cookies.set_document_cookie(client, &cookie),
            FromContent::Navigate { url, from } if next.is_none() => {
                // It is the referrer, so not whatever the process says.
                let is_own = client.origin.is_same_origin_with_url(&from);
                let from = if is_own { from } else { client.creation_url.clone() };
                // The old document sees its unload once the new one's response is there.
                let fetched = browser.fetch_document(&url, Some(&from));
                let arrival = fetched.map_err(BrowserError::from).and_then(|fetched| {
                    Arrival::new(browser, fetched, from.as_str()).map_err(BrowserError::from)
                });
                next = Some(arrival);
                let _ = sender.send(ToContent::Close);
            }
            FromContent::Navigate { .. } => {}
            FromContent::Gone(stored) => stored.store(storage),
        }
    }
    next.transpose()
}
