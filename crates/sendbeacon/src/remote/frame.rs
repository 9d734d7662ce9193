//! What crosses the channel, and how.
//!
//! A frame is its payload's length in bytes (4, little endian), the payload (postcard) and one byte
//! that decides: [`COMMITTED`], or [`VOID`] where the sender had to give up half-way. So a frame that
//! was begun can be taken back, and what was not sent whole never was.

use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sendbeacon_fetch::{
    CacheMode, Client, CredentialsMode, CspViolation, InitiatorType, Mode, RedirectMode, Referrer,
    ReferrerPolicy, Request, ResponseType,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::ChannelError;

/// Said first, and changed with every change of what is in this file.
pub(super) const VERSION: u32 = 3;

/// The largest payload, in bytes: a full body, the longest URL and the policies of a document fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// How many fetches of a channel may be unfinished, and how many bytes their frames may have. A content
/// process that keeps to it is never refused by the network process.
pub(super) const MAX_UNFINISHED: Cost = Cost { fetches: 16_384, bytes: 64 << 20 };

/// How long the policies of a document may be, serialised, in bytes.
pub(super) const MAX_POLICIES: usize = 64 << 10;

/// How many fetch groups a content process may have at once, of those that have fetched.
pub(super) const MAX_GROUPS: usize = 65_536;

/// How many bytes of settings objects a content process may have there at once, as they are sent.
pub(super) const MAX_CLIENTS: usize = 16 << 20;

/// How many headers a request or a response may have.
pub(super) const MAX_HEADERS: usize = 1_000;

/// How many pieces of a response are on their way to a content process that has not taken them yet.
pub(super) const WINDOW: usize = 4;

/// The payload counts.
pub(super) const COMMITTED: u8 = 1;
/// The payload is nothing.
pub(super) const VOID: u8 = 0;

/// What a fetch takes of [`MAX_UNFINISHED`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) fetches: u64,
    pub(super) bytes: u64,
}

impl Cost {
    /// The cost of a fetch whose frame has a payload of this length.
    pub(super) fn of(payload_length: usize) -> Self {
        Self { fetches: 1, bytes: payload_length as u64 }
    }

    /// The sum, if it is within the limit.
    pub(super) fn plus(self, more: Self) -> Option<Self> {
        let sum = Self {
            fetches: self.fetches.checked_add(more.fetches)?,
            bytes: self.bytes.checked_add(more.bytes)?,
        };
        let fits = sum.fetches <= MAX_UNFINISHED.fetches && sum.bytes <= MAX_UNFINISHED.bytes;
        fits.then_some(sum)
    }

    pub(super) fn minus(self, less: Self) -> Self {
        Self { fetches: self.fetches - less.fetches, bytes: self.bytes - less.bytes }
    }
}

/// From a content process. Identifiers are the content process's own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToNetwork {
    /// The first frame.
    Hello { version: u32 },
    /// A beacon was accepted.
    Beacon { id: u64, group: GroupFrame, beacon: BeaconFrame },
    /// A hyperlink was followed.
    Ping { id: u64, group: GroupFrame, ping: PingFrame },
    /// The engine has found a violation of a Content Security Policy.
    Violation { id: u64, group: GroupFrame, violation: Box<CspViolation> },
    /// A `fetch()` was called.
    Fetch { id: u64, group: GroupFrame, request: Box<RequestFrame> },
    /// `fetchLater()` was called.
    Defer {
        id: u64,
        group: GroupFrame,
        request: Box<RequestFrame>,
        activate_after: Option<Duration>,
    },
    /// A deferred fetch is aborted, if it was not sent.
    AbortDeferred { id: u64 },
    /// One piece of a response was taken.
    Taken { id: u64 },
    /// Nobody reads the response any more.
    Unwanted { id: u64 },
    /// `AbortController`.
    AbortFetch { id: u64 },
    /// A document was hidden, shown, frozen and so on.
    Flags { group: u64, flags: u8 },
    /// The fetch group was terminated; nothing more of it follows.
    Terminated { group: u64 },
    /// The fetch group was aborted, which terminates it if that has not come before.
    Abort { group: u64 },
    /// No fetch follows any more.
    Closed,
}

