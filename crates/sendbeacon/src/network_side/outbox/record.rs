//! What a record of the outbox contains, and its form in the storage.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, header::AUTHORIZATION};
use sendbeacon_fetch::{
    Body, Client, InitiatorType, Origin, Request,
    beacon::Beacon,
    host::{CookieStore, Random, RecordId},
    hyperlink_auditing::Ping,
    is_potentially_trustworthy,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use url::Url;

use crate::{
    event::FetchInfo,
    id::FetchId,
    random::SystemRandom,
    request_frame::{BeaconFrame, FrameError, PingFrame, RequestFrame, received, sendable},
};

/// The version of the form. Every change of a part of a record changes it.
const VERSION: u8 = 1;

/// How many bytes the content of a record may have. NB: sealed, and with its state, it fits into the 1 MiB that a
/// `FileOutbox` has for a record.
const MAX_CONTENT: usize = (1 << 20) - 4096;

/// How many bytes the policies of a document may have, serialised.
const MAX_POLICIES: usize = 64 << 10;

/// The parts of a request that are kept. A beacon and a ping become requests when they are sent.
#[derive(Clone, Debug)]
pub(crate) enum KeptRequest {
    Beacon { url: Arc<Url>, data: Option<(Body, Option<HeaderValue>)> },
    Ping { url: Arc<Url>, target_url: Url },
    Request(Box<Request>),
}

impl KeptRequest {
    pub(super) fn url(&self) -> &Arc<Url> {
        match self {
            Self::Beacon { url, .. } | Self::Ping { url, .. } => url,
            Self::Request(request) => request.url(),
        }
    }

    pub(super) fn initiator_type(&self) -> InitiatorType {
        match self {
            Self::Beacon { .. } => InitiatorType::Beacon,
            Self::Ping { .. } => InitiatorType::Ping,
            Self::Request(request) => request.initiator_type,
        }
    }

    fn body(&self) -> Option<&Body> {
        match self {
            Self::Beacon { data, .. } => data.as_ref().map(|(body, _)| body),
            Self::Ping { .. } => None,
            Self::Request(request) => request.body.as_ref(),
        }
    }

    pub(super) fn into_request(self, client: Arc<Client>) -> Box<Request> {
        match self {
            Self::Beacon { url, data } => Box::new(Beacon::request(client, url, data)),
            Self::Ping { url, target_url } => Box::new(Ping::request(client, url, target_url)),
            Self::Request(mut request) => {
                request.client = client;
                request
            }
        }
    }

    pub(super) fn body_length(&self) -> u64 {
        match self {
            Self::Beacon { .. } | Self::Request(_) => self.body().map_or(0, Body::length),
            Self::Ping { .. } => Ping::BODY_LENGTH,
        }
    }

    /// Whether a request of `client` may be kept.
    pub(super) fn may_be_kept(&self, client: &Client) -> bool {
        let url = self.url();
        let is_of_script = match self {
            Self::Beacon { .. } | Self::Ping { .. } => true,
            Self::Request(request) => {
                request.keepalive
                    && request.initiator_type == InitiatorType::Fetch
                    && !request.headers.contains_key(AUTHORIZATION)
            }
        };
        is_of_script
            && is_potentially_trustworthy(url)
            && matches!(client.origin, Origin::Tuple { .. })
            && client.network_partition_key.second_key.is_none()
    }
}

/// A request with what is needed to send it later.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(super) created: Timestamp,
    pub(super) client: Arc<Client>,
    pub(super) request: KeptRequest,
    /// The cookies that it would have been sent with when it was kept.
    pub(super) cookies: Option<CookieDigest>,
    /// How many bytes the record has.
    pub(super) size: u64,
}

/// A time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn to_system_time(self) -> SystemTime {
        let since = Duration::from_millis(self.0);
        SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The part of a record that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(super) version: u8,
    /// When it was written. The latest of these times is the earliest time that it can be at the next start.
    pub(super) written_at: Timestamp,
    /// How often runs of the app have begun to send the request and have not learned whether it arrived.
    pub(super) attempts: u8,
    /// Whether a byte of it may have been given to the network.
    pub(super) may_be_sent: bool,
}

