//! The command `demo --outage`: the collector is down when a page closes and the browser quits, and the page's beacons
//! arrive after the next start.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use tokio::net::{TcpListener, TcpSocket};

use crate::{
    collector::{Received, collect},
    demo::{DemoError, Timeline, describe},
    lock::lock,
    server::serve,
};

/// The page that sends the beacons.
const PAGE: &str = include_str!("../demo/outage.html");

/// Another page of the same site, which is open for a second.
const OTHER_PAGE: &str = "<!DOCTYPE html><script>setTimeout(() => {}, 1000)</script>";

/// How many beacons the page sends.
const BEACONS: usize = 3;

/// How long the first browser waits for the collector, in seconds.
const DRAIN: &str = "1";

/// Runs the demo and prints what happened when.
///
/// Each browser is a process of its own. It must be started by `sendbeacon-shell`, which it starts again for that.
///
/// # Errors
/// [`DemoError::Lost`], if a beacon did not arrive exactly once; the other variants, if the demo could not run.
pub fn run() -> Result<(), DemoError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = TemporaryFolder::new()?;
    // The collector has its address, and refuses connections until it listens.
    let (site, socket) = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        Ok::<_, io::Error>((TcpListener::bind(("127.0.0.1", 0)).await?, socket))
    })?;
    let site_url = format!("http://{}", site.local_addr()?);
    let collector = format!("http://localhost:{}", socket.local_addr()?.port());
    println!("a page at {site_url}, and a collector at {collector}, which is down\n");
    let page = PAGE.replace("{{collector}}", &collector);
    runtime.spawn(serve(site, move |request| {
        let html = if request.uri().path() == "/" { page.clone() } else { OTHER_PAGE.to_owned() };
        async move {
            let mut response = Response::new(Full::new(Bytes::from(html)));
            let value = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, value);
            response
        }
    }));

    let mut timeline = Timeline::new();
    let outbox = folder.0.join("outbox");
    timeline.note("shell", "opens the page and closes it".to_owned());
    browse(&mut timeline, &outbox, &format!("{site_url}/"))?;
    timeline.note("shell", "has quit".to_owned());
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let record = {
        let arrived = Arc::clone(&arrived);
        move |received: Received| lock(&arrived).push((Instant::now(), received))
    };
    let listener = {
        let _context = runtime.enter();
        socket.listen(64)?
    };
    runtime.spawn(collect(listener, Duration::ZERO, record));
    timeline.note("server", "the collector is up".to_owned());
    timeline.note("shell", "is started again, and opens another page of the site".to_owned());
    browse(&mut timeline, &outbox, &format!("{site_url}/other"))?;
    timeline.note("shell", "has quit".to_owned());

    let arrived = lock(&arrived).clone();
    for (at, received) in &arrived {
        timeline.add(*at, "server", describe(received));
    }
    print!("{timeline}");
    let count = |target: &str| {
        let is_it = |(_, it): &&(Instant, Received)| it.method == "POST" && it.target == target;
        arrived.iter().filter(is_it).count()
    };
    let missing = ["/text", "/form", "/json"].into_iter().filter(|it| count(it) != 1).count();
    if missing > 0 {
        return Err(DemoError::Lost { accepted: BEACONS, missing });
    }
    println!("\nall {BEACONS} accepted beacons arrived, each once");
    Ok(())
}

/// Opens `url` in a browser of its own, waits until it has quit, and adds what it says to the timeline.
fn browse(timeline: &mut Timeline, outbox: &PathBuf, url: &str) -> io::Result<()> {
    let output = Command::new(env::current_exe()?)
        .args(["open", "--drain", DRAIN, "--outbox"])
        .arg(outbox)
        .arg(url)
        .stdin(Stdio::null())
        .output()?;
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        timeline.note("library", line.to_owned());
    }
    if output.status.success() { Ok(()) } else { Err(io::Error::other(output.status.to_string())) }
}

/// A folder for the outbox, which is removed at the end.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> io::Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let name = format!("sendbeacon-demo-{:016x}", u64::from_ne_bytes(bytes));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left in it is no use to anybody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
