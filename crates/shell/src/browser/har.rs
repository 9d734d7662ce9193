//! [HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/) archives of what pages sent.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{CONTENT_TYPE, LOCATION},
};
use sendbeacon::{Event, EventKind, EventSink, FetchId, Observation, Outcome};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use crate::{lock::lock, room::Room};

/// How many requests are kept.
const MAX_ENTRIES: usize = 20_000;

/// How many bytes of URLs, headers and bodies are kept.
const MAX_BYTES: usize = 32 << 20;

/// The event sink that keeps an entry of each request on the wire.
///
/// Each hop of a redirect and each preflight has an entry of its own. An entry has the headers and the body as they
/// were sent, cookies included. A request for which there is no room has no entry.
pub(super) struct Har {
    /// The same moment on both clocks. HAR needs the time of the wall clock, and events have an [`Instant`].
    began: (Instant, SystemTime),
    log: Mutex<Log>,
}

struct Log {
    entries: Vec<Entry>,
    /// The last request of each unfinished fetch, if it has an entry.
    last: HashMap<FetchId, Last>,
    room: Room,
}

struct Last {
    /// The index of the request's entry.
    entry: usize,
    sent: Instant,
    answered: Option<Instant>,
}

impl Har {
    pub(super) fn new() -> Self {
        let room = Room::new(MAX_ENTRIES, MAX_BYTES);
        let log = Log { entries: Vec::new(), last: HashMap::new(), room };
        Self { began: (Instant::now(), SystemTime::now()), log: Mutex::new(log) }
    }

    /// Writes the archive as JSON. Returns how many requests had no room in it.
    pub(super) fn write(&self, mut writer: impl io::Write) -> io::Result<u64> {
        let log = lock(&self.log);
        let creator = Creator { name: "sendbeacon-shell", version: env!("CARGO_PKG_VERSION") };
        let left_out = log.room.left_out();
        let comment = (left_out > 0).then(|| format!("requests without an entry: {left_out}"));
        let archive = Archive { version: "1.2", creator, entries: &log.entries, comment };
        serde_json::to_writer_pretty(&mut writer, &BTreeMap::from([("log", archive)]))?;
        writer.flush()?;
        Ok(left_out)
    }

    /// A moment in the format of HAR.
    fn date_time(&self, at: Instant) -> String {
        let (instant, wall) = self.began;
        let at = OffsetDateTime::from(wall + at.saturating_duration_since(instant));
        // It fails only for years above 9999.
        at.format(&Rfc3339).unwrap_or_default()
    }
}

impl EventSink for Har {
    fn event(&self, event: Event) {
        let Event { fetch, at, kind, .. } = event;
        let log = &mut *lock(&self.log);
        match kind {
            EventKind::Observed(Observation::RequestSent {
                is_preflight,
                method,
                url,
                headers,
                body,
                ..
            }) => {
                // The next events of the fetch are not those of its request before.
                log.last.remove(&fetch.id);
                if !log.room.take_item(url.as_str().len() + size(&headers) + body.len()) {
                    return;
                }
                log.last
                    .insert(fetch.id, Last { entry: log.entries.len(), sent: at, answered: None });
                log.entries.push(Entry {
                    started_date_time: self.date_time(at),
                    time: 0.0,
                    request: Request::new(method.to_string(), url, &headers, &body),
                    response: Response::none(),
                    cache: Cache {},
                    timings: Timings::default(),
                    initiator_type: fetch.initiator_type.as_str(),
                    is_preflight,
                    sent_again: Vec::new(),
                    progress: None,
                });
            }
            EventKind::Observed(Observation::ResponseStarted {
                status, version, headers, ..
            }) => {
                let Some(last) = log.last.get_mut(&fetch.id) else { return };
                last.answered = Some(at);
                let entry = &mut log.entries[last.entry];
                let has_room = log.room.take(size(&headers));
                entry.response = Response::new(status, version, &headers, has_room);
                entry.request.http_version.clone_from(&entry.response.http_version);
                entry.timings.wait = milliseconds(at - last.sent);
                entry.time = entry.timings.wait;
            }
            EventKind::Observed(Observation::SentAgain { reason, .. }) => {
                let Some(last) = log.last.get(&fetch.id) else { return };
                log.entries[last.entry].sent_again.push(reason.to_string());
            }
            EventKind::Done { outcome, timing, .. } => {
                let Some(last) = log.last.remove(&fetch.id) else { return };
                let entry = &mut log.entries[last.entry];
                match last.answered {
                    Some(answered) if !entry.is_preflight => {
                        entry.timings.receive = milliseconds(at - answered);
                        entry.response.content.size = timing.encoded_body_size;
                    }
                    Some(_) => {}
                    None => entry.timings.wait = milliseconds(at - last.sent),
                }
                entry.time = entry.timings.wait + entry.timings.receive;
                if let Outcome::Failed { error, progress } = outcome {
                    entry.response.error = Some(error.to_string());
                    entry.progress = Some(progress.as_str());
                }
            }
            _ => {}
        }
    }
}

