//! The frames that cross a channel.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sendbeacon_fetch::{
    CacheMode, Client, CredentialsMode, CspViolation, Destination, InitiatorType, Mode,
    RedirectMode, Referrer, ReferrerPolicy, Request, ResponseType, Weight,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{error::ChannelError, limits::MAX_HEADERS};

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

/// A beacon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeaconFrame {
    pub(super) url: String,
    /// The body and its content type.
    pub(super) data: Option<(Bytes, Option<Bytes>)>,
}

/// A ping.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PingFrame {
    pub(super) url: String,
    pub(super) target_url: String,
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

/// A request: those of its fields that the content process decides.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestFrame {
    method: String,
    url: String,
    headers: Headers,
    pub(super) body: Option<Bytes>,
    pub(super) keepalive: bool,
    initiator_type: InitiatorType,
    destination: Destination,
    referrer: Referrer,
    referrer_policy: Option<ReferrerPolicy>,
    mode: Mode,
    use_cors_preflight: bool,
    credentials: CredentialsMode,
    cache: CacheMode,
    redirect: RedirectMode,
    use_service_workers: bool,
    integrity_metadata: String,
}

impl RequestFrame {
    /// The frame of a request. `None` if the network process would not accept it.
    pub(super) fn new(request: &Request, body: Option<Bytes>) -> Option<Self> {
        if let Referrer::Url(url) = &request.referrer {
            sendable(url)?;
        }
        Some(Self {
            method: request.method.to_string(),
            url: sendable(request.url())?,
            headers: Headers::new(&request.headers)?,
            body,
            keepalive: request.keepalive,
            initiator_type: request.initiator_type,
            destination: request.destination,
            referrer: request.referrer.clone(),
            referrer_policy: request.referrer_policy,
            mode: request.mode,
            use_cors_preflight: request.use_cors_preflight,
            credentials: request.credentials,
            cache: request.cache,
            redirect: request.redirect,
            use_service_workers: request.use_service_workers,
            integrity_metadata: request.integrity_metadata.clone(),
        })
    }

    /// The request, confined to what a script can have made.
    pub(super) fn into_request(self, client: Arc<Client>) -> Result<Request, ChannelError> {
        let mut request = Request::new(client, received(&self.url)?);
        request.method =
            Method::from_bytes(self.method.as_bytes()).map_err(ChannelError::malformed)?;
        request.headers = self.headers.into_map()?;
        request.body = self.body.map(Into::into);
        request.keepalive = self.keepalive;
        request.initiator_type = self.initiator_type;
        request.destination = self.destination;
        request.referrer = self.referrer;
        request.referrer_policy = self.referrer_policy;
        request.mode = self.mode;
        request.use_cors_preflight = self.use_cors_preflight;
        request.credentials = self.credentials;
        request.cache = self.cache;
        request.redirect = self.redirect;
        request.use_service_workers = self.use_service_workers;
        request.integrity_metadata = self.integrity_metadata;
        if request.confine() { Ok(request) } else { Err(ChannelError::Request) }
    }
}

/// A header list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Headers(Vec<(String, Bytes)>);

impl Headers {
    /// `None` if there are too many headers.
    pub(super) fn new(headers: &HeaderMap) -> Option<Self> {
        let bytes = |value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes());
        let list = || headers.iter().map(|(name, value)| (name.to_string(), bytes(value)));
        (headers.len() <= MAX_HEADERS).then(|| Self(list().collect()))
    }

    pub(super) fn into_map(self) -> Result<HeaderMap, ChannelError> {
        if self.0.len() > MAX_HEADERS {
            return Err(ChannelError::malformed("there are too many headers"));
        }
        let mut map = HeaderMap::new();
        for (name, value) in self.0 {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(ChannelError::malformed)?;
            let value = HeaderValue::from_maybe_shared(value).map_err(ChannelError::malformed)?;
            map.append(name, value);
        }
        Ok(map)
    }
}

/// A URL as it is sent. `None` if the other side could not parse it. NB: the URL parser can make a URL that it
/// does not accept itself, with a label that is too long after its conversion to Punycode.
pub(super) fn sendable(url: &Url) -> Option<String> {
    let is_stable = Url::parse(url.as_str()).as_ref() == Ok(url);
    is_stable.then(|| url.as_str().to_owned())
}

/// Parses a received URL.
pub(super) fn received(url: &str) -> Result<Url, ChannelError> {
    Url::parse(url).map_err(ChannelError::malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_the_parser_would_not_accept_again_is_not_sent() {
        // The label's Punycode is longer than the parser accepts.
        let label: String =
            (0..1000_u32).map(|i| char::from_u32(0x4E00 + i * 7).unwrap()).collect();
        let url = Url::parse(&format!("https://{label}/")).unwrap();
        assert_eq!(sendable(&url), None);
        assert_eq!(
            sendable(&Url::parse("https://b\u{fc}cher.test/").unwrap()).unwrap(),
            "https://xn--bcher-kva.test/"
        );
    }
}
