use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sendbeacon::{CspDisposition, CspViolation, Event, EventKind, EventSink, Observation, Outcome};
use url::Url;

use super::har::Har;
use crate::page::Violation;

/// A keepalive fetch that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Where it was sent.
    pub url: Url,
    /// Length of its body in bytes.
    pub body_length: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Instant,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, body_length, outcome, .. } = self;
        match outcome {
            Outcome::Delivered { status } => {
                write!(f, "delivered: {url} ({body_length} bytes): {status}")
            }
            Outcome::Failed(error) => write!(f, "lost: {url} ({body_length} bytes): {error}"),
            other => write!(f, "{url}: {other:?}"),
        }
    }
}

/// Tells a document of a violation, without blocking.
pub(super) type OnViolation = Box<dyn Fn(u64, Violation) + Send>;

/// The event sink: it remembers how keepalive fetches ended, tells pages what concerns them, and keeps
/// an archive if somebody wants one.
pub struct Log {
    finished: Mutex<Vec<Finished>>,
    /// Who tells documents of their violations, by the first of their identifiers.
    documents: Mutex<BTreeMap<u64, (u64, OnViolation)>>,
    har: Option<Har>,
}

impl Log {
    pub(super) fn new(har: Option<Har>) -> Self {
        Self { finished: Mutex::default(), documents: Mutex::default(), har }
    }

    /// The archive, if there is one.
    pub(super) fn har(&self) -> Option<&Har> {
        self.har.as_ref()
    }

    /// Everything that is over so far, in order.
    #[must_use]
    pub fn finished(&self) -> Vec<Finished> {
        lock(&self.finished).clone()
    }

    /// From now on the violations of the documents with these identifiers go there.
    pub(super) fn attach(&self, document_ids: RangeInclusive<u64>, on_violation: OnViolation) {
        let (first, last) = document_ids.into_inner();
        lock(&self.documents).insert(first, (last, on_violation));
    }

    /// The documents have gone.
    pub(super) fn detach(&self, first_document_id: u64) {
        lock(&self.documents).remove(&first_document_id);
    }

    fn fire_violation(&self, document_id: u64, violation: CspViolation) {
        let violation = Violation {
            blocked_uri: stripped(violation.blocked_url),
            effective_directive: violation.effective_directive,
            original_policy: violation.original_policy,
            disposition: match violation.disposition {
                CspDisposition::Enforce => "enforce".to_owned(),
                CspDisposition::Report => "report".to_owned(),
            },
        };
        let documents = lock(&self.documents);
        if let Some((_, (last, tell))) = documents.range(..=document_id).next_back()
            && document_id <= *last
        {
            tell(document_id, violation);
        }
    }
}

impl EventSink for Log {
    fn event(&self, event: Event) {
        if let Some(har) = &self.har {
            har.event(event.clone());
        }
        match event.kind {
            EventKind::Done { outcome, .. } if event.fetch.keepalive => {
                let (url, body_length) = (event.fetch.url.clone(), event.fetch.body_length);
                lock(&self.finished).push(Finished { url, body_length, outcome, at: event.at });
            }
            EventKind::Observed(Observation::CspViolation(violation)) => {
                self.fire_violation(event.fetch.client.document_id, *violation);
            }
            _ => {}
        }
    }
}

/// [Strip URL for use in reports](https://w3c.github.io/webappsec-csp/#strip-url-for-use-in-reports)
pub(super) fn stripped(mut url: Url) -> String {
    url.set_fragment(None);
    // They fail where there can be none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
