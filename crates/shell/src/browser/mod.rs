//! The browser around a page, which embeds the library.
//!
//! A [`Browser`] has one profile, and a window with one tab. It embeds the library as a browser engine would: each
//! document has a [`sendbeacon::Document`]. The browser keeps the document's `Client` current and reports the
//! document's lifecycle through [`DocumentLifecycle`](sendbeacon::DocumentLifecycle).

mod arrival;
mod fetches;
mod finished;
mod har;
mod host;
mod log;
mod navigation;
mod outbox;
mod remote_host;
mod response_headers;
mod scripts;
#[cfg(target_os = "linux")]
mod send_queues;
mod split;
mod surroundings;
mod tab;
mod task_quota;

use std::{
    cell::Cell,
    fs::File,
    future::poll_fn,
    io::{self, BufWriter, Write},
    net::IpAddr,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use http::HeaderValue;
use sendbeacon::{
    Drain, MemoryCookieStore, ShutdownReport, ThirdPartyCookies, UserAgent, net::HttpNetwork,
};
use thiserror::Error;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use url::Url;

use self::har::Har;
pub use self::{
    finished::{Finished, LeftOut},
    log::Log,
    navigation::NavigationError,
    outbox::OutboxFileError,
    split::{ContentError, Split, run_content},
    surroundings::Call,
    tab::{Stopped, Tab},
};
use crate::{
    page::{FetchedDocument, Navigation},
    progress::Progress,
    timeline::Recorder,
};

/// The options of a browser, from the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A file of PEM certificates to trust in addition to the platform's. Default: none.
    pub ca_certificates: Option<PathBuf>,
    /// Hosts with their addresses, which are not asked for in DNS. Default: none.
    pub host_map: Vec<(String, IpAddr)>,
    /// The file for a HAR archive of the pages' requests: see [`Browser::write_har`]. Default: none.
    pub har: Option<PathBuf>,
    /// The file that keeps beacons which could not be sent, for the next start. Default: none.
    pub outbox: Option<PathBuf>,
    /// The file for a page that draws what happened: see [`Browser::write_timeline`]. Default: none.
    pub timeline: Option<PathBuf>,
    /// Whether frames and requests of other sites have cookies. Default: only partitioned ones.
    pub third_party_cookies: ThirdPartyCookies,
}

/// A browser with one profile: cookies, storage, connections and a user agent of the library.
pub struct Browser {
    agent: Arc<UserAgent>,
    network: Arc<HttpNetwork>,
    cookies: Arc<MemoryCookieStore>,
    local_storage: Rc<tab::Areas>,
    /// The document identifier that was given last.
    last_document: Rc<Cell<u64>>,
    log: Arc<Log>,
    console: Console,
    /// A path, and the source that is loaded in place of the scripts at that path.
    stand_in: Option<(String, String)>,
    /// See [`Browser::with_script_end`].
    script_end: Option<(String, String)>,
    har_file: Option<File>,
    timeline_file: Option<File>,
    /// Runs the network side. It is the last field, because the others need it until they are dropped.
    runtime: Runtime,
}

