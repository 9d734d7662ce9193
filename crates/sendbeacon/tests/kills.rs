//! Kills an app with an outbox at random moments (SIGKILL), starts it again, and counts how often each beacon has arrived.
//!
//! `cargo test -p sendbeacon --features outbox --test kills -- 200` kills it 200 times. Default: 10 times.
//!
//! In each second run the server is away while the app runs, and in the others it answers after 5 milliseconds. The app
//! keeps each beacon as it comes, and says on its standard output what it has accepted and what is safe. Then another
//! process finds the outbox, and a server that is there.
//!
//! * A beacon that was safe must arrive, unless its record says that a byte may have been sent.
//! * No beacon arrives twice.
//! * If a number of kills is given: of the beacons that were accepted 100 milliseconds before the end and had not
//!   arrived, at least 99 in 100 must be safe. This needs a machine that has nothing else to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use sendbeacon::{
    Client, Event, EventKind, EventSink, KeepaliveLimits, Nonce, Outcome, UserAgent,
    outbox::{FileOutbox, KeySealer, OutboxSettings},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{net::TcpSocket, runtime::Runtime};

/// How long an app runs before it is killed, at most.
const LONGEST: Duration = Duration::from_millis(400);

/// A beacon that was accepted this long before the end should be safe.
const SETTLED: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["app", outbox, url] => app(outbox, url),
        ["next", outbox, url, records] => next(outbox, url, records.parse().unwrap()),
        // Cargo passes the arguments that are meant for other tests, too.
        [count] if count.parse::<usize>().is_ok() => kill_often(count.parse().unwrap(), true),
        _ => kill_often(10, false),
    }
}

/// Writes what happens to standard output, a line at a time: the parent reads it even if this process is killed.
struct Tells;

impl Tells {
    fn tell(line: std::fmt::Arguments<'_>) {
        let mut stdout = stdout().lock();
        // The parent may have gone.
        let _ = stdout.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdout.flush());
    }
}