impl State {
    pub(super) fn new(written_at: Timestamp, attempts: u8, may_be_sent: bool) -> Self {
        Self { version: VERSION, written_at, attempts, may_be_sent }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        postcard::to_stdvec(&self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (state, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && state.version == VERSION).then_some(state)
    }
}

/// The part of a record that never changes, in its stored form.
#[derive(Serialize, Deserialize)]
struct Content {
    version: u8,
    created: Timestamp,
    client: Client,
    request: Frame,
    cookies: Option<CookieDigest>,
}

#[derive(Serialize, Deserialize)]
enum Frame {
    Beacon(BeaconFrame),
    Ping(PingFrame),
    Request(Box<RequestFrame>),
}

impl Kept {
    /// Makes the content of a record, and its stored form. It reads the body, and asks the cookie store if there is one.
    /// `None` if the request cannot be kept.
    pub(super) async fn make(
        client: Arc<Client>,
        request: KeptRequest,
        created: Timestamp,
        cookies: Option<Arc<dyn CookieStore>>,
    ) -> Option<(Self, Vec<u8>)> {
        let (request, frame) = request.read().await?;
        let cookies = match cookies {
            Some(store) => {
                let request = request.clone().into_request(Arc::clone(&client));
                let cookies = store.retrieve(request.cookie_context()).get().await;
                Some(CookieDigest::of(cookies.as_ref()))
            }
            None => None,
        };
        let of_frame = Client::clone(&client);
        let content =
            Content { version: VERSION, created, client: of_frame, request: frame, cookies };
        let content = postcard::to_stdvec(&content).ok()?;
        // What another run could not read would be lost.
        Self::decode(&content)?;
        let size = content.len() as u64;
        Some((Self { created, client, request, cookies, size }, content))
    }

    /// The facts about a fetch that was made from this record.
    pub(in crate::network_side) fn info(&self, id: FetchId, record: RecordId) -> FetchInfo {
        FetchInfo {
            id,
            client: Arc::clone(&self.client),
            url: Arc::clone(self.request.url()),
            initiator_type: self.request.initiator_type(),
            keepalive: true,
            body_length: self.request.body_length(),
            record: Some(record),
        }
    }

    /// Reads the stored form, and confines it to what a script can have made.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_CONTENT {
            return None;
        }
        let (content, rest) = postcard::take_from_bytes::<Content>(bytes).ok()?;
        let Content { version, created, client, request, cookies } = content;
        if !rest.is_empty() || version != VERSION || client.policies_length() > MAX_POLICIES {
            return None;
        }
        let client = Arc::new(client);
        let request = KeptRequest::decode(request, &client).ok()?;
        let size = bytes.len() as u64;
        let is_allowed = request.may_be_kept(&client);
        is_allowed.then_some(Self { created, client, request, cookies, size })
    }
}

impl KeptRequest {
    /// Reads the body into memory, and returns the stored form, too. `None` if it could not be read again.
    async fn read(mut self) -> Option<(Self, Frame)> {
        let body = match self.body() {
            Some(body) => Some(body.read().await.ok()?),
            None => None,
        };
        let in_memory = body.clone().map(Body::from);
        let frame = match &mut self {
            Self::Beacon { url, data } => {
                if let (Some((body, _)), Some(in_memory)) = (data.as_mut(), in_memory) {
                    *body = in_memory;
                }
                let content_type =
                    data.as_ref().and_then(|(_, content_type)| content_type.as_ref());
                let content_type = content_type.map(|it| Bytes::copy_from_slice(it.as_bytes()));
                let data = body.map(|body| (body, content_type));
                Frame::Beacon(BeaconFrame { url: sendable(url)?, data })
            }
            Self::Ping { url, target_url } => {
                Frame::Ping(PingFrame { url: sendable(url)?, target_url: sendable(target_url)? })
            }
            Self::Request(request) => {
                request.body = in_memory;
                Frame::Request(Box::new(RequestFrame::new(request, body)?))
            }
        };
        Some((self, frame))
    }

    fn decode(frame: Frame, client: &Arc<Client>) -> Result<Self, FrameError> {
        Ok(match frame {
            Frame::Beacon(BeaconFrame { url, data }) => {
                let data = match data {
                    Some((body, content_type)) => {
                        let content_type = content_type.map(HeaderValue::from_maybe_shared);
                        let content_type = content_type.transpose();
                        let content_type = content_type.map_err(|_| FrameError::Request)?;
                        Some((body.into(), content_type))
                    }
                    None => None,
                };
                Self::Beacon { url: received(&url)?.into(), data }
            }
            Frame::Ping(PingFrame { url, target_url }) => {
                Self::Ping { url: received(&url)?.into(), target_url: received(&target_url)? }
            }
            Frame::Request(request) => {
                Self::Request(Box::new(request.into_request(Arc::clone(client))?))
            }
        })
    }
}

/// An identifier for a new record.
pub(super) fn random_id() -> RecordId {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    RecordId::from_u64(u64::from_ne_bytes(bytes))
}

/// A keyed digest of a `Cookie` header, or of its absence. The header itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CookieDigest {
    key: [u8; 16],
    digest: [u8; 32],
}

impl CookieDigest {
    fn of(cookies: Option<&HeaderValue>) -> Self {
        let mut key = [0; 16];
        SystemRandom.fill(&mut key);
        Self { key, digest: digest(&key, cookies) }
    }

    /// Whether it is the digest of these cookies.
    pub(super) fn is_of(&self, cookies: Option<&HeaderValue>) -> bool {
        self.digest == digest(&self.key, cookies)
    }
}

fn digest(key: &[u8; 16], cookies: Option<&HeaderValue>) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key)
        .expect("a key of this kind may have any length");
    mac.update(&[u8::from(cookies.is_some())]);
    mac.update(cookies.map_or(&[], HeaderValue::as_bytes));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
