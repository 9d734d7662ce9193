//! The frames that cross a channel.

use std::time::Duration;

use bytes::Bytes;
use sendbeacon_fetch::{CspViolation, ResponseType, Weight};
use serde::{Deserialize, Serialize};

use crate::request_frame::{BeaconFrame, Headers, PingFrame, RequestFrame};

/// A frame from a content process. Each identifier is one that the content process has given.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToNetwork {
    /// The first frame.
    Hello { version: u32 },
    /// A beacon was admitted.
    Beacon { id: u64, group: GroupFrame, beacon: BeaconFrame },
    /// A ping was admitted.
    Ping { id: u64, group: GroupFrame, ping: PingFrame },
    /// The engine has found a violation of a Content Security Policy.
    Violation { id: u64, group: GroupFrame, violation: Box<CspViolation> },
    /// `fetch()` was called.
    Fetch { id: u64, group: GroupFrame, request: Box<RequestFrame> },
    /// `fetchLater()` was called.
    Defer {
        id: u64,
        group: GroupFrame,
        request: Box<RequestFrame>,
        activate_after: Option<Duration>,
    },
    /// Abort a deferred fetch, if it was not sent.
    AbortDeferred { id: u64 },
    /// The reader of a response has taken one piece of it.
    Taken { id: u64 },
    /// Nobody reads the response any more.
    Unwanted { id: u64 },
    /// Abort a fetch, as `AbortController` does.
    AbortFetch { id: u64 },
    /// The flags of the group's document have changed.
    Flags { group: u64, flags: u8 },
    /// The fetch group was terminated. No request of the group follows.
    Terminated { group: u64 },
    /// The fetch group was aborted, which includes its termination.
    Abort { group: u64 },
    /// Lend more credits.
    Want,
    /// These credits are given back: nothing is unfinished.
    Return { bytes: u64 },
    /// No request follows.
    Closed,
}

impl ToNetwork {
    /// The credits that a request costs, in bytes. `payload_length` is the length of the payload of its frame, in which
    /// the URL is once; the network process has it twice.
    pub(super) fn cost(&self, payload_length: usize) -> u64 {
        let url_length = match self {
            Self::Beacon { beacon, .. } => beacon.url.len(),
            Self::Ping { ping, .. } => ping.url.len() + ping.target_url.len(),
            Self::Fetch { request, .. } | Self::Defer { request, .. } => request.url.len(),
            _ => 0,
        };
        (payload_length + url_length) as u64 + Weight::OVERHEAD
    }
}

/// The fetch group of a request, and what has changed about it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupFrame {
    pub(super) id: u64,
    /// The flags of the group's document.
    pub(super) flags: u8,
    /// The settings object, encoded. `None` if it is that of the group's request before.
    pub(super) client: Option<Bytes>,
}

/// A frame to a content process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToContent {
    /// Accept nothing more, and send [`ToNetwork::Closed`].
    Close,
    /// The request is done: its room in the ledger and its credits are free.
    Done { id: u64 },
    /// These credits are lent, which may be none. It answers [`ToNetwork::Want`].
    Lend { bytes: u64 },
    /// The deferred fetch was sent.
    Activated { id: u64 },
    /// The request waits for a server that is away: its room in the ledger is free, and its credits are not.
    Waiting { id: u64 },
    /// The head of a response.
    Response { id: u64, response: ResponseFrame },
    /// A piece of a response's body, of at most [`MAX_PIECE`](super::limits::MAX_PIECE) bytes.
    Piece { id: u64, bytes: Bytes },
    /// The body has ended.
    End { id: u64 },
    /// The fetch has failed, or its body was cut off.
    Failed { id: u64 },
}

/// The head of a response.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResponseFrame {
    pub(super) response_type: ResponseType,
    pub(super) status: u16,
    pub(super) status_message: Bytes,
    pub(super) headers: Headers,
    pub(super) url_list: Vec<String>,
    pub(super) timing_allow_passed: bool,
    pub(super) request_includes_credentials: bool,
    pub(super) range_requested: bool,
}