/// Receives the level and the text of each line for the console.
type Console = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// The signals that close the tab: see [`Browser::listen_for_signals`].
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Why the browser could not start or could not open a page.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// The file of certificates cannot be read.
    #[error("{path}: {reason}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file for the HAR archive or for the timeline cannot be created.
    #[error("{path}: {reason}")]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The outbox cannot be used.
    #[error("the outbox cannot be used: {0}")]
    Outbox(#[from] OutboxFileError),
    /// The runtime or a process could not be started, or the channel to a process has failed.
    #[error("the network side cannot be started: {0}")]
    Runtime(#[from] io::Error),
    /// The network could not be built.
    #[error(transparent)]
    Network(#[from] sendbeacon::net::LimitError),
    /// The library's user agent could not be built.
    #[error(transparent)]
    UserAgent(#[from] sendbeacon::BuildError),
    /// The document could not be fetched.
    #[error(transparent)]
    Navigation(#[from] NavigationError),
    /// The page could not be created.
    #[error(transparent)]
    Page(#[from] crate::page::PageError),
    /// A content process failed.
    #[error("the content process ended with {0}")]
    Content(std::process::ExitStatus),
}

/// The value of `User-Agent` and of `navigator.userAgent`.
pub(crate) const USER_AGENT: &str = concat!("sendbeacon-shell/", env!("CARGO_PKG_VERSION"));
/// The value of `Accept-Language`. `navigator.languages` has the same languages.
pub(crate) const ACCEPT_LANGUAGE: &str = "en-US,en;q=0.9";

impl Browser {
    /// Starts a browser with an empty profile.
    ///
    /// # Errors
    /// If a file of the options cannot be used, or the network side cannot be started.
    pub fn new(options: &Options) -> Result<Self, BrowserError> {
        let mut network = HttpNetwork::builder();
        if let Some(path) = &options.ca_certificates {
            let failed = |reason: String| BrowserError::Certificates { path: path.clone(), reason };
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            network = network
                .add_root_certificates_pem(&pem)
                .map_err(|error| failed(error.to_string()))?;
        }
        for (host, address) in &options.host_map {
            network = network.add_host_mapping(host, *address);
        }
        #[cfg(target_os = "linux")]
        let network = network.send_queues(Arc::new(send_queues::ProcNet));
        let network = Arc::new(network.build()?);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let create = |path: &PathBuf| {
            File::create(path).map_err(|reason| BrowserError::Output { path: path.clone(), reason })
        };
        let har_file = options.har.as_ref().map(create).transpose()?;
        let timeline_file = options.timeline.as_ref().map(create).transpose()?;
        let log = Log::new(
            har_file.is_some().then(Har::new),
            timeline_file.is_some().then(Recorder::new),
        );
        let (log, cookies) =
            (Arc::new(log), Arc::new(MemoryCookieStore::new(options.third_party_cookies)));
        let mut agent = UserAgent::builder()
            .network(Arc::clone(&network) as _)
            .cookies(Arc::clone(&cookies) as _)
            .event_sink(Arc::clone(&log) as _)
            .runtime(runtime.handle().clone())
            .user_agent(HeaderValue::from_static(USER_AGENT))
            .accept_language(HeaderValue::from_static(ACCEPT_LANGUAGE));
        if let Some(path) = &options.outbox {
            let (outbox, settings) = outbox::open(path)?;
            agent = agent.outbox(Box::new(outbox), settings);
        }
        Ok(Self {
            agent: Arc::new(agent.build()?),
            network,
            cookies,
            local_storage: Rc::default(),
            last_document: Rc::default(),
            log,
            console: Arc::new(print_console),
            stand_in: None,
            script_end: None,
            har_file,
            timeline_file,
            runtime,
        })
    }

    /// Passes the lines that pages write to the console to `console`, with their level. Default: prints them to stdout.
    #[must_use]
    pub fn with_console(mut self, console: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        self.console = Arc::new(console);
        self
    }

    /// Loads `source` in place of each script whose URL has this path, on any host.
    #[must_use]
    pub fn with_script(mut self, path: &str, source: String) -> Self {
        self.stand_in = Some((path.to_owned(), source));
        self
    }

    /// Adds `source` to the end of each script whose URL has this path, on any host.
    #[must_use]
    pub fn with_script_end(mut self, path: &str, source: String) -> Self {
        self.script_end = Some((path.to_owned(), source));
        self
    }

    /// Opens a tab: fetches the document at `url`, parses it, runs its scripts and fires `load`.
    ///
    /// # Errors
    /// If the document cannot be fetched or the page cannot be created.
    pub fn open(&self, url: &Url) -> Result<Tab, BrowserError> {
        Tab::open(self, url)
    }

    fn fetch_document(
        &self,
        navigation: &Navigation,
    ) -> Result<Option<FetchedDocument>, NavigationError> {
        let (network, cookies) = (&*self.network, &*self.cookies);
        self.runtime.block_on(navigation::fetch_document(network, cookies, navigation))
    }

    /// Keeps SIGTERM and SIGINT from ending the process; [`on_signal`](Self::on_signal) takes them.
    ///
    /// Call it before a page can run, so that a signal never ends the process without the page's beacons.
    ///
    /// # Errors
    /// If the signals cannot be listened for.
    pub fn listen_for_signals(&self) -> io::Result<Signals> {
        let _context = self.runtime.enter();
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Signals { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Calls `close` when one of the signals arrives, or at once if one has arrived already.
    pub fn on_signal(&self, mut signals: Signals, close: impl Fn() + Send + 'static) {
        self.runtime.spawn(async move {
            poll_fn(|cx| {
                let Signals { terminate, interrupt } = &mut signals;
                let is_told =
                    terminate.poll_recv(cx).is_ready() || interrupt.poll_recv(cx).is_ready();
                if is_told { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            close();
        });
    }

    /// The log of the keepalive fetches that have ended.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Says on stderr how many fetches are unfinished, until the returned value is dropped. `what` is what the caller
    /// waits for.
    #[must_use]
    pub fn progress(&self, what: &'static str) -> Progress {
        let log = Arc::clone(&self.log);
        Progress::new(move || {
            format!("waiting for {what}, unfinished fetches: {}", log.unfinished())
        })
    }

    /// Delivers what is unfinished, until its deadline has passed: see [`UserAgent::shutdown_blocking`].
    pub fn shut_down(&self, drain: impl Into<Drain>) -> ShutdownReport {
        if let Some(timeline) = self.log.timeline() {
            timeline.drain();
        }
        self.agent.shutdown_blocking(drain)
    }

    /// Writes the HAR archive of the pages' requests, if [`Options::har`] names a file.
    ///
    /// Call it after [`shut_down`](Self::shut_down), so that every request is complete. Returns how many requests are not
    /// in the archive: it has 20,000 requests at most, and 32 MiB of URLs, headers and bodies.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_har(&self) -> io::Result<u64> {
        match (self.log.har(), &self.har_file) {
            (Some(har), Some(file)) => har.write(BufWriter::new(file)),
            _ => Ok(0),
        }
    }

    /// Writes the page that draws what happened, if [`Options::timeline`] names a file.
    ///
    /// Call it after [`shut_down`](Self::shut_down), so that every fetch is complete.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_timeline(&self) -> io::Result<()> {
        match (self.log.timeline(), &self.timeline_file) {
            (Some(timeline), Some(file)) => timeline.write(BufWriter::new(file)),
            _ => Ok(()),
        }
    }
}

fn print_console(level: &str, message: &str) {
    // NB: an error means that nobody reads stdout any more; `println!` would panic.
    let _ = writeln!(io::stdout(), "console.{level}: {message}");
}
