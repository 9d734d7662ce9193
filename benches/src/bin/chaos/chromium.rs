//! The same beacons, sent by a page in Chromium.
//!
//! A beacon is a keepalive `fetch()` here, because a page does not learn how a `sendBeacon()` ends.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::runtime::Handle;

use crate::{
    BoxError,
    cell::Cell,
    faults::IN_FLIGHT,
    server::{Identity, Server},
    sightings::{DIGITS, LENGTHS},
};

/// Where Debian's package puts it.
const CHROMIUM: &str = "/usr/bin/chromium";
const SWITCHES: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// How long no beacon may end before the run gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sends the beacons of a row, tells the end of each, and opens the page of the next row.
const PAGE: &str = "<!doctype html>
<link rel=icon href=data:>
<script>
const [row, server, count, inFlight, digits, lengths] = VALUES;
const reports = [];
let next = 0;
async function send() {
    while (next < count) {
        const number = next++;
        const length = lengths[number % lengths.length];
        const body = String(number).padStart(digits, '0').padEnd(length, '.');
        const signal = AbortSignal.timeout(5000);
        const options = {method: 'POST', keepalive: true, mode: 'no-cors', body, signal};
        const beacon = fetch(`${server}collect?n=${number}`, options);
        const failure = await beacon.then(() => '', String);
        reports.push(fetch(`/${row}/${number}`, {method: 'POST', body: failure}));
    }
}
Promise.all(Array.from({length: inFlight}, send))
    .then(() => Promise.all(reports))
    .then(() => { location = `/${row + 1}`; });
</script>
";

/// The version of the Chromium that is installed, in its words. `None` if none is installed.
pub(crate) fn version() -> Result<Option<String>, BoxError> {
    if !Path::new(CHROMIUM).exists() {
        return Ok(None);
    }
    let output = Command::new(CHROMIUM).arg("--version").stderr(Stdio::null()).output()?;
    Ok(Some(String::from_utf8(output.stdout)?.trim().to_owned()))
}

/// Sends the beacons of one cell after the other, and returns how long each cell took.
pub(crate) fn send(
    cells: &[Arc<Cell>],
    identity: &Identity,
    runtime: &Handle,
) -> Result<Vec<Duration>, BoxError> {
    let context = runtime.enter();
    let servers = cells.iter().map(|cell| Server::start(Arc::clone(cell), identity));
    let servers = servers.collect::<Result<Vec<_>, _>>()?;
    drop(context);
    let (progress, progressed) = channel();
    let pages = Pages {
        rows: cells.iter().zip(&servers).map(|(cell, server)| Row::new(cell, server)).collect(),
        progress,
    };
    let page_server = RecordingServer::start(move |request| pages.answer(request));
    let page_server = runtime.block_on(page_server);
    let chromium = Chromium::open(&page_server.url("/0"))?;
    let mut starts = Vec::new();
    while starts.len() <= cells.len() {
        match progressed.recv_timeout(PATIENCE) {
            Ok(Progress::Row(row)) if row == starts.len() => starts.push(Instant::now()),
            Ok(Progress::Row(_)) => return Err("Chromium has opened a page again".into()),
            Ok(Progress::Beacon) => {}
            Err(_) => return Err(format!("no beacon has ended for {PATIENCE:?}").into()),
        }
    }
    // The counts are final when Chromium's connections have ended and the servers have read what it has written.
    drop(chromium);
    for (cell, server) in cells.iter().zip(servers) {
        let open = runtime.block_on(server.stop())?;
        if open > 0 {
            return Err(format!("{}: {open} connections did not end", cell.row.name).into());
        }
    }
    Ok(starts.windows(2).map(|pair| pair[1] - pair[0]).collect())
}

/// What a page has reported.
enum Progress {
    /// The page of the row with this number was opened. The number after the last row's says that all rows are done.
    Row(usize),
    /// A beacon has ended.
    Beacon,
}

/// What the server of the pages knows.
struct Pages {
    rows: Vec<Row>,
    progress: Sender<Progress>,
}

struct Row {
    cell: Arc<Cell>,
    /// The URL of the cell's server.
    server: String,
}

impl Row {
    fn new(cell: &Arc<Cell>, server: &Server) -> Self {
        Self { cell: Arc::clone(cell), server: format!("http://{}/", server.addr) }
    }
}

impl Pages {
    /// Answers `/ROW` with the page of a row, and takes the end of a beacon at `/ROW/NUMBER`.
    fn answer(&self, request: &RecordedRequest) -> Behavior {
        let mut numbers =
            request.target.split('/').skip(1).map(|number| number.parse::<usize>().ok());
        let Some(row) = numbers.next().flatten() else { return Behavior::status(404) };
        let cell = self.rows.get(row).map(|row| &row.cell);
        let (progress, answer) = match (cell, numbers.next().flatten()) {
            (Some(cell), Some(number)) => {
                match &*String::from_utf8_lossy(&request.body) {
                    "" => cell.sightings.told_delivered(number),
                    failure => cell.sightings.told_failed(number, &failure),
                }
                (Progress::Beacon, Behavior::status(204))
            }
            _ => (Progress::Row(row), self.page(row)),
        };
        // Fails when the run has given up.
        let _ = self.progress.send(progress);
        answer
    }

    /// The page of a row. It is empty if there is no such row.
    fn page(&self, number: usize) -> Behavior {
        let page = self.rows.get(number).map_or_else(String::new, |Row { cell, server }| {
            // Chromium has six connections to a server. A beacon that waited for one could reach its limit on time unsent.
            let in_flight = cell.in_flight().min(IN_FLIGHT);
            let count = cell.sightings.len();
            let values =
                format!("[{number}, {server:?}, {count}, {in_flight}, {DIGITS}, {LENGTHS:?}]");
            PAGE.replace("VALUES", &values)
        });
        Behavior::with_body(200, &[("Content-Type", "text/html")], page.as_bytes())
    }
}

/// A running Chromium with a profile of its own.
struct Chromium {
    process: Child,
    profile: PathBuf,
}

impl Chromium {
    fn open(url: &str) -> Result<Self, BoxError> {
        let profile = env::temp_dir().join(format!("sendbeacon-chaos-chromium-{}", process::id()));
        fs::create_dir(&profile)?;
        // The system kills Chromium if this process ends in any other way than by a return from `main`.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", CHROMIUM])
            .args(SWITCHES)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, profile })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The group has the processes of this Chromium and no others.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
