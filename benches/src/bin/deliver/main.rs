//! Measures how fast this library, or another HTTP client, delivers the same requests to a running server.
//!
//! `cargo run --release -p benches --bin deliver -- URL COUNT CONCURRENCY SIZE [--peer PEER]` prints one line. The time
//! begins with the first connection and ends with the last answer. Compare only figures of one machine at one time:
//! `benches/compare.sh` makes them.

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

/// Who sends the requests: this library, or an HTTP client without policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// This library, by `Document::send_beacon`, with all policies and with cookies.
    #[default]
    Sendbeacon,
    /// hyper's HTTP/1.1 connections without a pool, one for each request in flight.
    Raw,
    /// The legacy client of hyper-util, for http URLs only.
    HyperUtil,
    /// reqwest.
    Reqwest,
    /// One HTTP/2 connection of hyper without a pool, for https URLs only.
    H2,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// Deliver beacons to a server and print how long it took.
#[derive(Debug, Parser)]
struct Args {
    /// The URL that the requests are sent to.
    url: Url,
    /// The number of requests.
    count: usize,
    /// The number of requests in flight at once.
    concurrency: usize,
    /// The length of each body in bytes.
    size: usize,
    /// Who sends them.
    #[arg(long, default_value_t)]
    peer: Peer,
    /// Trust the certificates in this PEM file, in addition to the platform's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// What to deliver, and where to.
#[derive(Clone, Debug)]
struct Work {
    url: Url,
    count: usize,
    concurrency: usize,
    size: usize,
    /// PEM certificates to trust in addition to the platform's.
    roots: Option<Vec<u8>>,
}

/// The numbers of delivered and of failed requests, and why the first failed.
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

/// The path of the page that sends the beacons. Its origin is the collector's.
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
    #[allow(clippy::cast_precision_loss, reason = "people read the rate")]
    let rps = ok as f64 / secs;
    println!("{peer} n={count} conc={concurrency} size={size} ok={ok} secs={secs:.3} rps={rps:.0}");
    if ok == count {
        return Ok(ExitCode::SUCCESS);
    }
    let failure = tally.failure.get().map_or("unknown", |failure| failure);
    eprintln!(
        "{} requests were not delivered; the first failed: {failure}",
        tally.failed.load(Relaxed)
    );
    Ok(ExitCode::FAILURE)
}
