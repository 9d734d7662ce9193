//! What happens to a fetch, in a timeline.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use sendbeacon::{FetchId, InitiatorType, Outcome};
use serde::Serialize;
use url::Url;

use super::document::{At, Spans};
use crate::room::Room;

/// How many marks and how many hops of a fetch are kept.
const MAX_STEPS: usize = 200;

/// How many bytes of a URL or a message are kept.
const MAX_TEXT: usize = 4_096;

/// How many bytes of a body are kept.
const MAX_BODY: usize = 65_536;

/// What made a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    Beacon,
    Ping,
    /// A report of a violation.
    Report,
    /// `fetchLater()`
    Deferred,
    /// `fetch()`
    Fetch,
    /// A script, or something else that the page loads.
    Load,
}

/// The state of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// It was given to `fetchLater()`, and waits until it is due.
    Deferred,
    /// It waits for its start.
    Queued,
    /// It has started, and waits before a request: for its server, or for the next attempt.
    Waiting,
    /// Its preflight is sent.
    Preflight,
    /// Its request is sent, and not answered.
    Sent,
    /// Its request is sent to the URL of a redirect, and not answered.
    Redirected,
    /// The head of the response is there, and the body is being read.
    Answered,
}

/// How a fetch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum End {
    Unfinished,
    Delivered,
    Failed,
    /// `sendBeacon()` has refused it.
    Refused,
    /// The script has aborted it before it was sent.
    Aborted,
}

/// Something that happened to a fetch at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum MarkKind {
    /// It changes its state, which its span shows.
    State,
    Redirected,
    Unreached,
    SentAgain,
    Upgraded,
    Violation,
    ClearSiteData,
    Done,
}

#[derive(Clone, Debug, Serialize)]
struct Mark {
    at: At,
    kind: MarkKind,
    text: Cow<'static, str>,
}

/// A request and its response.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hop {
    at: At,
    is_preflight: bool,
    method: String,
    url: String,
    /// `None`: there was no room for them.
    headers: Option<Vec<(String, String)>>,
    body_length: usize,
    response: Option<Head>,
}

/// The head of a response.
#[derive(Clone, Debug, Serialize)]
struct Head {
    at: At,
    status: u16,
    reason: &'static str,
    version: String,
    headers: Option<Vec<(String, String)>>,
}

/// The beginning of a request's body.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The bytes in base64, if they are no valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// How many bytes are kept.
    kept: usize,
    length: usize,
}

/// A fetch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FetchLine {
    pub(super) document: u64,
    pub(super) kind: Kind,
    pub(super) keepalive: bool,
    url: String,
    pub(super) body_length: u64,
    pub(super) from: At,
    pub(super) to: Option<At>,
    pub(super) spans: Spans<State>,
    marks: Vec<Mark>,
    end: End,
    /// The status of the response, or why there is none.
    why: String,
    /// How often a request of it was sent again or has not reached its server.
    retries: u32,
    hops: Vec<Hop>,
    /// The body of all its requests that have one.
    body: Option<Body>,
    /// Its identifier, if it was queued.
    #[serde(skip)]
    pub(super) id: Option<FetchId>,
    /// When it was queued.
    #[serde(skip)]
    pub(super) queued: Option<At>,
    /// When a request of it has not reached its server for the first time.
    #[serde(skip)]
    pub(super) unreached: Option<At>,
    #[serde(skip)]
    is_redirected: bool,
}

impl Kind {
    pub(super) fn of(initiator_type: InitiatorType) -> Self {
        match initiator_type {
            InitiatorType::Beacon => Self::Beacon,
            InitiatorType::Ping => Self::Ping,
            InitiatorType::Fetch => Self::Fetch,
            InitiatorType::Null => Self::Report,
            _ => Self::Load,
        }
    }
}

impl FetchLine {
    pub(super) fn new(document: u64, kind: Kind, url: String, at: At) -> Self {
        Self {
            document,
            kind,
            keepalive: false,
            url,
            body_length: 0,
            from: at,
            to: None,
            spans: Spans::default(),
            marks: Vec::new(),
            end: End::Unfinished,
            why: String::new(),
            retries: 0,
            hops: Vec::new(),
            body: None,
            id: None,
            queued: None,
            unreached: None,
            is_redirected: false,
        }
    }

    pub(super) fn enter(&mut self, at: At, state: State, text: impl Into<Cow<'static, str>>) {
        self.spans.enter(at, state);
        self.push_mark(at, MarkKind::State, text.into());
    }

    /// Adds a mark. Its text takes its bytes from `room`, and is left out if there is none.
    pub(super) fn mark(&mut self, at: At, kind: MarkKind, text: String, room: &mut Room) {
        self.push_mark(at, kind, kept(text, room).into());
    }

    fn push_mark(&mut self, at: At, kind: MarkKind, text: Cow<'static, str>) {
        if self.marks.len() < MAX_STEPS {
            self.marks.push(Mark { at, kind, text });
        }
    }

    /// A request goes to the network. What is kept of it takes its bytes from `room`.
    pub(super) fn request_sent(&mut self, at: At, request: Sent<'_>, room: &mut Room) {
        let Sent { is_preflight, method, url, headers, body } = request;
        let (state, text) = match (is_preflight, self.is_redirected) {
            (true, _) => (State::Preflight, "the preflight is sent"),
            (false, true) => (State::Redirected, "the request is sent to the new URL"),
            (false, false) => (State::Sent, "the request is sent"),
        };
        self.enter(at, state, text);
        if self.body.is_none() && !body.is_empty() {
            self.body = Body::new(body, room);
        }
        if self.hops.len() < MAX_STEPS {
            self.hops.push(Hop {
                at,
                is_preflight,
                method: method.to_string(),
                url: kept(shown(url), room),
                headers: pairs(headers, room),
                body_length: body.len(),
                response: None,
            });
        }
    }

