//! What crosses the channel, and how.
//!
//! A frame is its payload's length in bytes (4, little endian), the payload (postcard) and one byte
//! that decides: [`COMMITTED`], or [`VOID`] where the sender had to give up half-way. So a frame that
//! was begun can be taken back, and what was not sent whole never was.

use std::io::{self, Read};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sendbeacon_fetch::{
    CacheMode, Client, CredentialsMode, InitiatorType, Mode, RedirectMode, Referrer,
    ReferrerPolicy, Request, ResponseType,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::ChannelError;

/// Said first, and changed with every change of what is in this file.
pub(super) const VERSION: u32 = 1;

/// The largest payload, in bytes: a full body, the longest URL and the policies of a document fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// How many fetches of a channel may be unfinished, and with how many bytes of body and URL. A
/// content process that keeps to it is never refused by the network process.
pub(super) const MAX_UNFINISHED: Cost = Cost { fetches: 16_384, bytes: 64 << 20 };

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
    pub(super) fn of(body_length: u64, url: &Url) -> Self {
        Self { fetches: 1, bytes: body_length.saturating_add(url.as_str().len() as u64) }
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
    /// A `fetch()` was called.
    Fetch { id: u64, group: GroupFrame, request: Box<RequestFrame> },
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
    /// The fetch group was aborted; its termination came before.
    Abort { group: u64 },
    /// No fetch follows any more.
    Closed,
}

/// Which group a fetch belongs to, and what has changed about it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupFrame {
    pub(super) id: u64,
    pub(super) flags: u8,
    /// The settings object, if it is not that of the group's fetch before.
    pub(super) client: Option<Box<Client>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeaconFrame {
    pub(super) url: Url,
    /// The body and its type.
    pub(super) data: Option<(Bytes, Option<Bytes>)>,
}

/// To a content process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToContent {
    /// Accept nothing more, and say [`ToNetwork::Closed`].
    Close,
    /// The fetch is over: what it took is given back.
    Done { id: u64 },
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
    pub(super) url_list: Vec<Url>,
    pub(super) timing_allow_passed: bool,
}

/// What of a request the content process decides.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestFrame {
    method: String,
    pub(super) url: Url,
    headers: Headers,
    unsafe_request: bool,
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
    pub(super) fn new(request: &Request, body: Option<Bytes>) -> Self {
        Self {
            method: request.method.to_string(),
            url: request.url().clone(),
            headers: Headers::from(&request.headers),
            unsafe_request: request.unsafe_request,
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
        }
    }

    pub(super) fn into_request(
        self,
        client: std::sync::Arc<Client>,
    ) -> Result<Request, http::Error> {
        let mut request = Request::new(client, self.url);
        request.method = Method::from_bytes(self.method.as_bytes())?;
        request.headers = self.headers.try_into()?;
        request.unsafe_request = self.unsafe_request;
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
        Ok(request)
    }
}

/// A header list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Headers(Vec<(String, Bytes)>);

impl From<&HeaderMap> for Headers {
    fn from(headers: &HeaderMap) -> Self {
        let bytes = |value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes());
        Self(headers.iter().map(|(name, value)| (name.to_string(), bytes(value))).collect())
    }
}

impl TryFrom<Headers> for HeaderMap {
    type Error = http::Error;

    fn try_from(headers: Headers) -> Result<Self, http::Error> {
        let mut map = Self::new();
        for (name, value) in headers.0 {
            let value = HeaderValue::from_maybe_shared(value)?;
            map.try_append(HeaderName::from_bytes(name.as_bytes())?, value)?;
        }
        Ok(map)
    }
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

/// The next frame that counts. `None` where the channel ends, in the middle of a frame included: its
/// sender was killed.
pub(super) fn read<T: DeserializeOwned>(reader: &mut impl Read) -> Result<Option<T>, ChannelError> {
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
                return match postcard::take_from_bytes(payload) {
                    Ok((frame, [])) => Ok(Some(frame)),
                    Ok(_) => Err(ChannelError::Malformed("more than one payload".to_owned())),
                    Err(error) => Err(ChannelError::Malformed(error.to_string())),
                };
            }
            Some((&VOID, _)) => {}
            Some(_) => return Err(ChannelError::Malformed("its last byte".to_owned())),
            None => return Ok(None),
        }
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
        let read: Option<ToContent> = read(&mut &*bytes).unwrap();
        assert!(matches!(read, Some(ToContent::Done { id: 2 })));
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

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_an_end_or_an_error(bytes: Vec<u8>) {
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
