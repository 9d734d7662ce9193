//! The browser's event sink, and the news that it passes to documents.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use sendbeacon::{
    CspViolation, Event, EventKind, EventSink, FetchInfo, FetchTiming, InitiatorType, NetworkError,
    Observation, Outcome, host::OutboxError,
};
use serde::{Deserialize, Serialize};

use super::{
    finished::{Finished, FinishedList, LeftOut},
    har::Har,
};
use crate::{
    lock::lock,
    page::{Realm, ResourceTiming, Violation},
    timeline::Recorder,
};

/// An event that a document has to hear of.
#[derive(Serialize, Deserialize)]
pub(super) enum News {
    /// One of the document's requests violates its Content Security Policy.
    Violation(Violation),
    /// One of the document's fetches has ended.
    Timing(Box<ResourceTiming>),
}

impl News {
    /// Passes the news to the document's realm.
    pub(super) fn tell(self, realm: &Realm) {
        match self {
            Self::Violation(violation) => realm.fire_violation(violation),
            Self::Timing(timing) => realm.add_resource_timing(*timing),
        }
    }
}

/// Passes news to the document with this identifier. It must not block.
pub(super) type OnNews = Box<dyn Fn(u64, News) + Send>;

/// The browser's event sink.
///
/// It remembers how keepalive fetches ended, passes news to the documents, and keeps a HAR archive and a timeline if the
/// options ask for them.
pub struct Log {
    finished: Mutex<FinishedList>,
    /// The receivers of news, each for a range of document identifiers: the first is the key, the last is the value's
    /// first field.
    documents: Mutex<BTreeMap<u64, (u64, OnNews)>>,
    /// How many fetches are unfinished.
    unfinished: AtomicUsize,
    har: Option<Har>,
    timeline: Option<Recorder>,
}

impl Log {
    pub(super) fn new(har: Option<Har>, timeline: Option<Recorder>) -> Self {
        Self {
            finished: Mutex::default(),
            documents: Mutex::default(),
            unfinished: AtomicUsize::new(0),
            har,
            timeline,
        }
    }

    /// The timeline, if the options ask for one.
    pub(super) fn timeline(&self) -> Option<&Recorder> {
        self.timeline.as_ref()
    }

    /// How many fetches are unfinished.
    pub fn unfinished(&self) -> usize {
        self.unfinished.load(Relaxed)
    }

    /// The HAR archive, if the options ask for one.
    pub(super) fn har(&self) -> Option<&Har> {
        self.har.as_ref()
    }

    /// The keepalive fetches that have ended so far, in order: 20,000 of them at most, and 8 MiB of URLs.
    #[must_use]
    pub fn finished(&self) -> Vec<Finished> {
        lock(&self.finished).fetches().to_vec()
    }

    /// How many more keepalive fetches have ended so far than [`finished`](Self::finished) returns.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        lock(&self.finished).left_out()
    }

    /// From now on, passes the news of the documents with these identifiers to `on_news`.
    pub(super) fn attach(&self, document_ids: RangeInclusive<u64>, on_news: OnNews) {
        let (first, last) = document_ids.into_inner();
        lock(&self.documents).insert(first, (last, on_news));
    }

    /// Forgets the receiver that [`attach`](Self::attach) was given for a range with this first identifier.
    pub(super) fn detach(&self, first_document_id: u64) {
        lock(&self.documents).remove(&first_document_id);
    }

    fn tell(&self, document_id: u64, news: News) {
        let documents = lock(&self.documents);
        if let Some((_, (last, tell))) = documents.range(..=document_id).next_back()
            && document_id <= *last
        {
            tell(document_id, news);
        }
    }

    fn fire_violation(&self, document_id: u64, violation: CspViolation) {
        self.tell(document_id, News::Violation(violation.into()));
    }

    /// [Mark resource timing](https://w3c.github.io/resource-timing/#dfn-mark-resource-timing)
    ///
    /// A fetch of the outbox gets no entry: its document is one of an earlier run. An abandoned fetch gets none, because its
    /// response is never handed over. A report gets none, and the page makes those of scripts.
    fn mark_resource_timing(&self, fetch: &FetchInfo, outcome: &Outcome, timing: &FetchTiming) {
        if fetch.record.is_some()
            || matches!(outcome, Outcome::Failed { error: NetworkError::Abandoned(_), .. })
            || matches!(fetch.initiator_type, InitiatorType::Null | InitiatorType::Script)
        {
            return;
        }
        let seen = timing.for_script();
        let after = |at: Instant| at.saturating_duration_since(seen.start);
        let timing = ResourceTiming {
            name: fetch.name(&seen).to_string(),
            initiator_type: fetch.initiator_type.as_str().to_owned(),
            start: seen.start,
            redirect_start: seen.redirect_start.map(after),
            redirect_end: seen.redirect_end.map(after),
            fetch_start: after(seen.fetch_start),
            request_start: seen.request_start.map(after),
            response_start: seen.response_start.map(after),
            response_end: after(seen.response_end),
            response_status: seen.response_status.map_or(0, |status| status.as_u16()),
            transfer_size: seen.transfer_size(),
            encoded_body_size: seen.encoded_body_size,
            decoded_body_size: seen.decoded_body_size.unwrap_or(seen.encoded_body_size),
            next_hop_protocol: seen.next_hop_protocol.to_owned(),
        };
        self.tell(fetch.client.document_id, News::Timing(Box::new(timing)));
    }
}

impl EventSink for Log {
    fn outbox_failed(&self, error: &OutboxError) {
        eprintln!("sendbeacon-shell: {error}");
    }

    fn event(&self, event: Event) {
        if let Some(har) = &self.har {
            har.event(event.clone());
        }
        if let Some(timeline) = &self.timeline {
            timeline.event(event.clone());
        }
        match event.kind {
            EventKind::Queued => {
                self.unfinished.fetch_add(1, Relaxed);
            }
            EventKind::Done { outcome, timing, .. } => {
                self.unfinished.fetch_sub(1, Relaxed);
                self.mark_resource_timing(&event.fetch, &outcome, &timing);
                if !event.fetch.keepalive {
                    return;
                }
                let (url, body_length) = ((*event.fetch.url).clone(), event.fetch.body_length);
                lock(&self.finished).push(Finished { url, body_length, outcome, at: event.at });
            }
            EventKind::Observed(Observation::CspViolation(violation))
                if event.fetch.record.is_none() =>
            {
                self.fire_violation(event.fetch.client.document_id, *violation);
            }
            _ => {}
        }
    }
}
