//! The browser around a page: one profile, one window with one tab.
//!
//! It embeds the library as any engine would: each of its documents has a
//! [`sendbeacon::Document`], whose `Client` it keeps current and which it drives through
//! [`DocumentLifecycle`](sendbeacon::DocumentLifecycle).

mod arrival;
mod har;
mod host;
mod log;
mod navigation;
mod scripts;
mod split;
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
    time::Duration,
};

use http::HeaderValue;
use sendbeacon::{MemoryCookieStore, ShutdownReport, UserAgent, net::HttpNetwork};
use thiserror::Error;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use url::Url;

use self::har::Har;
pub use self::{
    host::Call,
    log::{Finished, Log},
    navigation::NavigationError,
    split::{ContentError, Split, run_content},
    tab::{Stopped, Tab},
};
use crate::page::{FetchedDocument, Navigation};

/// What the browser is told on the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A file of PEM certificates to trust beside the platform's.
    pub ca_certificates: Option<PathBuf>,
    /// Hosts whose address is known without DNS.
    pub host_map: Vec<(String, IpAddr)>,
    /// The file for an archive of what pages send: see [`Browser::write_har`].
    pub har: Option<PathBuf>,
}

/// A browser with one profile.
pub struct Browser {
    agent: Arc<UserAgent>,
    network: Arc<HttpNetwork>,
    cookies: Arc<MemoryCookieStore>,
    local_storage: Rc<tab::Areas>,
    last_document: Rc<Cell<u64>>,
    log: Arc<Log>,
    console: Console,
    /// The path of a script, and what stands in for it.
    stand_in: Option<(String, String)>,
    har_file: Option<File>,
    /// Drives the network side. Dropped last.
    runtime: Runtime,
}

/// Takes the level and the text of a line for the console.
type Console = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// The signals that close a window: see [`Browser::listen_for_signals`].
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Why there is no browser, or no page in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// The certificates cannot be read.
    #[error("{path}: {reason}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file for the archive cannot be made.
    #[error("{path}: {reason}")]
    Har {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// No runtime.
    #[error("the network side cannot be started: {0}")]
    Runtime(#[from] io::Error),
    /// The network could not be built.
    #[error(transparent)]
    Network(#[from] sendbeacon::net::LimitError),
    /// No user agent.
    #[error(transparent)]
    UserAgent(#[from] sendbeacon::BuildError),
    /// The document could not be fetched.
    #[error(transparent)]
    Navigation(#[from] NavigationError),
    /// The page could not be made.
    #[error(transparent)]
    Page(#[from] crate::page::PageError),
    /// The content process ended as it should not.
    #[error("the content process ended with {0}")]
    Content(std::process::ExitStatus),
}

/// `User-Agent`, and `navigator.userAgent`.
pub(crate) const USER_AGENT: &str = concat!("sendbeacon-shell/", env!("CARGO_PKG_VERSION"));
/// `Accept-Language`; `navigator.languages` says the same.
pub(crate) const ACCEPT_LANGUAGE: &str = "en-US,en;q=0.9";

impl Browser {
    /// Starts one.
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
        let network = Arc::new(network.build()?);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let create = |path: &PathBuf| {
            File::create(path).map_err(|reason| BrowserError::Har { path: path.clone(), reason })
        };
        let har_file = options.har.as_ref().map(create).transpose()?;
        let log = Log::new(har_file.is_some().then(Har::new));
        let (log, cookies) = (Arc::new(log), Arc::new(MemoryCookieStore::default()));
        let agent = UserAgent::builder()
            .network(Arc::clone(&network) as _)
            .cookies(Arc::clone(&cookies) as _)
            .event_sink(Arc::clone(&log) as _)
            .runtime(runtime.handle().clone())
            .user_agent(HeaderValue::from_static(USER_AGENT))
            .accept_language(HeaderValue::from_static(ACCEPT_LANGUAGE))
            .build()?;
        Ok(Self {
            agent: Arc::new(agent),
            network,
            cookies,
            local_storage: Rc::default(),
            last_document: Rc::default(),
            log,
            console: Arc::new(print_console),
            stand_in: None,
            har_file,
            runtime,
        })
    }

    /// What pages say to the console goes there, not to stdout.
    #[must_use]
    pub fn with_console(mut self, console: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        self.console = Arc::new(console);
        self
    }

    /// Has `source` stand in for the scripts at `path`, wherever they are from.
    #[must_use]
    pub fn with_script(mut self, path: &str, source: String) -> Self {
        self.stand_in = Some((path.to_owned(), source));
        self
    }

    /// Opens a tab with the document at `url`: fetched, parsed, its scripts run, `load` fired.
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

    /// From now on SIGTERM and SIGINT do not end the process, but are kept for
    /// [`on_signal`](Self::on_signal). Call it before a page can run.
    pub fn listen_for_signals(&self) -> io::Result<Signals> {
        let _context = self.runtime.enter();
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Signals { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Calls `close` when the process is told to end, or was since it listens.
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

    /// What became of every keepalive fetch so far.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Drains: see [`UserAgent::shutdown_blocking`].
    pub fn shut_down(&self, deadline: Duration) -> ShutdownReport {
        self.agent.shutdown_blocking(deadline)
    }

    /// Writes the archive of what pages have sent, if [`Options::har`] wants one. To be called when the
    /// browser has shut down.
    pub fn write_har(&self) -> io::Result<()> {
        match (self.log.har(), &self.har_file) {
            (Some(har), Some(file)) => har.write(BufWriter::new(file)),
            _ => Ok(()),
        }
    }
}

fn print_console(level: &str, message: &str) {
    // Where nobody reads, nothing is lost.
    let _ = writeln!(io::stdout(), "console.{level}: {message}");
}
