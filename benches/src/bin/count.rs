//! Does one thing N times, so that callgrind can count its instructions, and prints its allocations.
//!
//! The counts do not depend on how busy the machine is. `benches/count.sh` runs this program for each thing.

use std::{
    alloc::System, error::Error, hint::black_box, mem::ManuallyDrop, sync::Arc, time::Instant,
};

use benches::{
    COLLECTOR, KIB_BEACONS_PER_DOCUMENT, client, cookies, document, three_fields, user_agent,
};
use clap::{Parser, ValueEnum};
use sendbeacon::{
    Blob, BodyInit, Client, Document, Event, EventKind, EventSink, Nonce, Outcome, UserAgent,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::{
    runtime::Builder,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many calls may be made: each finds room in the quota of a document.
const MAX_CALLS: usize = 400 * KIB_BEACONS_PER_DOCUMENT;

/// Do one thing N times and print its allocations.
#[derive(Parser)]
struct Arguments {
    /// What to do.
    what: What,
    /// How often.
    n: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Join the URL and copy 1 KiB, without the library.
    Floor,
    /// A document comes and goes. The network side does not run, from here to `TypeError`.
    Document,
    /// An accepted call without a body.
    Empty,
    /// An accepted call with a string of 64 bytes.
    String64,
    /// An accepted call with a string of 1 KiB.
    String1k,
    /// An accepted call with a Blob of 1 KiB.
    Blob1k,
    /// An accepted call with a form of three fields.
    FormData,
    /// An accepted call with two pairs of `URLSearchParams`.
    UrlSearchParams,
    /// A refused call: 1 KiB does not fit the quota.
    Refused,
    /// A call that throws a `TypeError`.
    TypeError,
    /// A whole beacon of 1 KiB from the call to its outcome, from one document.
    Whole,
    /// Whole beacons, from 100,000 documents in turn.
    Whole100kDocuments,
    /// Whole beacons, 100 queued at a time.
    Whole100Queued,
    /// Whole beacons, 10,000 queued at a time.
    Whole10kQueued,
    /// Whole beacons to 1,000 URLs of 100 origins in turn, so that nothing remembered helps.
    Whole1000Urls,
    /// Whole beacons to one URL with 1,000 queries in turn.
    Whole1000Queries,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { what, n } = Arguments::parse();
    let (small, kib) = ("x".repeat(64), "x".repeat(1 << 10));
    let (form, blob) = (three_fields(&small), Blob::new(kib.clone(), "application/json"));
    let pairs = [("site".to_owned(), small.clone()), ("event".to_owned(), small.clone())];
    let begin = Instant::now();
    let allocations = match what {
        What::Floor => floor(&kib, n),
        What::Document => documents(n)?,
        What::Empty => calls(None, n)?,
        What::String64 => calls(Some(&(&*small).into()), n)?,
        What::String1k => calls(Some(&(&*kib).into()), n)?,
        What::Blob1k => calls(Some(&(&blob).into()), n)?,
        What::FormData => calls(Some(&BodyInit::FormData(&form)), n)?,
        What::UrlSearchParams => calls(Some(&BodyInit::UrlSearchParams(&pairs)), n)?,
        What::Refused => refusals(&kib, n)?,
        What::TypeError => type_errors(n)?,
        What::Whole => whole(1, 1, &[COLLECTOR], &kib, n)?,
        What::Whole100kDocuments => whole(100_000, 1, &[COLLECTOR], &kib, n)?,
        What::Whole100Queued => whole(10_000, 100, &[COLLECTOR], &kib, n)?,
        What::Whole10kQueued => whole(10_000, 10_000, &[COLLECTOR], &kib, n)?,
        What::Whole1000Urls => {
            let url = |i| format!("https://{}.example.net/api/v1/collect?site={i}", i % 100);
            whole_to_1000(url, &kib, n)?
        }
        What::Whole1000Queries => whole_to_1000(|i| format!("{COLLECTOR}&visit={i}"), &kib, n)?,
    };
    let each = begin.elapsed() / u32::try_from(n)?;
    println!("{} allocations, {each:.2?} including one-time work", (allocations + n / 2) / n);
    Ok(())
}

/// Joins a URL and copies the body.
fn floor(body: &str, n: usize) -> usize {
    let base = client().api_base_url;
    let region = Region::new(GLOBAL);
    for _ in 0..n {
        let joined = base.join(black_box(COLLECTOR));
        black_box((joined, bytes::Bytes::copy_from_slice(body.as_bytes()))).1.len();
    }
    region.change().allocations
}

/// A user agent whose network side never runs. It is never dropped, because its end would count.
fn resting() -> Result<ManuallyDrop<UserAgent>, Box<dyn Error>> {
    let runtime = ManuallyDrop::new(Builder::new_current_thread().enable_all().build()?);
    Ok(ManuallyDrop::new(user_agent().runtime(runtime.handle().clone()).build()?))
}

/// Makes documents and drops them.
fn documents(n: usize) -> Result<usize, Box<dyn Error>> {
    let (agent, client) = (resting()?, client());
    let region = Region::new(GLOBAL);
    for _ in 0..n {
        drop(agent.document(client.clone()));
    }
    Ok(region.change().allocations)
}

/// Makes at most [`MAX_CALLS`] calls that are accepted. The documents are always as many, so that they do not count.
fn calls(body: Option<&BodyInit<'_>>, n: usize) -> Result<usize, Box<dyn Error>> {
    let agent = resting()?;
    let documents: Vec<_> =
        (0..MAX_CALLS / KIB_BEACONS_PER_DOCUMENT).map(|_| document(&agent)).collect();
    let region = Region::new(GLOBAL);
    for call in 0..n {
        let answer = documents[call / KIB_BEACONS_PER_DOCUMENT]
            .send_beacon(black_box(COLLECTOR), body.cloned());
        assert_eq!(answer, Ok(true));
    }
    Ok(region.change().allocations)
}

/// Makes calls that are refused because the quota is full.
fn refusals(body: &str, n: usize) -> Result<usize, Box<dyn Error>> {
    let agent = resting()?;
    let document = document(&agent);
    document.send_beacon(COLLECTOR, Some("x".repeat(65_000).as_str().into()))?;
    let region = Region::new(GLOBAL);
    for _ in 0..n {
        assert_eq!(document.send_beacon(black_box(COLLECTOR), Some(body.into())), Ok(false));
    }
    Ok(region.change().allocations)
}

/// Makes calls that throw.
fn type_errors(n: usize) -> Result<usize, Box<dyn Error>> {
    let agent = resting()?;
    let document = document(&agent);
    let region = Region::new(GLOBAL);
    for _ in 0..n {
        assert!(document.send_beacon(black_box("data:,x"), None).is_err());
    }
    Ok(region.change().allocations)
}

/// Sends whole beacons to 1,000 URLs in turn.
fn whole_to_1000(
    url: impl Fn(usize) -> String,
    body: &str,
    n: usize,
) -> Result<usize, Box<dyn Error>> {
    let urls: Vec<_> = (0..1000).map(url).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    whole(1, 1, &urls, body, n)
}

/// Sends whole beacons to `urls` in turn, from this number of documents in turn, this number `queued` at a time.
fn whole(
    documents: usize,
    queued: usize,
    urls: &[&str],
    body: &str,
    n: usize,
) -> Result<usize, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (done, mut outcomes) = unbounded_channel();
    let agent = user_agent()
        .runtime(runtime.handle().clone())
        .event_sink(Arc::new(Counting(done)))
        .cookies(Arc::new(cookies()))
        .build()?;
    let documents: Vec<_> = match urls {
        [COLLECTOR] => (0..documents).map(|_| document(&agent)).collect(),
        // The policy of the other documents allows one origin.
        _ => vec![agent.document(Client::new(client().creation_url, Nonce::from_u128(1)))],
    };
    let mut urls = urls.iter().cycle();
    let mut send = |documents: &mut dyn Iterator<Item = &Document>| {
        let mut sent = 0;
        for (document, url) in documents.zip(&mut urls) {
            assert_eq!(document.send_beacon(black_box(url), Some(body.into())), Ok(true));
            sent += 1;
        }
        runtime.block_on(async {
            for _ in 0..sent {
                assert_eq!(outcomes.recv().await, Some(true));
            }
        });
    };
    // The first beacon of each document matches its policies, which are cached then.
    send(&mut documents.iter());
    let mut next = documents.iter().cycle();
    let region = Region::new(GLOBAL);
    for _ in 0..n / queued {
        send(&mut next.by_ref().take(queued));
    }
    Ok(region.change().allocations)
}

/// An event sink that says for each outcome whether the beacon was delivered.
struct Counting(UnboundedSender<bool>);

impl EventSink for Counting {
    fn event(&self, event: Event) {
        if let EventKind::Done { outcome, .. } = event.kind {
            // The receiver lives until the program ends.
            let _ = self.0.send(matches!(outcome, Outcome::Delivered { .. }));
        }
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}