#[derive(Serialize)]
struct Archive<'a> {
    version: &'static str,
    creator: Creator,
    entries: &'a [Entry],
    /// What the archive leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
struct Creator {
    name: &'static str,
    version: &'static str,
}

/// A request and its response. The format wants an underscore before the names of fields that it does not define.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: String,
    /// In milliseconds, like all times in the archive.
    time: f64,
    request: Request,
    response: Response,
    cache: Cache,
    timings: Timings,
    #[serde(rename = "_initiatorType")]
    initiator_type: &'static str,
    #[serde(rename = "_isPreflight")]
    is_preflight: bool,
    /// Why the network has sent the request once more, one reason for each time.
    #[serde(rename = "_sentAgain", skip_serializing_if = "Vec::is_empty")]
    sent_again: Vec<String>,
    /// How far the request of a failed fetch got.
    #[serde(rename = "_progress", skip_serializing_if = "Option::is_none")]
    progress: Option<&'static str>,
}

#[derive(Serialize)]
struct Cache {}

/// The time from connecting to the start of the response is all in `wait`.
#[derive(Default, Serialize)]
struct Timings {
    send: f64,
    wait: f64,
    receive: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    http_version: String,
    /// Always empty: the cookies are in the headers.
    cookies: [(); 0],
    headers: Vec<Pair>,
    query_string: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData>,
    headers_size: i8,
    body_size: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    /// 0 if there was no response.
    status: u16,
    status_text: &'static str,
    http_version: String,
    /// Always empty: the cookies are in the headers.
    cookies: [(); 0],
    headers: Vec<Pair>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i8,
    body_size: i8,
    /// Why the fetch failed. The name is that of Chromium's developer tools.
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What the entry leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    mime_type: String,
    params: [(); 0],
    text: String,
    /// `base64`, if the body is not valid UTF-8.
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

/// The body of a response. Its bytes are not kept.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    size: u64,
    mime_type: String,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

/// The number that stands for an unknown size.
const UNKNOWN: i8 = -1;

impl Request {
    fn new(method: String, mut url: Url, headers: &HeaderMap, body: &[u8]) -> Self {
        let pair =
            |(name, value): (_, _)| Pair { name: String::from(name), value: String::from(value) };
        url.set_fragment(None);
        // These calls fail only for URLs that cannot have credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self {
            method,
            http_version: String::new(),
            cookies: [],
            headers: pairs(headers),
            query_string: url.query_pairs().map(pair).collect(),
            post_data: (!body.is_empty()).then(|| PostData::new(headers, body)),
            headers_size: UNKNOWN,
            body_size: body.len(),
            url: url.into(),
        }
    }
}

impl Response {
    /// `has_room` says whether there is room for the headers.
    fn new(
        status: StatusCode,
        version: Option<Version>,
        headers: &HeaderMap,
        has_room: bool,
    ) -> Self {
        let response = Self {
            status: status.as_u16(),
            status_text: status.canonical_reason().unwrap_or_default(),
            http_version: version.map(|version| format!("{version:?}")).unwrap_or_default(),
            ..Self::none()
        };
        if !has_room {
            return Self { comment: Some("The archive has no room for the headers."), ..response };
        }
        Self {
            headers: pairs(headers),
            content: Content { size: 0, mime_type: value(headers, &CONTENT_TYPE) },
            redirect_url: value(headers, &LOCATION),
            ..response
        }
    }

    fn none() -> Self {
        Self {
            status: 0,
            status_text: "",
            http_version: String::new(),
            cookies: [],
            headers: Vec::new(),
            content: Content { size: 0, mime_type: String::new() },
            redirect_url: String::new(),
            headers_size: UNKNOWN,
            body_size: UNKNOWN,
            error: None,
            comment: None,
        }
    }
}

impl PostData {
    fn new(headers: &HeaderMap, body: &[u8]) -> Self {
        let (text, encoding) = match str::from_utf8(body) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (BASE64_STANDARD.encode(body), Some("base64")),
        };
        Self { mime_type: value(headers, &CONTENT_TYPE), params: [], text, encoding }
    }
}

/// The length of the names and values.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn pairs(headers: &HeaderMap) -> Vec<Pair> {
    let pair =
        |(name, value): (&HeaderName, _)| Pair { name: name.to_string(), value: text(value) };
    headers.iter().map(pair).collect()
}

/// The first value of a header; empty if there is none.
fn value(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(text).unwrap_or_default()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// `duration` in milliseconds.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
