//! Measures one call of `sendBeacon()` on the script thread, while the network side is busy and while it sleeps.
//!
//! `cargo run --release -p benches --bin call [CALLS]` times each call on its own. Each call takes turns with the floor
//! that it is compared with.

use std::{
    error::Error,
    future,
    hint::black_box,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use benches::{COLLECTOR, KIB_BEACONS_PER_DOCUMENT, document};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sendbeacon::{
    Document, NetworkError, UserAgent,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use tokio::{runtime::Builder, sync::mpsc};

/// How long the program waits until the network side sleeps.
const NAP: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let calls = std::env::args().nth(1).map_or(Ok(100_000), |calls| calls.parse())?;
    at_rest()?;
    println!("{:<42} {:>9} {:>9} {:>9}   ratio", "", "median", "p90", "p99");
    busy(calls)?;
    asleep(calls / 20)
}

/// Times calls while the network side is in the middle of a fetch.
fn busy(calls: usize) -> Result<(), Box<dyn Error>> {
    let (network, held) = Holding::new();
    let agent = UserAgent::builder().network(network).build()?;
    let (mailbox, mut receiver) = mpsc::unbounded_channel::<(String, Bytes)>();
    let body = "x".repeat(1 << 10);
    let [mut floor, mut channel, mut call] = [const { Vec::new() }; 3];
    while call.len() < calls {
        let document = document(&agent);
        let base = document.client().api_base_url.clone();
        document.send_beacon(COLLECTOR, None)?;
        let release = held.entered.recv()?;
        for _ in 0..KIB_BEACONS_PER_DOCUMENT {
            floor.push(time(|| (base.join(COLLECTOR), Bytes::copy_from_slice(body.as_bytes()))));
            channel.push(time(|| {
                let url = base.join(COLLECTOR).map(String::from);
                mailbox.send((url.unwrap_or_default(), Bytes::copy_from_slice(body.as_bytes())))
            }));
            call.push(time(|| send(&document, &body)));
        }
        drop(release);
        held.answered.iter().take(KIB_BEACONS_PER_DOCUMENT).for_each(drop);
        while receiver.try_recv().is_ok() {}
    }
    let floor = report("floor: join, copy 1 KiB", &mut floor, None);
    report("the same and a tokio channel", &mut channel, Some(floor));
    report("busy network side: a string of 1 KiB", &mut call, Some(floor));
    Ok(())
}

/// Times calls while the network side sleeps, so that each call has to wake it.
fn asleep(calls: usize) -> Result<(), Box<dyn Error>> {
    let (network, held) = Holding::new();
    let agent = UserAgent::builder().network(network).build()?;
    let document = document(&agent);
    let base = document.client().api_base_url.clone();
    let (mailbox, mut receiver) = mpsc::unbounded_channel::<(url::Url, Bytes)>();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        let task = async move { while receiver.recv().await.is_some() {} };
        runtime.block_on(async { tokio::spawn(task).await })
    });
    let body = "x".repeat(1 << 10);
    let [mut wake, mut call] = [const { Vec::new() }; 2];
    for _ in 0..calls {
        thread::sleep(NAP);
        wake.push(time(|| {
            let url = base.join(COLLECTOR).unwrap_or_else(|_| base.clone());
            mailbox.send((url, Bytes::copy_from_slice(body.as_bytes())))
        }));
        thread::sleep(NAP);
        call.push(time(|| send(&document, &body)));
        held.answered.recv()?;
    }
    let wake = report("floor: the same, and a wake", &mut wake, None);
    report("sleeping network side: a string of 1 KiB", &mut call, Some(wake));
    Ok(())
}

/// Prints how many threads a user agent has that has nothing to do, and how often they wake.
fn at_rest() -> Result<(), Box<dyn Error>> {
    let tasks =
        || std::fs::read_dir("/proc/self/task").map(|tasks| tasks.flatten().collect::<Vec<_>>());
    let before = tasks()?.len();
    let agent = UserAgent::builder().build()?;
    let document = document(&agent);
    thread::sleep(100 * NAP);
    let threads = tasks()?.len() - before;
    let wakes = || -> Result<u64, Box<dyn Error>> {
        let mut sum = 0;
        for task in tasks()? {
            let status = std::fs::read_to_string(task.path().join("status"))?;
            if status.starts_with("Name:\tsendbeacon") {
                let line =
                    status.lines().find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
                sum += line.unwrap_or_default().trim().parse::<u64>()?;
            }
        }
        Ok(sum)
    };
    let begin = wakes()?;
    thread::sleep(2_000 * NAP);
    println!("at rest: threads {threads}, wakes in 2 s {}", wakes()? - begin);
    drop(document);
    Ok(())
}

fn send(document: &Document, body: &str) {
    let answer = document.send_beacon(black_box(COLLECTOR), Some(black_box(body).into()));
    assert_eq!(answer, Ok(true));
}

/// How long `call` takes. This includes the time for reading the clock.
fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let before = Instant::now();
    let result = call();
    let time = before.elapsed();
    drop(black_box(result));
    time
}

/// Prints a line of the table and returns the median. The ratio is to `floor`.
fn report(name: &str, times: &mut [Duration], floor: Option<Duration>) -> Duration {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100];
    let (median, p90, p99) = (at(50), at(90), at(99));
    let ratio = median.div_duration_f64(floor.unwrap_or(median));
    println!("{name:<42} {median:>9.2?} {p90:>9.2?} {p99:>9.2?}   {ratio:.2}");
    median
}

/// A network that answers requests with a body immediately, and stops the network side at a request without one.
struct Holding {
    /// Says that a request without a body has stopped the network side. Dropping the sent value continues it.
    entered: SyncSender<SyncSender<()>>,
    /// Says that a request with a body was answered.
    answered: SyncSender<()>,
}

/// The receivers of what a [`Holding`] network says.
struct Held {
    entered: Receiver<SyncSender<()>>,
    answered: Receiver<()>,
}

impl Holding {
    fn new() -> (Arc<Self>, Held) {
        let (entered, entered_receiver) = sync_channel(1);
        let (answered, answered_receiver) = sync_channel(2 * KIB_BEACONS_PER_DOCUMENT);
        let held = Held { entered: entered_receiver, answered: answered_receiver };
        (Arc::new(Self { entered, answered }), held)
    }
}

impl Network for Holding {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        // Sending fails only when the program ends.
        if request.body.is_empty() {
            let (release, released) = sync_channel(0);
            let _ = self.entered.send(release);
            let _ = released.recv();
        } else {
            let _ = self.answered.send(());
        }
        let (status, headers) = (StatusCode::NO_CONTENT, HeaderMap::new());
        let response = NetworkResponse::new(status, headers, Box::pin(None::<Bytes>));
        Box::pin(future::ready(Ok(response)))
    }
}
