//! How fast beacons are delivered to a server that runs, and how fast the same requests are by a peer.
//!
//! `cargo run --release -p benches --bin deliver -- URL COUNT CONCURRENCY SIZE [--peer PEER]` prints one
//! line; figures mean something only beside each other, from one machine at one time, which is what
//! `benches/compare.sh` makes. What is timed begins with the first connection and ends with the last answer.

mod library;
mod peers;

use std::{
    error::Error,
    fmt, fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use clap::{Parser, ValueEnum};
use http::StatusCode;
use url::Url;

/// Who sends what a server is to be sent: this library, or a peer that knows no policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// This library: `Document::send_beacon`, all policies on, cookies in the jar.
    #[default]
    Sendbeacon,
    /// hyper's HTTP/1.1 connections, one for each in flight, held by hand.
    Raw,
    /// hyper-util's legacy client; `http` only.
    HyperUtil,
    /// reqwest.
    Reqwest,
    /// One HTTP/2 connection of hyper's, held by hand; `https` only.
    H2,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// Delivers beacons to a server and says how long it took.
#[derive(Debug, Parser)]
struct Args {
    /// Where to.
    url: Url,
    /// How many.
    count: usize,
    /// How many at once.
    concurrency: usize,
    /// Bytes of each body.
    size: usize,
    /// Who sends them.
    #[arg(long, default_value_t)]
    peer: Peer,
    /// A file of PEM certificates to trust beside the platform's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// What is to be delivered, and to where.
#[derive(Clone, Debug)]
struct Work {
    url: Url,
    count: usize,
    concurrency: usize,
    size: usize,
    /// What is trusted beside the platform's certificates, in PEM.
    roots: Option<Vec<u8>>,
}

/// How many were delivered and how many were not, and of those why the first one was not.
#[derive(Debug, Default)]
struct Tally {
    ok: AtomicUsize,
    failed: AtomicUsize,
    failure: OnceLock<String>,
}

impl Tally {
    fn add(&self, result: Result<StatusCode, impl fmt::Display>) {
        let failure = match result {
            Ok(status) if status.is_success() => {
                self.ok.fetch_add(1, Relaxed);
                return;
            }
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.failed.fetch_add(1, Relaxed);
        self.failure.get_or_init(|| failure);
    }
}

/// The page that sends beacons, on the collector's origin.
const PAGE: &str = "/article?from=home";

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> Result<ExitCode, BoxError> {
    let Args { url, count, concurrency, size, peer, cacert } = Args::parse();
    let roots = cacert.map(fs::read).transpose()?;
    let work = Work { url, count, concurrency: concurrency.max(1), size, roots };
    let start = Instant::now();
    let tally = match peer {
        Peer::Sendbeacon => library::deliver(&work)?,
        peer => peers::deliver(peer, &work)?,
    };
    let secs = start.elapsed().as_secs_f64();
    let ok = tally.ok.load(Relaxed);
    #[allow(clippy::cast_precision_loss)] // A rate, for people.
    let rps = ok as f64 / secs;
    println!("{peer} n={count} conc={concurrency} size={size} ok={ok} secs={secs:.3} rps={rps:.0}");
    if ok == count {
        return Ok(ExitCode::SUCCESS);
    }
    let failure = tally.failure.get().map_or("unknown", |failure| failure);
    eprintln!("{} were not delivered; the first: {failure}", tally.failed.load(Relaxed));
    Ok(ExitCode::FAILURE)
}
