//! The client's side: documents that come and go, and send beacons.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use sendbeacon::{
    Client, Document, Event, EventKind, EventSink, Nonce, Scheduling, UserAgent, net::HttpNetwork,
};
use url::Url;

use crate::{
    BoxError,
    sightings::{Sightings, body},
};

/// How many beacons a document sends before it is closed, and how many documents are open.
const BEACONS_PER_DOCUMENT: usize = 10;
const DOCUMENTS: usize = 3;
/// How long no beacon may end before the run gives up. It is longer than each limit of the network that is used here.
const PATIENCE: Duration = Duration::from_secs(150);

/// The beacons to send, and how.
pub(crate) struct Work {
    /// The URL of the documents. The beacons go to the same server.
    pub(crate) page: Url,
    pub(crate) network: HttpNetwork,
    /// How many beacons are under way at once.
    pub(crate) in_flight: usize,
    /// Who counts the beacons and their outcomes.
    pub(crate) sightings: Arc<Sightings>,
}

/// Sends all beacons and waits for their outcomes. Calls `before` with the number of each beacon before it is sent.
pub(crate) fn send(
    work: Work,
    before: impl FnMut(usize) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let Work { page, network, in_flight, sightings } = work;
    let scheduling = Scheduling::default().with_per_origin(in_flight).with_per_partition(in_flight);
    let outcomes = Arc::new(Outcomes {
        sightings: Arc::clone(&sightings),
        unfinished: Mutex::new(0),
        fewer: Condvar::new(),
    });
    let agent = UserAgent::builder()
        .network(Arc::new(network))
        .scheduling(scheduling)
        .event_sink(Arc::clone(&outcomes) as _)
        .build()?;
    let pages = Pages {
        agent: &agent,
        client: Client::new(page, Nonce::from_u128(1)),
        outcomes: &outcomes,
        window: 4 * in_flight,
    };
    pages.send(sightings.len(), before)?;
    // A beacon without an outcome is reported with the sums.
    outcomes.wait_until_at_most(0);
    agent.shutdown_blocking(Duration::from_secs(5));
    Ok(())
}

/// The pages and their scripts.
struct Pages<'a> {
    agent: &'a UserAgent,
    client: Client,
    outcomes: &'a Outcomes,
    /// How many beacons may be unfinished.
    window: usize,
}

impl Pages<'_> {
    /// Sends so many beacons. Each document is closed while its last beacons are under way.
    fn send(
        &self,
        count: usize,
        mut before: impl FnMut(usize) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let mut documents: Vec<_> =
            (0..DOCUMENTS).map(|_| self.agent.document(self.client.clone())).collect();
        for number in 0..count {
            before(number)?;
            if !self.outcomes.wait_until_at_most(self.window - 1) {
                break;
            }
            self.outcomes.begin();
            let document = &mut documents[number % DOCUMENTS];
            if number / DOCUMENTS % BEACONS_PER_DOCUMENT == BEACONS_PER_DOCUMENT - 1 {
                self.replace(document);
            }
            let (url, body) = (format!("collect?n={number}"), body(number));
            // A document without room for the beacon gives way to a new one.
            if !document.send_beacon(&url, Some((&*body).into()))? {
                self.replace(document);
                if !document.send_beacon(&url, Some((&*body).into()))? {
                    return Err("a new document had no room for a beacon".into());
                }
            }
        }
        documents.iter().for_each(Document::unload);
        Ok(())
    }

    /// Closes a document and opens another one.
    fn replace(&self, document: &mut Document) {
        document.pagehide(false);
        document.unload();
        *document = self.agent.document(self.client.clone());
    }
}

/// Counts the outcomes, and lets the script wait for them.
struct Outcomes {
    sightings: Arc<Sightings>,
    unfinished: Mutex<usize>,
    fewer: Condvar,
}

impl Outcomes {
    /// Counts one more unfinished beacon.
    fn begin(&self) {
        *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// Waits until at most this number of beacons is unfinished. Returns false if none ends for too long.
    fn wait_until_at_most(&self, most: usize) -> bool {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        while *unfinished > most {
            let before = *unfinished;
            let waited = self.fewer.wait_timeout(unfinished, PATIENCE);
            let (now, result) = waited.unwrap_or_else(PoisonError::into_inner);
            unfinished = now;
            if result.timed_out() && *unfinished == before {
                return false;
            }
        }
        true
    }
}

impl EventSink for Outcomes {
    fn event(&self, event: Event) {
        let EventKind::Done { outcome, .. } = event.kind else { return };
        let query = event.fetch.url.query().unwrap_or_default();
        let Some(number) = query.strip_prefix("n=").and_then(|number| number.parse().ok()) else {
            return;
        };
        self.sightings.told(number, &outcome);
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        *unfinished = unfinished.saturating_sub(1);
        self.fewer.notify_one();
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}
