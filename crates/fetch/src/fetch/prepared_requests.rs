//! The requests of the latest beacons that were answered, for the next beacons like them.
//!
//! Much of what fetch does to the request of a beacon follows from its client, its URL and its content type, and from the
//! settings of the profile. A beacon in which these are the same gets the request of an earlier one, with its own body.
//! Whatever can change between the two is asked anew for each: HSTS, service workers, cookies, authentication entries, the
//! interceptor, the CORS-preflight cache, and the network.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
// NB: this hash has no secret. A page that finds two URLs with one hash gets its request kept at once.
use rustc_hash::FxHasher;
use url::Url;

use crate::{
    client::Client,
    nonce::Nonce,
    preparation::Preparation,
    request::{Referrer, Request, ResponseTainting},
};

/// How many requests are kept.
const MAX_REQUESTS: usize = 32;

/// How many of the latest beacons that were like no kept request are known again. A request is kept when it is made a second
/// time, so that beacons to ever new URLs pay little.
const MAX_MISSED: usize = 8;

/// How many bytes the texts of a kept request may have together.
const MAX_BYTES: usize = 2048;

/// The settings of a profile on which requests and their header lists depend.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) user_agent: &'a HeaderValue,
    pub(super) accept_language: Option<&'a HeaderValue>,
    pub(super) beacon_priority: Option<&'a HeaderValue>,
    pub(super) extra_headers: &'a HeaderMap,
    /// Whether bodies of responses are decoded.
    pub(super) decodes: bool,
}

/// The requests of the latest beacons that were answered, the last one first.
#[derive(Default)]
pub(super) struct PreparedRequests(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// What all of these requests depend on.
    settings: Option<OwnedSettings>,
    requests: VecDeque<KeptRequest>,
    /// Hashes of the latest beacons that were like none of these. Two beacons may have the same hash.
    missed: [u64; MAX_MISSED],
    next_missed: usize,
}

struct KeptRequest {
    /// NB: while this exists, the client is not changed in its place, and no other client has its address.
    client: Weak<Client>,
    request: Box<Request>,
}

/// The client in each kept request. So the requests do not keep the data of documents that have gone.
static NOBODY: LazyLock<Arc<Client>> = LazyLock::new(|| {
    let url = Url::parse("about:blank").expect("this is a URL");
    Arc::new(Client::new(url, Nonce::from_u128(0)))
});

impl PreparedRequests {
    /// The request of an earlier beacon of this client, with this URL and content type. Its body is not set.
    pub(super) fn take(
        &self,
        settings: Settings<'_>,
        client: &Arc<Client>,
        url: &Url,
        content_type: Option<&HeaderValue>,
    ) -> Option<Box<Request>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.settings.as_ref().is_some_and(|it| it.are(settings)) {
            *kept = Kept { settings: Some(settings.into()), ..Kept::default() };
        }
        let is_like = |it: &KeptRequest| {
            std::ptr::eq(it.client.as_ptr(), Arc::as_ptr(client))
                && it.request.url() == url
                && it.request.headers.get(CONTENT_TYPE) == content_type
        };
        let at = kept.requests.iter().position(is_like)?;
        let KeptRequest { mut request, .. } = kept.requests.remove(at)?;
        drop(kept);
        request.client = Arc::clone(client);
        request.preparation.header_lists.get_or_insert_default();
        // Fetch has set these for the earlier one.
        request.use_service_workers = true;
        request.response_tainting = ResponseTainting::Basic;
        request.timing_allow_failed = false;
        Some(request)
    }

    /// Whether a beacon of this client with this URL was lately like no kept request.
    pub(super) fn is_repeated(&self, client: &Arc<Client>, url: &Url) -> bool {
        let mut hasher = FxHasher::default();
        (Arc::as_ptr(client), url.as_str()).hash(&mut hasher);
        let hash = hasher.finish();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.missed.contains(&hash) {
            return true;
        }
        let next = kept.next_missed;
        kept.missed[next] = hash;
        kept.next_missed = (next + 1) % MAX_MISSED;
        false
    }

    /// Keeps the request of a beacon that was answered, if it is repeated and not too long, and if it is still as it was
    /// before HSTS.
    pub(super) fn give_back(&self, mut request: Box<Request>) {
        let Preparation { is_repeated, has_passed, header_lists } = &request.preparation;
        let is_first = header_lists.is_none();
        if !is_repeated || !has_passed || (is_first && text_bytes(&request) > MAX_BYTES) {
            return;
        }
        let client = std::mem::replace(&mut request.client, Arc::clone(&NOBODY));
        request.body = None;
        let client = Arc::downgrade(&client);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.push_front(KeptRequest { client, request });
        let surplus =
            if kept.requests.len() > MAX_REQUESTS { kept.requests.pop_back() } else { None };
        drop((kept, surplus));
    }
}

fn text_bytes(request: &Request) -> usize {
    let referrer = match &request.referrer {
        Referrer::Url(url) => url.as_str().len(),
        Referrer::Client | Referrer::NoReferrer => 0,
    };
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    request.url().as_str().len() + referrer + headers.sum::<usize>()
}

/// [`Settings`] that own their values.
struct OwnedSettings {
    user_agent: HeaderValue,
    accept_language: Option<HeaderValue>,
    beacon_priority: Option<HeaderValue>,
    extra_headers: HeaderMap,
    decodes: bool,
}

impl From<Settings<'_>> for OwnedSettings {
    fn from(settings: Settings<'_>) -> Self {
        let Settings { user_agent, accept_language, beacon_priority, extra_headers, decodes } =
            settings;
        Self {
            user_agent: user_agent.clone(),
            accept_language: accept_language.cloned(),
            beacon_priority: beacon_priority.cloned(),
            extra_headers: extra_headers.clone(),
            decodes,
        }
    }
}

impl OwnedSettings {
    fn are(&self, settings: Settings<'_>) -> bool {
        let Settings { user_agent, accept_language, beacon_priority, extra_headers, decodes } =
            settings;
        self.user_agent == *user_agent
            && self.accept_language.as_ref() == accept_language
            && self.beacon_priority.as_ref() == beacon_priority
            // In the same order, too.
            && self.extra_headers.len() == extra_headers.len()
            && self.extra_headers.iter().eq(extra_headers)
            && self.decodes == decodes
    }
}