    /// The head of the response to the last request is there.
    pub(super) fn response_started(&mut self, at: At, response: Answer<'_>, room: &mut Room) {
        let Answer { is_preflight, status, version, headers } = response;
        let state = if is_preflight { State::Waiting } else { State::Answered };
        self.enter(at, state, format!("the head of the response is there: {status}"));
        if let Some(hop) = self.hops.last_mut() {
            hop.response = Some(Head {
                at,
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or_default(),
                version: version.map(|version| format!("{version:?}")).unwrap_or_default(),
                headers: pairs(headers, room),
            });
        }
    }

    pub(super) fn redirected(&mut self, at: At, url: &Url, room: &mut Room) {
        self.is_redirected = true;
        self.spans.enter(at, State::Waiting);
        self.mark(at, MarkKind::Redirected, format!("redirected to {}", shown(url)), room);
    }

    pub(super) fn unreached(&mut self, at: At, why: String, room: &mut Room) {
        self.retries += 1;
        self.unreached = self.unreached.or(Some(at));
        self.spans.enter(at, State::Waiting);
        self.mark(at, MarkKind::Unreached, why, room);
    }

    pub(super) fn sent_again(&mut self, at: At, why: &str, room: &mut Room) {
        self.retries += 1;
        self.mark(at, MarkKind::SentAgain, format!("sent again: {why}"), room);
    }

    pub(super) fn done(&mut self, at: At, outcome: &Outcome) {
        match outcome {
            Outcome::Delivered { status } => self.end(at, End::Delivered, status.to_string()),
            Outcome::Failed { error, progress } => {
                self.end(at, End::Failed, format!("{error} (the request is {progress})"));
            }
            Outcome::Kept { error, .. } => {
                self.end(at, End::Failed, format!("it stays in the outbox: {error}"));
            }
            other => self.end(at, End::Failed, format!("{other:?}")),
        }
    }

    pub(super) fn end(&mut self, at: At, end: End, why: String) {
        self.spans.close(at);
        (self.to, self.end) = (Some(at), end);
        self.why = cut(why);
        self.push_mark(at, MarkKind::Done, self.why.clone().into());
    }
}

/// A request that goes to the network.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) is_preflight: bool,
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
}

/// The head of a response.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) is_preflight: bool,
    pub(super) status: StatusCode,
    pub(super) version: Option<Version>,
    pub(super) headers: &'a HeaderMap,
}

impl Body {
    /// Keeps the beginning of `bytes`. `None` if there is no room for it.
    fn new(bytes: &Bytes, room: &mut Room) -> Option<Self> {
        let mut kept = &bytes[..bytes.len().min(MAX_BODY)];
        if !room.take(kept.len()) {
            return None;
        }
        let (text, base64) = match str::from_utf8(kept) {
            Ok(text) => (Some(text), None),
            // The cut was inside of a character.
            Err(error) if error.error_len().is_none() && kept.len() < bytes.len() => {
                kept = &kept[..error.valid_up_to()];
                (str::from_utf8(kept).ok(), None)
            }
            Err(_) => (None, Some(BASE64_STANDARD.encode(kept))),
        };
        let text = text.map(ToOwned::to_owned);
        Some(Self { text, base64, kept: kept.len(), length: bytes.len() })
    }
}

/// The headers as text. `None` if there is no room for them.
fn pairs(headers: &HeaderMap, room: &mut Room) -> Option<Vec<(String, String)>> {
    let length = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let value = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let pairs = || headers.iter().map(|(n, v)| (n.to_string(), value(v.as_bytes()))).collect();
    room.take(length).then(pairs)
}

/// `url` without its credentials, cut if it is long.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These calls fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    cut(url.into())
}

/// `text`, cut if it is long. Empty if there is no room for it.
fn kept(text: String, room: &mut Room) -> String {
    let text = cut(text);
    if room.take(text.len()) { text } else { String::new() }
}

/// `text`, cut if it is long.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('\u{2026}');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_kept_is_limited() {
        let (at, mut room) = (At(Duration::ZERO), Room::new(0, 10_000));
        let mut line = FetchLine::new(1, Kind::Beacon, "https://a.test/".into(), at);
        for _ in 0..1_000 {
            line.mark(at, MarkKind::SentAgain, "\u{e9}".repeat(5_000), &mut room);
        }
        assert_eq!(line.marks.len(), MAX_STEPS);
        let lengths: Vec<_> = line.marks.iter().map(|it| it.text.len()).take(4).collect();
        assert_eq!(lengths, [MAX_TEXT + 3, MAX_TEXT + 3, 0, 0]);
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        let mut room = Room::new(0, 1 << 20);
        let body = |bytes: Vec<u8>, room: &mut Room| Body::new(&bytes.into(), room).unwrap();
        let text = body([b"x".to_vec(), "\u{e9}".repeat(40_000).into()].concat(), &mut room);
        assert_eq!((text.kept, text.length), (MAX_BODY - 1, 80_001));
        assert_eq!(text.text.unwrap().chars().last(), Some('\u{e9}'));
        let bytes = body(vec![255; 3], &mut room);
        assert_eq!((bytes.text, bytes.base64.as_deref()), (None, Some("////")));
        assert!(Body::new(&vec![0; 10].into(), &mut Room::new(0, 9)).is_none());
    }
}
