//! Prints how the cost of a beacon grows with what a page or a server can make large, as a table.
//!
//! The network side serves every page, so nothing that one page or one server does may make the beacons of all pages
//! slow. Each row compares a beacon at one size with a beacon at a larger one, in turn. The network answers at once,
//! except in the rows about destinations, which have real connections to a server in another process.

mod cases;
mod destinations;
mod networks;

use std::{env, error::Error, num::TryFromIntError, sync::Arc, time::Duration};

use benches::KIB_BEACONS_PER_DOCUMENT;
use rustix::time::{ClockId, Timespec, clock_gettime};
use sendbeacon::{Blob, BodyInit, Document, Event, EventKind, EventSink, Outcome, UserAgent};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use self::cases::{CASES, Case, Setup, Turn};

/// How many beacons a measurement sends.
const BATCH: usize = 64;
/// How many measurements each of the two sizes gets. Their median counts: the fastest of those with real connections is one
/// in which the server was awake by chance.
const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = env::args().nth(1);
    if argument.as_deref() == Some(destinations::SERVE) {
        return destinations::serve();
    }
    let wanted = |case: Case| argument.as_ref().is_none_or(|name| *name == format!("{case:?}"));
    println!(
        "{:<22} {:>7} {:>8} {:>10} {:>10} {:>7}  at most",
        "case", "from", "to", "before", "after", "ratio"
    );
    let mut is_flat = true;
    for (case, from, to, limit) in CASES.into_iter().filter(|(case, ..)| wanted(*case)) {
        let (mut small, mut large) = (Page::new(case, from)?, Page::new(case, to)?);
        let (mut before, mut after) = ([Duration::ZERO; ROUNDS], [Duration::ZERO; ROUNDS]);
        for (before, after) in before.iter_mut().zip(&mut after) {
            (*before, *after) = (small.measure()?, large.measure()?);
        }
        let [before, after] = [before, after].map(median);
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        is_flat &= ratio <= limit;
        let name = format!("{case:?}");
        println!(
            "{name:<22} {from:>7} {to:>8} {before:>10.2?} {after:>10.2?} {ratio:>7.2}  {limit}"
        );
    }
    if is_flat { Ok(()) } else { Err("a row is above its limit".into()) }
}

/// A user agent with a case of some size.
struct Page {
    runtime: Runtime,
    agent: UserAgent,
    documents: Vec<Document>,
    target: cases::Target,
    turn: Turn,
    body: String,
    /// What is sent instead of the string.
    json: Option<Blob>,
    done: UnboundedReceiver<()>,
    sent: usize,
    at_once: usize,
}

impl Page {
    fn new(case: Case, n: usize) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, done) = unbounded_channel();
        let Setup { builder, cookies, clients, target, turn, is_json, beacons_before, at_once } =
            Setup::new(case, n)?;
        let agent = builder
            .event_sink(Arc::new(Outcomes(sender)))
            .cookies(Arc::new(cookies))
            .runtime(runtime.handle().clone())
            .build()?;
        let documents: Vec<_> = clients.into_iter().map(|it| agent.document(it)).collect();
        let turn = turn(&agent, &documents)?;
        let body = "x".repeat(1 << 10);
        let json = is_json.then(|| Blob::new(body.clone(), "application/json"));
        let sent = 0;
        let mut page =
            Self { runtime, agent, documents, target, turn, body, json, done, sent, at_once };
        for _ in 0..beacons_before {
            page.send(1)?;
        }
        Ok(page)
    }

    /// The processor time that a beacon takes, from the call to its outcome. The script thread and the network side are one
    /// thread. NB: it does not count how long the thread sleeps until a server in another process answers.
    fn measure(&mut self) -> Result<Duration, Box<dyn Error>> {
        let begin = processor_time()?;
        for _ in 0..BATCH / self.at_once {
            self.send(self.at_once)?;
        }
        Ok(processor_time()?.saturating_sub(begin) / u32::try_from(BATCH)?)
    }

    /// Sends `count` beacons, and waits until all have ended.
    fn send(&mut self, count: usize) -> Result<(), Box<dyn Error>> {
        for _ in 0..count {
            (self.turn)(&self.agent, &self.documents, self.sent);
            let document = &self.documents[self.sent % self.documents.len()];
            let body = self.json.as_ref().map_or((&*self.body).into(), BodyInit::from);
            let is_sent = document.send_beacon(&(self.target)(self.sent), Some(body))?;
            assert!(is_sent, "the quota of {KIB_BEACONS_PER_DOCUMENT} beacons is not reached");
            self.sent += 1;
        }
        self.runtime.block_on(async {
            for _ in 0..count {
                self.done.recv().await;
            }
        });
        Ok(())
    }
}

fn median(mut times: [Duration; ROUNDS]) -> Duration {
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// How long this thread has run.
fn processor_time() -> Result<Duration, TryFromIntError> {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::new(tv_sec.try_into()?, tv_nsec.try_into()?))
}

/// Sends a message for each outcome.
struct Outcomes(UnboundedSender<()>);

impl EventSink for Outcomes {
    fn event(&self, event: Event) {
        if let EventKind::Done {
            outcome: Outcome::Delivered { .. } | Outcome::Failed { .. }, ..
        } = event.kind
        {
            let _ = self.0.send(());
        }
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}
