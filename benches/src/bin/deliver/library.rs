//! Deliveries by this library.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
};

use sendbeacon::{
    Client, Document, Event, EventKind, EventSink, KeepaliveLimits, MemoryCookieStore, Nonce,
    Outcome, Scheduling, UserAgent, net::HttpNetwork,
};

use crate::{BoxError, PAGE, Tally, Work};

/// How many beacons are queued in addition to those in flight, so that the network side never waits for the script.
const AHEAD: usize = 64;

/// Delivers the beacons. This thread is the script thread, and the library has a thread for its network side.
pub(crate) fn deliver(work: &Work) -> Result<Arc<Tally>, BoxError> {
    let page = Client::new(work.url.join(PAGE)?, Nonce::from_u128(1));
    let cookies = Arc::new(MemoryCookieStore::default());
    for cookie in ["session=0123456789abcdef0123456789abcdef", "consent=yes; Path=/", "ab=17"] {
        cookies.set_document_cookie(&page, cookie);
    }
    let mut network = HttpNetwork::builder().max_connections_per_origin(work.concurrency);
    if let Some(roots) = &work.roots {
        network = network.add_root_certificates_pem(roots)?;
    }
    let scheduling = Scheduling::default()
        .with_per_origin(work.concurrency)
        .with_per_partition(work.concurrency);
    let sink = Arc::new(Sink::new(work.concurrency + AHEAD));
    let agent = UserAgent::builder()
        .network(Arc::new(network.build()?))
        .cookies(cookies)
        .scheduling(scheduling)
        .event_sink(Arc::clone(&sink) as _)
        .build()?;

    // The quota of one document may be too small. There are enough documents for all beacons of the window.
    let KeepaliveLimits { body_bytes, requests, .. } = KeepaliveLimits::default();
    let of_each = (usize::try_from(body_bytes)? / work.size.max(1)).clamp(1, requests.into());
    let documents = sink.window.div_ceil(of_each);
    let documents: Vec<_> = (0..documents).map(|_| agent.document(page.clone())).collect();
    script(work, &documents, &sink)?;
    sink.wait_until(0);
    Ok(Arc::clone(&sink.tally))
}

/// The pages' scripts: the documents take turns to send beacons.
fn script(work: &Work, documents: &[Document], sink: &Sink) -> Result<(), BoxError> {
    let body = "x".repeat(work.size);
    let mut turns = documents.iter().cycle();
    for _ in 0..work.count {
        if sink.unfinished.load(SeqCst) >= sink.window {
            sink.wait_until(sink.window / 2);
        }
        sink.unfinished.fetch_add(1, SeqCst);
        let admitted = turns
            .by_ref()
            .take(documents.len())
            .map(|document| document.send_beacon(work.url.as_str(), Some((&*body).into())))
            .find(|admitted| *admitted != Ok(false));
        match admitted {
            Some(admitted) => drop(admitted?),
            None => return Err("no document had room".into()),
        }
    }
    Ok(())
}

/// An event sink that counts the outcomes, and wakes the script thread when there is room for more.
struct Sink {
    tally: Arc<Tally>,
    /// How many beacons may be unfinished.
    window: usize,
    unfinished: AtomicUsize,
    /// The number of unfinished beacons at which the script thread is woken.
    wake_at: AtomicUsize,
    script: Thread,
}

impl Sink {
    fn new(window: usize) -> Self {
        Self {
            tally: Arc::default(),
            window,
            unfinished: AtomicUsize::new(0),
            wake_at: AtomicUsize::new(0),
            script: thread::current(),
        }
    }

    /// Blocks the script thread until at most this number of beacons is unfinished.
    fn wait_until(&self, unfinished: usize) {
        self.wake_at.store(unfinished, SeqCst);
        while self.unfinished.load(SeqCst) > unfinished {
            thread::park();
        }
    }
}

impl EventSink for Sink {
    fn wants_wire_events(&self) -> bool {
        false
    }

    fn event(&self, event: Event) {
        let EventKind::Done { outcome, .. } = event.kind else { return };
        self.tally.add(match outcome {
            Outcome::Delivered { status } => Ok(status),
            Outcome::Failed { error, .. } => Err(error.to_string()),
            _ => Err("an outcome of a new kind".to_owned()),
        });
        if self.unfinished.fetch_sub(1, SeqCst) - 1 == self.wake_at.load(SeqCst) {
            self.script.unpark();
        }
    }
}
