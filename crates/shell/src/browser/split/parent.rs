//! The parent process: starts a content process for each document, and answers what the document asks for.

use std::{
    io::{BufReader, Write},
    net::Shutdown,
    ops::RangeInclusive,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sendbeacon::{Client, Origin, Site, remote::Pin};
use url::Url;

use super::{FromContent, Stored, ToContent, read, serialize, write};
use crate::{
    browser::{
        Browser, BrowserError,
        navigation::{self, NavigationError},
        scripts::Scripts,
        surroundings::Storage,
        tab::Areas,
    },
    lock::lock,
    page::{FetchedDocument, Navigation},
};

/// How many document identifiers a process gets.
const DOCUMENTS: u64 = 1 << 20;

/// How much longer than its limit a process may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A tab in which each document runs in a process of its own, together with its frames.
#[derive(Default)]
pub struct Split {
    close: Arc<AtomicBool>,
    /// Sends messages to the content process that runs now.
    control: Arc<Mutex<Option<Sender<ToContent>>>>,
}

impl Split {
    /// Returns a function that closes the tab, for use on any thread.
    pub fn closer(&self) -> impl Fn() + Send + Sync + 'static {
        let (close, control) = (Arc::clone(&self.close), Arc::clone(&self.control));
        move || {
            close.store(true, SeqCst);
            if let Some(sender) = &*lock(&control) {
                // This fails if the process has ended, so that nothing is left to close.
                let _ = sender.send(ToContent::Close);
            }
        }
    }

    /// Opens `url`, and follows the navigations that its documents ask for.
    ///
    /// Returns when a document is idle, when the tab is closed, or when `limit` has passed.
    ///
    /// # Errors
    /// If a document cannot be fetched, or its process cannot be started or fails.
    pub fn run(&self, browser: &Browser, url: &Url, limit: Duration) -> Result<(), BrowserError> {
        let start = Instant::now();
        let document = browser.fetch_document(&Navigation::of_user(url.clone()))?;
        let mut document = document.ok_or_else(|| NavigationError::NoDocument(url.to_string()))?;
        let session_storage = Areas::default();
        loop {
            let limit = limit.saturating_sub(start.elapsed());
            let origin = &document.client.origin;
            let (local, session) = (browser.local_storage.of(origin), session_storage.of(origin));
            match self.run_document(browser, document, &Storage { local, session }, limit)? {
                Some(next) if !self.close.load(SeqCst) => document = next,
                _ => return Ok(()),
            }
        }
    }

    /// Runs one document until its process has ended, and returns the document it has navigated to.
    fn run_document(
        &self,
        browser: &Browser,
        document: FetchedDocument,
        storage: &Storage,
        limit: Duration,
    ) -> Result<Option<FetchedDocument>, BrowserError> {
        let client = document.client.clone();
        let (mut child, channel, control) = start()?;
        let first = browser.last_document.get() + 1;
        browser.last_document.set(browser.last_document.get() + DOCUMENTS);
        let document_ids = first..=browser.last_document.get();
        let mut pin = Pin::of(&client);
        pin.document_ids = document_ids.clone();
        let process = browser.agent.content_process(pin);
        let channel = thread::spawn(move || process.serve_unix(channel));
        let body = document.body.clone();
        let sender = write_from_a_thread(
            control.try_clone()?,
            body,
            &ToContent::Document {
                body_length: document.body.len(),
                document: Box::new(document),
                document_ids: document_ids.clone(),
                stored: Stored::of(storage),
                limit,
            },
        );
        let for_news = sender.clone();
        let tell = move |document_id, news| {
            drop(for_news.send(ToContent::News { document_id, news }));
        };
        browser.log.attach(document_ids.clone(), Box::new(tell));
        *lock(&self.control) = Some(sender.clone());
        if self.close.load(SeqCst) {
            let _ = sender.send(ToContent::Close);
        }
        // Ends the channel of a process that does not keep to its limit.
        let (served, watched) = mpsc::channel::<()>();
        let for_the_end = control.try_clone()?;
        thread::spawn(move || {
            let limit = limit.saturating_add(GRACE);
            if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let _ = for_the_end.shutdown(Shutdown::Both);
            }
        });
        let next = serve(browser, &client, &document_ids, storage, &control, &sender);
        if let Some(timeline) = browser.log.timeline() {
            timeline.process_gone(document_ids.clone());
        }
        drop(served);
        browser.log.detach(first);
        *lock(&self.control) = None;
        // The process cannot block on the channel any more, so it ends.
        let _ = control.shutdown(Shutdown::Both);
        let status = wait(&mut child)?;
        if let Ok(Err(error)) = channel.join() {
            eprintln!("the channel of a content process has failed: {error}");
        }
        if status.success() { next } else { Err(BrowserError::Content(status)) }
    }
}

/// Starts a content process, and returns it with the library's channel and the shell's own channel.
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

