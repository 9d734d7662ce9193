//! The command `demo`: shows on one screen that a page's beacons reach a real server after the page has gone.

use std::{
    fmt::Write as _,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use sendbeacon::Outcome;
use thiserror::Error;
use tokio::{net::TcpListener, runtime::Runtime};
use url::Url;

use crate::{
    browser::{Browser, BrowserError, Options, Tab},
    collector::{Received, collect},
    lock::lock,
    server::serve,
};

const PAGE: &str = include_str!("../demo/index.html");

/// How long the shutdown waits for answers that the servers hold back.
const DRAIN: Duration = Duration::from_secs(30);

/// Why the demo failed.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The servers could not be started, or the drawing could not be written.
    #[error("the servers cannot be started, or the drawing cannot be written: {0}")]
    Io(#[from] io::Error),
    /// The browser could not open the page.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// `sendBeacon()` returned true, and the beacon did not arrive exactly once.
    #[error("{missing} of {accepted} accepted beacons did not arrive exactly once")]
    Lost {
        /// How many `sendBeacon()` calls returned true.
        accepted: usize,
        /// How many of those beacons did not arrive exactly once.
        missing: usize,
    },
}

/// Runs the demo and prints what happened when.
///
/// The servers answer each request `hold` after it has arrived. A page that draws what happened is written to the file
/// `drawing`, if it is given.
///
/// # Errors
/// [`DemoError::Lost`], if an accepted beacon did not arrive exactly once; the other variants, if the demo could not
/// run.
pub fn run(hold: Duration, drawing: Option<PathBuf>) -> Result<(), DemoError> {
    let servers = Servers::start(hold)?;
    println!(
        "a page at {}, and a collector of another origin at {}",
        servers.site, servers.collector
    );
    println!("each request is answered {} ms after it arrived\n", hold.as_millis());

    let browser = Browser::new(&Options { timeline: drawing, ..Options::default() })?;
    let mut timeline = Timeline::new();
    let mut tab = browser.open(&servers.site)?;
    timeline.note("page", "loaded".to_owned());
    let progress = browser.progress("the answers");
    tab.run(hold);
    tab.evaluate("document.querySelector('#buy').click()");
    timeline.note("page", "clicked".to_owned());
    tab.hide();
    timeline.note("page", "hidden".to_owned());
    tab.unload();
    let calls = tab.calls();
    drop::<Tab>(tab);
    timeline.note("page", "unloaded: the document is gone".to_owned());
    browser.shut_down(DRAIN);
    drop(progress);
    browser.write_timeline()?;

    let accepted = calls.iter().filter(|call| call.result == Ok(true)).count();
    for call in calls {
        let result = match call.result {
            Ok(returned) => returned.to_string(),
            Err(message) => format!("TypeError: {message}"),
        };
        timeline.add(call.at, "script", format!("sendBeacon({:?}) is {result}", call.url));
    }
    let arrived = servers.arrived();
    for (at, received) in &arrived {
        timeline.add(*at, "server", describe(received));
    }
    let mut delivered = 0;
    for finished in browser.log().finished() {
        delivered += usize::from(matches!(finished.outcome, Outcome::Delivered { .. }));
        let path = finished.url.path();
        let text = match finished.outcome {
            Outcome::Delivered { status } => format!("{path} was answered with {status}"),
            Outcome::Failed { error, progress } => format!("{path} failed ({progress}): {error}"),
            other => format!("{path}: {other:?}"),
        };
        timeline.add(finished.at, "library", text);
    }
    print!("{timeline}");

    let posts = arrived.iter().filter(|(_, received)| received.method == "POST").count();
    let missing = accepted.abs_diff(posts).max(accepted.abs_diff(delivered));
    if missing > 0 {
        return Err(DemoError::Lost { accepted, missing });
    }
    println!("\nall {accepted} accepted beacons arrived, each once");
    Ok(())
}

/// The request as the timeline shows it.
pub(crate) fn describe(received: &Received) -> String {
    let Received { method, target, length, .. } = received;
    let mut line = format!("{method:<7} {target:<11} {length:>5} bytes");
    if let Some(content_type) = received.header("content-type") {
        let _ = write!(line, "  {content_type}");
    }
    line
}

/// The site's server and the collector, which have different origins.
struct Servers {
    site: Url,
    collector: String,
    arrived: Arc<Mutex<Vec<(Instant, Received)>>>,
    /// Runs both servers.
    _runtime: Runtime,
}

impl Servers {
    fn start(hold: Duration) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let record = {
            let arrived = Arc::clone(&arrived);
            move |received| {
                lock(&arrived).push((Instant::now(), received));
            }
        };
        let [site, collector] = runtime.block_on(async {
            Ok::<_, io::Error>([
                TcpListener::bind(("127.0.0.1", 0)).await?,
                TcpListener::bind(("127.0.0.1", 0)).await?,
            ])
        })?;
        // A different host name makes a different origin.
        let collector_origin = format!("http://localhost:{}", collector.local_addr()?.port());
        let site_url = format!("http://{}/", site.local_addr()?);
        runtime.spawn(collect(collector, hold, record.clone()));
        let page = PAGE.replace("{{collector}}", &collector_origin);
        runtime.spawn(serve(site, move |request| {
            let is_page = request.method() == Method::GET;
            if !is_page {
                record(Received::from(&request));
            }
            let (page, hold) = (page.clone(), if is_page { Duration::ZERO } else { hold });
            async move {
                tokio::time::sleep(hold).await;
                let mut response = Response::new(Full::new(Bytes::new()));
                if is_page {
                    *response.body_mut() = page.into();
                    let html = HeaderValue::from_static("text/html; charset=utf-8");
                    response.headers_mut().insert(CONTENT_TYPE, html);
                }
                response
            }
        }));
        let site = Url::parse(&site_url).map_err(io::Error::other)?;
        Ok(Self { site, collector: collector_origin, arrived, _runtime: runtime })
    }

    fn arrived(&self) -> Vec<(Instant, Received)> {
        lock(&self.arrived).clone()
    }
}

/// What the page, the script, the servers and the library did, and when.
pub(crate) struct Timeline {
    start: Instant,
    lines: Vec<(Instant, &'static str, String)>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), lines: Vec::new() }
    }

    pub(crate) fn note(&mut self, who: &'static str, what: String) {
        self.add(Instant::now(), who, what);
    }

    pub(crate) fn add(&mut self, at: Instant, who: &'static str, what: String) {
        self.lines.push((at, who, what));
    }
}

impl std::fmt::Display for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|(at, ..)| *at);
        for (at, who, what) in lines {
            let millis = at.saturating_duration_since(self.start).as_millis();
            writeln!(f, "{millis:>6} ms  {who:<8}{what}")?;
        }
        Ok(())
    }
}
