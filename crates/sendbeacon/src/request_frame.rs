//! Requests in the form in which they leave the process: for a channel to another process, and for the outbox.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sendbeacon_fetch::{
    CacheMode, Client, CredentialsMode, Destination, InitiatorType, Mode, RedirectMode, Referrer,
    ReferrerPolicy, Request,
};
use serde::{Deserialize, Serialize};
use url::Url;

/// How many headers a request or a response may have.
const MAX_HEADERS: usize = 1_000;

/// Why a received frame is refused.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// A part of it is not what it should be.
    #[cfg_attr(not(feature = "remote"), allow(dead_code))]
    // Only a channel tells what is wrong.
    Malformed(String),
    /// No script can have made this request.
    Request,
}

impl FrameError {
    #[allow(clippy::needless_pass_by_value)] // So that `map_err` can take it.
    fn malformed(reason: impl ToString) -> Self {
        Self::Malformed(reason.to_string())
    }
}

/// A beacon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BeaconFrame {
    pub(crate) url: String,
    /// The body and its content type.
    pub(crate) data: Option<(Bytes, Option<Bytes>)>,
}

/// A ping.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PingFrame {
    pub(crate) url: String,
    pub(crate) target_url: String,
}

/// A request: those of its fields that the content process decides.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RequestFrame {
    method: String,
    pub(crate) url: String,
    headers: Headers,
    pub(crate) body: Option<Bytes>,
    pub(crate) keepalive: bool,
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
    pub(crate) fn new(request: &Request, body: Option<Bytes>) -> Option<Self> {
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
    pub(crate) fn into_request(self, client: Arc<Client>) -> Result<Request, FrameError> {
        let mut request = Request::new(client, received(&self.url)?);
        request.method =
            Method::from_bytes(self.method.as_bytes()).map_err(FrameError::malformed)?;
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
        if request.confine() { Ok(request) } else { Err(FrameError::Request) }
    }
}

/// A header list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Headers(Vec<(String, Bytes)>);

impl Headers {
    /// `None` if there are too many headers.
    pub(crate) fn new(headers: &HeaderMap) -> Option<Self> {
        let bytes = |value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes());
        let list = || headers.iter().map(|(name, value)| (name.to_string(), bytes(value)));
        (headers.len() <= MAX_HEADERS).then(|| Self(list().collect()))
    }

    pub(crate) fn into_map(self) -> Result<HeaderMap, FrameError> {
        if self.0.len() > MAX_HEADERS {
            return Err(FrameError::malformed("there are too many headers"));
        }
        let mut map = HeaderMap::new();
        for (name, value) in self.0 {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(FrameError::malformed)?;
            let value = HeaderValue::from_maybe_shared(value).map_err(FrameError::malformed)?;
            map.append(name, value);
        }
        Ok(map)
    }
}

/// A URL as it is sent. `None` if the other side could not parse it. NB: the URL parser can make a URL that it
/// does not accept itself, with a label that is too long after its conversion to Punycode.
pub(crate) fn sendable(url: &Url) -> Option<String> {
    let is_stable = Url::parse(url.as_str()).as_ref() == Ok(url);
    is_stable.then(|| url.as_str().to_owned())
}

/// Parses a received URL.
pub(crate) fn received(url: &str) -> Result<Url, FrameError> {
    Url::parse(url).map_err(FrameError::malformed)
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