/// Starts a thread that writes the document, and then the messages that the returned sender is given.
///
/// The thread ends at the first error. The process has ended then, and `serve` sees that as the end of its messages.
fn write_from_a_thread(stream: UnixStream, body: Bytes, document: &ToContent) -> Sender<ToContent> {
    let (sender, messages) = mpsc::channel();
    let document = serialize(document);
    thread::spawn(move || {
        (&stream).write_all(&document?)?;
        (&stream).write_all(&body)?;
        messages.into_iter().try_for_each(|message| {
            write(&stream, &message)?;
            match message {
                ToContent::Fetched { body, .. } => (&stream).write_all(&body),
                _ => Ok(()),
            }
        })
    });
    sender
}

/// Waits for the end of the process, and kills it if it does not end in time.
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

/// Answers the messages of a content process until it has ended. Returns the document it has navigated to.
fn serve(
    browser: &Browser,
    client: &Client,
    document_ids: &RangeInclusive<u64>,
    storage: &Storage,
    control: &UnixStream,
    sender: &Sender<ToContent>,
) -> Result<Option<FetchedDocument>, BrowserError> {
    let mut reader = BufReader::new(control);
    let mut next = None;
    while let Some(message) = read(&mut reader)? {
        match message {
            FromContent::Console { level, message } => (browser.console)(&level, &message),
            FromContent::GetCookies(said) => {
                // Sending fails if the process has ended. The next `read` sees that.
                let cookies = browser.cookies.document_cookie(&hold(client, *said));
                let _ = sender.send(ToContent::Cookies(cookies));
            }
            FromContent::SetCookie(said, cookie) => {
                browser.cookies.set_document_cookie(&hold(client, *said), &cookie);
            }
            FromContent::LoadScript(said, request) => {
                let scripts = Scripts::of(browser);
                let script = scripts.load(hold(client, *said), &request);
                let script = browser.runtime.block_on(script);
                let _ = sender.send(ToContent::Script(script));
            }
            FromContent::FetchDocument { id, navigation } => {
                let mut navigation = *navigation;
                navigation.source = navigation.source.map(|said| hold(client, said));
                navigation.container = navigation.container.map(|said| hold(client, said));
                fetch_document(browser, client, id, navigation, sender.clone());
            }
            FromContent::Navigate(navigation) if next.is_none() => {
                let source = navigation.source.map(|said| hold(client, said));
                let navigation = Navigation { source, container: None, ..*navigation };
                // The old document is unloaded when the response for the new one is there.
                next = Some(browser.fetch_document(&navigation));
                let _ = sender.send(ToContent::Close);
            }
            FromContent::Navigate(_) => {}
            FromContent::Told(document_id, step) => {
                if let Some(timeline) = browser.log.timeline()
                    && document_ids.contains(&document_id)
                {
                    timeline.told(document_id, step);
                }
            }
            FromContent::Gone(stored) => stored.store(storage),
        }
    }
    Ok(next.transpose()?.flatten())
}

/// Fetches a document for the process that runs the document of `client`, and sends it there.
///
/// A document of another site is an error: it would need a process of its own.
fn fetch_document(
    browser: &Browser,
    client: &Client,
    id: u64,
    navigation: Navigation,
    sender: Sender<ToContent>,
) {
    let (network, cookies) = (Arc::clone(&browser.network), Arc::clone(&browser.cookies));
    let site = Site::of(&client.origin);
    browser.runtime.spawn(async move {
        let fetched = navigation::fetch_document(&*network, &*cookies, &navigation).await;
        let document = match fetched {
            Ok(Some(document)) if Site::of(&document.client.origin) != site => {
                Err(format!("{}: a process has the documents of one site", document.url))
            }
            Ok(document) => Ok(document.map(Box::new)),
            Err(error) => Err(error.to_string()),
        };
        let body = match &document {
            Ok(Some(document)) => document.body.clone(),
            _ => Bytes::new(),
        };
        // Sending fails if the process has ended.
        let _ = sender.send(ToContent::Fetched { id, document, body_length: body.len(), body });
    });
}

/// Checks a client received from the process that runs the document of `client`.
///
/// Returns `client` itself if the received origin is of another site or does not belong to the URL. Otherwise returns
/// the received client, with the fields that a content process does not decide overwritten.
fn hold(client: &Client, mut said: Client) -> Client {
    let is_own = said.origin.is_same_origin_with_url(&said.creation_url)
        || !said.creation_url.has_host()
        || matches!(said.origin, Origin::Opaque(_));
    let is_of_site = matches!(said.origin, Origin::Opaque(_))
        || Site::of(&said.origin) == Site::of(&client.origin);
    if !is_own || !is_of_site {
        return client.clone();
    }
    said.network_partition_key = client.network_partition_key.clone();
    said.has_cross_site_ancestor |= client.has_cross_site_ancestor;
    said
}
