//! Sends beacons to a server that misbehaves on purpose, and compares what happens to them with what is promised.
//!
//! `cargo run --release -p benches --bin chaos -- COUNT [--http1] [--tls] [--http2]` sends COUNT beacons over each of the
//! named transports, or over all three. It prints a table. The exit status is 1 if a row is worse than its statement in
//! `faults.rs`. With `--chromium`, a page in Chromium sends the beacons, for a comparison. docs/RELIABILITY.md explains the
//! table.

mod cell;
mod chromium;
mod faults;
mod nginx;
mod pages;
mod process;
mod server;
mod sightings;

use std::{
    error::Error,
    io,
    net::Ipv4Addr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use sendbeacon::{
    PartitionKey,
    host::Answer,
    net::{HttpNetwork, Resolved, Resolver},
};
use tokio::runtime::{Builder, Handle};
use url::Url;

use crate::{
    cell::Cell,
    faults::{Fault, ROWS},
    pages::Work,
    process::Watch,
    server::{Identity, Server},
    sightings::Sums,
};

/// How many cells run at once.
const AT_ONCE: usize = 8;
/// How many beacons a cell has at least, so that each fault strikes.
const LEAST: usize = 64;
/// The host whose name the cells look up whose fault are look-ups.
const COLLECTOR: &str = "collector.test";
/// The network's limits on connecting and on the head of an answer, where only they end what the server does.
const SHORT_LIMIT: Duration = Duration::from_secs(3);
/// The most memory that the process may use, server included, in KiB.
const MOST_MEMORY: usize = 128 * 1024;
/// The most descriptors that may be open at once.
const MOST_DESCRIPTORS: usize = 600;

/// Send beacons to a server that misbehaves on purpose.
#[derive(Debug, Parser)]
struct Args {
    /// How many beacons to send: over each transport (5,000 by default), to nginx (60,000) or by Chromium (20,000).
    count: Option<usize>,
    /// Send them over HTTP/1.1.
    #[arg(long)]
    http1: bool,
    /// Send them over HTTP/1.1 and TLS.
    #[arg(long)]
    tls: bool,
    /// Send them over HTTP/2 and TLS.
    #[arg(long)]
    http2: bool,
    /// Only the faults whose name contains this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    fault: String,
    /// Send them to an nginx that is reloaded meanwhile, instead of to the server with the faults.
    #[arg(long)]
    nginx: bool,
    /// Let a page in Chromium send them, over HTTP/1.1, and compare what happens to them with the statements.
    #[arg(long, conflicts_with_all = ["http1", "tls", "http2", "nginx"])]
    chromium: bool,
}

/// How the beacons are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Http1,
    Tls,
    Http2,
}

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> Result<ExitCode, BoxError> {
    let args = Args::parse();
    if args.nginx {
        return nginx::reload(args.count.unwrap_or(60_000));
    }
    let named = [args.http1, args.tls, args.http2];
    let transports = [Transport::Http1, Transport::Tls, Transport::Http2].into_iter().zip(named);
    let is_none_named = named == [false; 3];
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let identity = Identity::new()?;
    if args.chromium {
        compare(&args, &identity, runtime.handle())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut is_good = true;
    for (transport, is_named) in transports {
        if is_named || is_none_named {
            is_good &= run(transport, &args, &identity, runtime.handle())?;
        }
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all cells of a transport and prints their table. Returns whether each is as good as its statement.
fn run(
    transport: Transport,
    args: &Args,
    identity: &Identity,
    runtime: &Handle,
) -> Result<bool, BoxError> {
    let cells = cells(transport, args, 5_000, |_, count| Some(count));
    print_heads(&format!("{transport:?}"));
    let before = process::descriptors()?;
    let watch = Watch::start();
    let times = run_cells(&cells, identity, runtime)?;
    let most = watch.most()?;
    let mut is_good = true;
    for (cell, time) in cells.iter().zip(times) {
        let faults = report(cell, time);
        for fault in &faults {
            println!("    WORSE than {:?}: {fault}", cell.statement.name);
        }
        if let (false, Some(failure)) = (faults.is_empty(), cell.sightings.failure.get()) {
            println!("    the first failure: {failure}");
        }
        is_good &= faults.is_empty();
    }
    let after = process::descriptors_at_most(before)?;
    let (most_memory, memory) = (process::memory("VmHWM")?, process::memory("VmRSS")?);
    println!(
        "memory: at most {most_memory} KiB of {MOST_MEMORY}, now {memory}; \
         descriptors: at most {most} of {MOST_DESCRIPTORS}, before {before}, after {after}\n"
    );
    Ok(is_good && most_memory <= MOST_MEMORY && most <= MOST_DESCRIPTORS && after <= before)
}

/// Lets Chromium send the beacons, and prints what happened to them beside the statements.
fn compare(args: &Args, identity: &Identity, runtime: &Handle) -> Result<(), BoxError> {
    let Some(version) = chromium::version()? else {
        println!("not run: Chromium is not installed");
        return Ok(());
    };
    let share = |fault: Fault, count| match fault {
        // Chromium does not ask our resolver.
        Fault::LookUps => None,
        // Chromium keeps the connection of a beacon that the page has given up. Six strikes would hold up all others.
        _ if fault.needs_short_limits() => Some(LEAST),
        _ => Some(count),
    };
    let cells = cells(Transport::Http1, args, 20_000, share);
    println!("{version}; left out: look-ups that fail");
    print_heads("Chromium");
    let times = chromium::send(&cells, identity, runtime)?;
    for (cell, time) in cells.iter().zip(times) {
        for difference in report(cell, time) {
            println!("    beyond {:?}: {difference}", cell.statement.name);
        }
        if let Some(failure) = cell.sightings.failure.get() {
            println!("    the first failure: {failure}");
        }
    }
    Ok(())
}

/// The cells of a transport whose faults the arguments ask for. They share the beacons equally. Then `share` may change
/// how many a cell gets, or leave the cell out.
fn cells(
    transport: Transport,
    args: &Args,
    default_count: usize,
    share: impl Fn(Fault, usize) -> Option<usize>,
) -> Vec<Arc<Cell>> {
    let rows = || ROWS.iter().filter(|row| row.name.contains(&*args.fault));
    let rows = || rows().filter(|row| row.statement(transport).is_some());
    let count = (args.count.unwrap_or(default_count) / rows().count().max(1)).max(LEAST);
    let cells = rows().filter_map(|row| Cell::new(row, transport, share(row.fault, count)?));
    cells.map(Arc::new).collect()
}

/// Prints the heads of the columns.
fn print_heads(first: &str) {
    println!(
        "{first:<42} {:>7} {:>9} {:>13} {:>13} {:>13} {:>13} {:>7} {:>8}",
        "sent", "delivered", "failed", "lost", "seen twice", "in part", "strikes", "time"
    );
}

/// Runs the cells, some at once, and returns how long each took.
fn run_cells(
    cells: &[Arc<Cell>],
    identity: &Identity,
    runtime: &Handle,
) -> Result<Vec<Duration>, BoxError> {
    let times = Mutex::new(vec![Duration::ZERO; cells.len()]);
    let waiting = Mutex::new(cells.iter().enumerate());
    let work = || -> Result<(), BoxError> {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((place, cell)) = next else { return Ok(()) };
            let start = Instant::now();
            run_cell(cell, identity, runtime)?;
            times.lock().unwrap_or_else(PoisonError::into_inner)[place] = start.elapsed();
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| "a cell panicked")??;
        }
        Ok::<_, BoxError>(())
    })?;
    Ok(times.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn run_cell(cell: &Arc<Cell>, identity: &Identity, runtime: &Handle) -> Result<(), BoxError> {
    let context = runtime.enter();
    let server = Server::start(Arc::clone(cell), identity)?;
    drop(context);
    pages::send(work(cell, &server, identity)?, |_| Ok(()))?;
    // The counts are final when the server has read what the client has written.
    match runtime.block_on(server.stop())? {
        0 => Ok(()),
        open => Err(format!("{}: {open} connections did not end", cell.row.name).into()),
    }
}

/// The client's part of a cell.
fn work(cell: &Arc<Cell>, server: &Server, identity: &Identity) -> Result<Work, BoxError> {
    let scheme = if cell.transport == Transport::Http1 { "http" } else { "https" };
    let host = if cell.fault() == Fault::LookUps { COLLECTOR } else { "127.0.0.1" };
    let in_flight = cell.in_flight();
    let mut network = HttpNetwork::builder()
        .platform_roots(false)
        .add_root_certificates_pem(identity.pem.as_bytes())?
        .max_connections_per_origin(in_flight)
        .resolver(Arc::new(LookUps(Arc::clone(cell))));
    if cell.fault().needs_short_limits() {
        network = network.connect_timeout(SHORT_LIMIT).response_head_timeout(SHORT_LIMIT);
    }
    Ok(Work {
        page: Url::parse(&format!("{scheme}://{host}:{}/page", server.addr.port()))?,
        network: network.build()?,
        in_flight,
        sightings: Arc::clone(&cell.sightings),
    })
}

/// A resolver that fails when its cell says so. Its answers are not remembered.
struct LookUps(Arc<Cell>);

impl Resolver for LookUps {
    fn resolve(&self, _: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
        let addresses = vec![Ipv4Addr::LOCALHOST.into()];
        Answer::Ready(match self.0.strike_by(Fault::LookUps) {
            Some(_) => Err(io::Error::other("no answer from a name server")),
            None => Ok(Resolved::new(addresses).with_lifetime(Duration::ZERO)),
        })
    }
}

/// Prints the row of a cell. Returns what is worse than its statement.
fn report(cell: &Cell, time: Duration) -> Vec<String> {
    let (sums, strikes) = (cell.sightings.sums(), cell.strikes());
    let Sums { sent, delivered, failed, lost, twice, part, .. } = sums;
    let mut faults = Vec::new();
    let mut bounded = |name: &str, value: usize, each_strike: usize| {
        let most = strikes * each_strike;
        if value > most {
            faults.push(format!("{name}: {value}, and at most {most} may be"));
        }
        if (value, most) == (0, 0) { "0".to_owned() } else { format!("{value} of {most}") }
    };
    let statement = cell.statement;
    let failed = bounded("failed", failed, statement.failed);
    let lost = bounded("lost", lost, statement.lost);
    let twice = bounded("seen twice", twice, statement.twice);
    let part = bounded("in part", part, statement.part);
    for (what, value) in [
        ("seen more than twice", sums.more_often),
        ("without exactly one outcome", sums.without_one_outcome),
        ("told as delivered and not seen", sums.unfounded),
    ] {
        if value > 0 {
            faults.push(format!("{what}: {value}"));
        }
    }
    if strikes == 0 && cell.fault() != Fault::Nothing {
        faults.push("the fault never struck".to_owned());
    }
    println!(
        "{:<42} {sent:>7} {delivered:>9} {failed:>13} {lost:>13} {twice:>13} {part:>13} {strikes:>7} {:>6.2} s",
        cell.row.name,
        time.as_secs_f64()
    );
    faults
}