/// Which group a fetch belongs to, and what has changed about it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupFrame {
    pub(super) id: u64,
    pub(super) flags: u8,
    /// The settings object, if it is not that of the group's fetch before: a payload of its own.
    pub(super) client: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeaconFrame {
    pub(super) url: String,
    /// The body and its type.
    pub(super) data: Option<(Bytes, Option<Bytes>)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PingFrame {
    pub(super) url: String,
    pub(super) target_url: String,
}

/// To a content process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToContent {
    /// Accept nothing more, and say [`ToNetwork::Closed`].
    Close,
    /// The fetch is over: what it took is given back.
    Done { id: u64 },
    /// The deferred fetch was sent.
    Activated { id: u64 },
    /// The head of a response.
    Response { id: u64, response: ResponseFrame },
    /// A piece of its body, at most [`MAX_PIECE`] bytes.
    Piece { id: u64, bytes: Bytes },
    /// The body has ended.
    End { id: u64 },
    /// There is no response, or no more of it.
    Failed { id: u64 },
}

/// The most bytes of a body in one frame.
pub(super) const MAX_PIECE: usize = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResponseFrame {
    pub(super) type_: ResponseType,
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) url_list: Vec<String>,
    pub(super) timing_allow_passed: bool,
}

/// What of a request the content process decides.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestFrame {
    method: String,
    url: String,
    headers: Headers,
    pub(super) body: Option<Bytes>,
    pub(super) keepalive: bool,
    initiator_type: InitiatorType,
    referrer: Referrer,
    referrer_policy: Option<ReferrerPolicy>,
    mode: Mode,
    use_cors_preflight: bool,
    credentials: CredentialsMode,
    cache: CacheMode,
    redirect: RedirectMode,
    use_service_workers: bool,
}

impl RequestFrame {
    /// `None` for a request that cannot be sent.
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
            referrer: request.referrer.clone(),
            referrer_policy: request.referrer_policy,
            mode: request.mode,
            use_cors_preflight: request.use_cors_preflight,
            credentials: request.credentials,
            cache: request.cache,
            redirect: request.redirect,
            use_service_workers: request.use_service_workers,
        })
    }

    pub(super) fn into_request(self, client: Arc<Client>) -> Result<Request, ChannelError> {
        let mut request = Request::new(client, received(&self.url)?);
        request.method =
            Method::from_bytes(self.method.as_bytes()).map_err(ChannelError::malformed)?;
        request.headers = self.headers.into_map()?;
        request.body = self.body.map(Into::into);
        request.keepalive = self.keepalive;
        request.initiator_type = self.initiator_type;
        request.referrer = self.referrer;
        request.referrer_policy = self.referrer_policy;
        request.mode = self.mode;
        request.use_cors_preflight = self.use_cors_preflight;
        request.credentials = self.credentials;
        request.cache = self.cache;
        request.redirect = self.redirect;
        request.use_service_workers = self.use_service_workers;
        if request.confine() { Ok(request) } else { Err(ChannelError::Request) }
    }
}

/// A header list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Headers(Vec<(String, Bytes)>);