impl EventSink for Tells {
    fn event(&self, event: Event) {
        let path = event.fetch.url.path();
        match event.kind {
            EventKind::Safe { .. } => Self::tell(format_args!("safe {path}")),
            EventKind::Done { outcome: Outcome::Unknown, .. } => {
                Self::tell(format_args!("unknown {path}"));
            }
            EventKind::Done { .. } => Self::tell(format_args!("done {path}")),
            _ => {}
        }
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}

fn agent(outbox: &str) -> UserAgent {
    let settings = OutboxSettings::default()
        .with_sealer(Arc::new(KeySealer::new([7; 32])))
        .with_persist_after(Duration::ZERO)
        .with_limits(64 << 20, 40_000);
    UserAgent::builder()
        .event_sink(Arc::new(Tells))
        .outbox(Box::new(FileOutbox::open(outbox).unwrap()), settings)
        .keepalive_limits(KeepaliveLimits::MAX)
        .build()
        .unwrap()
}

fn client(url: &str) -> Client {
    Client::new(url.parse().unwrap(), Nonce::from_u128(1))
}

/// Sends beacons until it is killed.
fn app(outbox: &str, url: &str) -> ExitCode {
    let agent = agent(outbox);
    let document = agent.document(client(url));
    for number in 0.. {
        let path = format!("/{number}");
        if document.send_beacon(&path, Some("x".into())) == Ok(true) {
            Tells::tell(format_args!("accepted {path}"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    ExitCode::SUCCESS
}

/// Ends when the records of the outbox have.
fn next(outbox: &str, url: &str, records: usize) -> ExitCode {
    struct Counts(mpsc::Sender<()>);
    impl EventSink for Counts {
        fn event(&self, event: Event) {
            Tells.event(event.clone());
            if let EventKind::Done { .. } = event.kind
                && event.fetch.record.is_some()
            {
                let _ = self.0.send(());
            }
        }
    }
    let (sender, ended) = mpsc::channel();
    let settings = OutboxSettings::default().with_sealer(Arc::new(KeySealer::new([7; 32])));
    let settings = settings.with_limits(64 << 20, 40_000);
    let agent = UserAgent::builder()
        .event_sink(Arc::new(Counts(sender)))
        .outbox(Box::new(FileOutbox::open(outbox).unwrap()), settings)
        .build()
        .unwrap();
    let document = agent.document(client(url));
    for _ in 0..records {
        ended.recv_timeout(Duration::from_secs(60)).expect("each record ends");
    }
    drop(document);
    agent.shutdown_blocking(Duration::from_secs(20));
    ExitCode::SUCCESS
}

fn start(arguments: &[&str]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what a child says to its end.
fn read(child: &mut Child) -> Vec<(Instant, String)> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).map(|line| (Instant::now(), line)).collect()
}

/// What was counted over all runs.
#[derive(Debug, Default)]
struct Counts {
    accepted: usize,
    safe: usize,
    sent_later: usize,
    unknown: usize,
    lost: usize,
    doubled: usize,
    /// The beacons that should be safe, and those of them that were.
    settled: usize,
    settled_and_safe: usize,
}

fn kill_often(count: usize, is_timed: bool) -> ExitCode {
    let runtime = Runtime::new().unwrap();
    let mut counts = Counts::default();
    for run in 0..count {
        let folder = tempfile::tempdir().unwrap();
        let is_away = run % 2 == 0;
        kill(&runtime, &folder.path().join("outbox"), is_away, &mut counts);
    }
    println!("{count} kills: {counts:#?}");
    let is_quick = counts.settled_and_safe * 100 >= counts.settled * 99;
    let is_good = counts.lost == 0 && counts.doubled == 0 && (is_quick || !is_timed);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn kill(runtime: &Runtime, outbox: &Path, is_away: bool, counts: &mut Counts) {
    let outbox = outbox.to_str().unwrap();
    let _context = runtime.enter();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/page", socket.local_addr().unwrap());
    let handler =
        |_: &_| Behavior::RespondAfter(Duration::from_millis(5), Behavior::response(204, &[], b""));
    let start_server = |socket: TcpSocket| {
        RecordingServer::setup().start_on(socket.listen(1024).unwrap(), handler)
    };
    let (socket, server) =
        if is_away { (Some(socket), None) } else { (None, Some(start_server(socket))) };

    let mut app = start(&["app", outbox, &url]);
    let mut random = [0; 4];
    getrandom::fill(&mut random).unwrap();
    let share = f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX);
    let reader = {
        let mut output = app.stdout.take();
        thread::spawn(move || {
            let lines = BufReader::new(output.take().unwrap()).lines();
            lines.map_while(Result::ok).map(|line| (Instant::now(), line)).collect::<Vec<_>>()
        })
    };
    thread::sleep(LONGEST.mul_f64(share));
    app.kill().unwrap();
    let killed_at = Instant::now();
    app.wait().unwrap();
    let said = reader.join().unwrap();
    let server = server.unwrap_or_else(|| start_server(socket.unwrap()));
    // What the kernel had taken arrives.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    let paths = |server: &RecordingServer| {
        let mut arrived = BTreeMap::<String, usize>::new();
        for request in server.requests() {
            *arrived.entry(request.target).or_default() += 1;
        }
        arrived
    };
    let before = paths(&server);

    let records = {
        use sendbeacon::host::Outbox;
        FileOutbox::open(outbox).unwrap().load().unwrap().len()
    };
    let mut next = start(&["next", outbox, &url, &records.to_string()]);
    let later = read(&mut next);
    assert!(next.wait().unwrap().success(), "{later:?}");
    let arrived = paths(&server);

    let all = |lines: &[(Instant, String)], word: &str| -> BTreeMap<String, Instant> {
        let of_word = lines.iter().filter_map(|(at, line)| {
            let (first, path) = line.split_once(' ')?;
            (first == word).then(|| (path.to_owned(), *at))
        });
        of_word.collect()
    };
    let (accepted, safe) = (all(&said, "accepted"), all(&said, "safe"));
    let done: BTreeSet<_> = all(&said, "done").into_keys().collect();
    let unknown = all(&later, "unknown");
    counts.accepted += accepted.len();
    counts.safe += safe.len();
    counts.unknown += unknown.len();
    counts.sent_later += arrived.len() - before.len();
    counts.doubled += arrived.values().filter(|times| **times > 1).count();
    let is_lost = |path: &&String| !arrived.contains_key(*path) && !unknown.contains_key(*path);
    counts.lost += safe.keys().filter(is_lost).count();
    for (path, at) in &accepted {
        let is_settled = killed_at.saturating_duration_since(*at) >= SETTLED;
        if is_settled && !before.contains_key(path) && !done.contains(path) {
            counts.settled += 1;
            counts.settled_and_safe += usize::from(safe.contains_key(path));
        }
    }
}
