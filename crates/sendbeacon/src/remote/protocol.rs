//! What the two ends of a channel tell each other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sendbeacon_fetch::{
    CacheMode, Client, CredentialsMode, CspViolation, InitiatorType, Mode, RedirectMode, Referrer,
    ReferrerPolicy, Request, ResponseType,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{error::ChannelError, limits::MAX_HEADERS};

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

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResponseFrame {
    pub(super) response_type: ResponseType,
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