impl Headers {
    /// `None` if there are too many.
    pub(super) fn new(headers: &HeaderMap) -> Option<Self> {
        let bytes = |value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes());
        let list = || headers.iter().map(|(name, value)| (name.to_string(), bytes(value)));
        (headers.len() <= MAX_HEADERS).then(|| Self(list().collect()))
    }

    pub(super) fn into_map(self) -> Result<HeaderMap, ChannelError> {
        if self.0.len() > MAX_HEADERS {
            return Err(ChannelError::malformed("too many headers"));
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

/// A URL as it is sent, unless the other side could not parse it: the parser does not take all that it
/// makes (a label that is too long once it is in Punycode).
pub(super) fn sendable(url: &Url) -> Option<String> {
    let is_stable = Url::parse(url.as_str()).as_ref() == Ok(url);
    is_stable.then(|| url.as_str().to_owned())
}

/// A URL that was sent.
pub(super) fn received(url: &str) -> Result<Url, ChannelError> {
    Url::parse(url).map_err(ChannelError::malformed)
}

/// The bytes of a frame; `None` if its payload is too large.
pub(super) fn encode(frame: &impl Serialize) -> Option<Vec<u8>> {
    // What is sent can be serialised: its parts have no failing implementation.
    let mut bytes = postcard::to_extend(frame, vec![0; 4]).ok()?;
    let length = bytes.len() - 4;
    if length > MAX_PAYLOAD {
        return None;
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    bytes.push(COMMITTED);
    Some(bytes)
}

/// How long the payload of an encoded frame is, in bytes.
pub(super) fn payload_length(frame: &[u8]) -> usize {
    frame.len() - 5
}

/// The next frame that counts, and the length of its payload. `None` where the channel ends, in the
/// middle of a frame included: its sender was killed.
pub(super) fn read<T: DeserializeOwned>(
    reader: &mut impl Read,
) -> Result<Option<(T, usize)>, ChannelError> {
    let mut frame = Vec::new();
    loop {
        let mut head = [0; 4];
        match reader.read_exact(&mut head) {
            Err(error) if is_end(&error) => return Ok(None),
            result => result?,
        }
        let length = u32::from_le_bytes(head);
        if length as usize > MAX_PAYLOAD {
            return Err(ChannelError::TooLarge(length));
        }
        frame.clear();
        // Memory is taken as bytes come, not as they are promised.
        match reader.by_ref().take(u64::from(length) + 1).read_to_end(&mut frame) {
            Err(error) if is_end(&error) => return Ok(None),
            result => result?,
        };
        match frame.split_last() {
            Some((_, payload)) if payload.len() < length as usize => return Ok(None),
            Some((&COMMITTED, payload)) => {
                return decode(payload).map(|frame| Some((frame, payload.len())));
            }
            Some((&VOID, _)) => {}
            Some(_) => return Err(ChannelError::malformed("its last byte")),
            None => return Ok(None),
        }
    }
}

/// What a payload says.
pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ChannelError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(ChannelError::malformed("more than one payload")),
        Err(error) => Err(ChannelError::malformed(error)),
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(id: u64) -> Vec<u8> {
        encode(&ToContent::Done { id }).unwrap()
    }

    #[test]
    fn a_void_frame_is_passed_over() {
        let mut void = frame(1);
        *void.last_mut().unwrap() = VOID;
        let bytes = [void, frame(2)].concat();
        let read = read(&mut &*bytes).unwrap();
        assert!(matches!(read, Some((ToContent::Done { id: 2 }, _))));
    }

    #[test]
    fn a_frame_that_is_cut_off_anywhere_is_the_end() {
        let whole = frame(300);
        for length in 0..whole.len() {
            assert!(read::<ToContent>(&mut &whole[..length]).unwrap().is_none(), "{length}");
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_anything_is_read() {
        let error = read::<ToContent>(&mut &[0xFF; 4][..]).unwrap_err();
        assert!(matches!(error, ChannelError::TooLarge(u32::MAX)));
    }

    #[test]
    fn a_url_that_the_parser_does_not_take_again_is_not_sent() {
        // Its own Punycode is longer than it accepts.
        let label: String =
            (0..1000_u32).map(|i| char::from_u32(0x4E00 + i * 7).unwrap()).collect();
        let url = Url::parse(&format!("https://{label}/")).unwrap();
        assert_eq!(sendable(&url), None);
        assert_eq!(
            sendable(&Url::parse("https://b\u{fc}cher.test/").unwrap()).unwrap(),
            "https://xn--bcher-kva.test/"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_an_end_or_an_error(
            length in 0..100_u32,
            bytes: Vec<u8>,
            last in 0..3_u8,
        ) {
            let bytes = [&length.to_le_bytes()[..], &bytes, &[last]].concat();
            let mut reader = &*bytes;
            while let Ok(Some(_)) = read::<ToNetwork>(&mut reader) {}
        }

        #[test]
        fn any_payload_is_a_frame_or_an_error(payload: Vec<u8>) {
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            let bytes = [&length[..], &payload, &[COMMITTED]].concat();
            let _ = read::<ToNetwork>(&mut &*bytes);
        }
    }
}
