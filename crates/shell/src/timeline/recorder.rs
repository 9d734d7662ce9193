//! The recorder of a timeline.

use std::{
    io,
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard},
    time::{Instant, SystemTime},
};

use sendbeacon::{
    CspDisposition, Event, EventKind, EventSink, FetchId, FetchInfo, KeepaliveLimits, Observation,
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{
    document::{At, DocumentLine, Step},
    fetch::{Answer, End, FetchLine, Kind, MarkKind, Sent, State, cut, shown},
    page,
    quota::set_quotas,
    recording::Recording,
};
use crate::lock::lock;

/// Keeps what happens to documents and to their fetches, and writes it as a page.
///
/// It is an event sink. What is not a matter of a fetch, the shell tells: the steps of documents, the calls that were
/// refused, and the calls of `fetchLater()`. Its memory is bounded.
pub(crate) struct Recorder {
    began: Instant,
    /// The same moment on the wall clock.
    date: SystemTime,
    recording: Mutex<Recording>,
}

/// What the page gets. All times are in milliseconds since the beginning.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    version: &'static str,
    began: String,
    end: At,
    drain: Option<At>,
    /// The size of the keepalive quota, in bytes.
    quota_limit: u32,
    documents: Vec<&'a DocumentLine>,
    fetches: Vec<&'a FetchLine>,
    left_out: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let (began, date) = (Instant::now(), SystemTime::now());
        Self { began, date, recording: Mutex::default() }
    }

    /// Something happens to a document now.
    pub(crate) fn told(&self, document_id: u64, step: Step) {
        let at = self.now();
        let mut recording = self.recording();
        match step {
            Step::Begun { url, is_worker } => {
                recording.begin_document(document_id, &url, is_worker, at);
            }
            Step::Lifecycle(step) => {
                if let Some(document) = recording.documents.get_mut(&document_id) {
                    document.step(at, step);
                }
            }
            Step::Refused { url, error } => {
                let mut line = FetchLine::new(document_id, Kind::Beacon, cut(url), at);
                let why = error.map(|message| format!("TypeError: {message}"));
                line.end(at, End::Refused, why.unwrap_or("sendBeacon() is false".into()));
                recording.push(line);
            }
        }
    }

    /// A document has called `fetchLater()` now.
    pub(crate) fn deferred(&self, document_id: u64, id: FetchId, url: &Url) {
        let at = self.now();
        self.recording().defer(id, document_id, shown(url), at);
    }

    /// A script aborts a deferred fetch that was not sent.
    pub(crate) fn deferred_aborted(&self, id: FetchId) {
        let at = self.now();
        if let Some(line) = self.recording().finish(id) {
            line.end(at, End::Aborted, "aborted by the script before it was sent".into());
        }
    }

    /// The process of these documents has gone. Those that were not unloaded before have gone with it.
    pub(crate) fn process_gone(&self, document_ids: RangeInclusive<u64>) {
        let at = self.now();
        for (_, document) in self.recording().documents.range_mut(document_ids) {
            document.end(at, "process gone");
        }
    }

    /// The shutdown begins now.
    pub(crate) fn drain(&self) {
        self.recording().drain = Some(self.now());
    }

    /// Writes the page. What is unfinished ends now.
    pub(crate) fn write(&self, writer: impl io::Write) -> io::Result<()> {
        let end = self.now();
        let recording = &mut *self.recording();
        set_quotas(recording.documents.values_mut(), &recording.fetches);
        recording.documents.values_mut().for_each(|document| document.close(end));
        recording.fetches.iter_mut().for_each(|fetch| fetch.spans.close(end));
        let began = OffsetDateTime::from(self.date).format(&Rfc3339);
        // The events of other threads have come in another order.
        let mut fetches: Vec<_> = recording.fetches.iter().collect();
        fetches.sort_by_key(|fetch| fetch.from);
        let data = Data {
            version: env!("CARGO_PKG_VERSION"),
            // It fails only for years above 9999.
            began: began.unwrap_or_default(),
            end,
            drain: recording.drain,
            quota_limit: KeepaliveLimits::DEFAULT.body_bytes,
            documents: recording.documents.values().collect(),
            fetches,
            left_out: recording.room.left_out(),
        };
        page::write(&data, writer)
    }

    fn observed(&self, fetch: &FetchInfo, at: At, observation: Observation) {
        let mut recording = self.recording();
        let Some((line, room)) = recording.fetch_and_room(fetch.id) else { return };
        match observation {
            Observation::RequestSent { is_preflight, method, url, headers, body, .. } => {
                let (method, url, headers, body) = (&method, &url, &headers, &body);
                line.request_sent(at, Sent { is_preflight, method, url, headers, body }, room);
            }
            Observation::ResponseStarted { is_preflight, status, version, headers, .. } => {
                let headers = &headers;
                line.response_started(at, Answer { is_preflight, status, version, headers }, room);
            }
            Observation::Redirected { url, .. } => line.redirected(at, &url, room),
            Observation::SentAgain { reason, .. } => {
                line.sent_again(at, &reason.to_string(), room);
            }
            Observation::Upgraded { url, .. } => {
                line.mark(at, MarkKind::Upgraded, format!("upgraded to {}", shown(&url)), room);
            }
            Observation::CspViolation(violation) => {
                let directive = &violation.effective_directive;
                let verb = match violation.disposition {
                    CspDisposition::Enforce => "is blocked by",
                    CspDisposition::Report => "would be blocked by",
                };
                line.mark(at, MarkKind::Violation, format!("{verb} {directive}"), room);
            }
            Observation::ClearSiteData { value, .. } => {
                let value = String::from_utf8_lossy(value.as_bytes());
                let text = format!("Clear-Site-Data: {value}");
                line.mark(at, MarkKind::ClearSiteData, text, room);
            }
            _ => {}
        }
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        lock(&self.recording)
    }

    fn now(&self) -> At {
        self.at(Instant::now())
    }

    fn at(&self, at: Instant) -> At {
        At(at.saturating_duration_since(self.began))
    }
}

impl EventSink for Recorder {
    fn event(&self, event: Event) {
        let Event { fetch, at, kind, .. } = event;
        let at = self.at(at);
        match kind {
            EventKind::Queued => self.recording().queue(&fetch, at),
            EventKind::Started => {
                if let Some(line) = self.recording().fetch(fetch.id) {
                    line.enter(at, State::Waiting, "started");
                }
            }
            EventKind::Observed(observation) => self.observed(&fetch, at, observation),
            EventKind::Unreached { url, error, attempt, .. } => {
                if let Some((line, room)) = self.recording().fetch_and_room(fetch.id) {
                    let why = format!("attempt {attempt} did not reach {}: {error}", shown(&url));
                    line.unreached(at, why, room);
                }
            }
            EventKind::Done { outcome, .. } => {
                if let Some(line) = self.recording().finish(fetch.id) {
                    line.done(at, &outcome);
                }
            }
            _ => {}
        }
    }
}
