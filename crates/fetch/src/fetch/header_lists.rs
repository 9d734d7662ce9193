//! The latest header lists of requests, so that a request like an earlier one does not make its list again.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use http::{
    HeaderMap, HeaderValue, Method,
    header::{CONTENT_LENGTH, COOKIE},
};
use url::Url;

use crate::{
    client::Client,
    destination::Destination,
    origin::Origin,
    policy::referrer_policy::ReferrerPolicy,
    request::{
        CacheMode, CredentialsMode, InitiatorType, Mode, RedirectMode, Referrer, Request,
        ResponseTainting,
    },
};

/// How many lists are remembered.
const MAX_LISTS: usize = 4;

/// How many bytes the texts of a remembered list and of what it depends on may have together.
const MAX_BYTES: usize = 8192;

/// How many of the requests whose lists are not remembered are known again. A list is remembered when it is made a second
/// time, so that requests to ever new URLs cost no copy.
const MAX_MISSED: usize = 8;

/// The settings of a profile on which header lists depend.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) user_agent: &'a HeaderValue,
    pub(super) beacon_priority: Option<&'a HeaderValue>,
    pub(super) extra_headers: &'a HeaderMap,
    /// Whether bodies of responses are decoded.
    pub(super) decodes: bool,
}

/// The latest header lists, the last one first.
#[derive(Default)]
pub(super) struct HeaderLists(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    known: VecDeque<Known>,
    /// Hashes of the latest requests whose lists were not remembered. Two requests may have the same hash.
    missed: [u64; MAX_MISSED],
    next_missed: usize,
}

/// A header list, and everything that it depends on.
struct Known {
    inputs: Inputs,
    /// The length of the body in the list.
    body_length: u64,
    /// Whether the list ends with a `Cookie` header.
    has_cookies: bool,
    list: HeaderMap,
}

impl HeaderLists {
    /// The header list of a request and the profile's settings, and then a `Cookie` header with `cookies`. `make` makes
    /// the list without that header: from the request and the settings, and from nothing else.
    pub(super) fn get_or_make(
        &self,
        settings: Settings<'_>,
        request: &Request,
        cookies: Option<HeaderValue>,
        make: impl FnOnce() -> HeaderMap,
    ) -> HeaderMap {
        let body_length = request.body_length();
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_like = |it: &&Known| {
            it.has_cookies == cookies.is_some() && it.inputs.are_of(settings, request)
        };
        if let Some(known) = lists.known.iter().find(is_like) {
            let mut list = known.list.clone();
            if body_length != known.body_length {
                list.insert(CONTENT_LENGTH, body_length.into());
            }
            if let (Some(value), Some(cookies)) = (list.get_mut(COOKIE), cookies) {
                *value = cookies;
            }
            return list;
        }
        let mut list = make();
        // A list in which a name comes twice has no one place for a new value.
        let is_simple = list.len() == list.keys_len() && !list.contains_key(COOKIE);
        let is_remembered = lists.was_missed(request) && is_simple;
        let has_cookies = cookies.is_some();
        if let Some(cookies) = cookies {
            list.append(COOKIE, cookies);
        }
        if is_remembered && let Some(inputs) = Inputs::of(settings, request, &list) {
            lists.known.truncate(MAX_LISTS - 1);
            let mut known = Known { inputs, body_length, has_cookies, list: list.clone() };
            if let Some(cookies) = known.list.get_mut(COOKIE) {
                // They are set anew each time, and are no business of this memory.
                *cookies = HeaderValue::from_static("");
            }
            lists.known.push_front(known);
        }
        list
    }
}

impl Lists {
    /// Whether the list of such a request was made lately and not remembered.
    fn was_missed(&mut self, request: &Request) -> bool {
        let mut hasher = DefaultHasher::new();
        (Arc::as_ptr(&request.client), request.current_url().as_str()).hash(&mut hasher);
        let hash = hasher.finish();
        if self.missed.contains(&hash) {
            return true;
        }
        self.missed[self.next_missed] = hash;
        self.next_missed = (self.next_missed + 1) % MAX_MISSED;
        false
    }
}

/// Everything that a header list without cookies depends on, but for the length of a body.
struct Inputs {
    /// NB: while this exists, a client is not changed in its place, and no other client has its address.
    client: Weak<Client>,
    origin: Origin,
    url: Url,
    headers: HeaderMap,
    referrer: Referrer,
    traits: Traits,
    settings: OwnedSettings,
}

impl Inputs {
    /// `None` for a redirected request, and for a list that is too long to be remembered.
    fn of(settings: Settings<'_>, request: &Request, list: &HeaderMap) -> Option<Self> {
        let [url] = request.url_list() else { return None };
        let referrer = match &request.referrer {
            Referrer::Url(url) => url.as_str().len(),
            Referrer::Client | Referrer::NoReferrer => 0,
        };
        let headers = [list, &request.headers, settings.extra_headers].into_iter().flatten();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
        let bytes = url.as_str().len() + referrer + headers.sum::<usize>();
        (bytes <= MAX_BYTES).then(|| Self {
            client: Arc::downgrade(&request.client),
            origin: request.origin.clone(),
            url: url.clone(),
            headers: request.headers.clone(),
            referrer: request.referrer.clone(),
            traits: Traits::of(request),
            settings: OwnedSettings::of(settings),
        })
    }

    fn are_of(&self, settings: Settings<'_>, request: &Request) -> bool {
        std::ptr::eq(self.client.as_ptr(), Arc::as_ptr(&request.client))
            && matches!(request.url_list(), [url] if *url == self.url)
            && self.traits == Traits::of(request)
            && self.origin == request.origin
            && self.referrer == request.referrer
            && is_same_list(&self.headers, &request.headers)
            && self.settings.are(settings)
    }
}

/// The parts of a request without text.
#[derive(PartialEq)]
struct Traits {
    method: Method,
    has_body: bool,
    initiator_type: InitiatorType,
    referrer_policy: Option<ReferrerPolicy>,
    mode: Mode,
    credentials: CredentialsMode,
    cache: CacheMode,
    redirect: RedirectMode,
    destination: Destination,
    response_tainting: ResponseTainting,
    flags: [bool; 6],
}

impl Traits {
    fn of(request: &Request) -> Self {
        // NB: each field is named, so that nobody forgets a new one.
        let Request {
            method,
            headers: _,
            unsafe_request,
            body,
            client: _,
            origin: _,
            keepalive,
            initiator_type,
            referrer: _,
            referrer_policy,
            mode,
            use_cors_preflight,
            credentials,
            cache,
            redirect,
            // No header depends on it.
            integrity_metadata: _,
            use_service_workers,
            destination,
            is_preflight,
            url_list: _,
            // Only requests with one URL are remembered.
            redirect_count: _,
            response_tainting,
            timing_allow_failed,
        } = request;
        Self {
            method: method.clone(),
            has_body: body.is_some(),
            initiator_type: *initiator_type,
            referrer_policy: *referrer_policy,
            mode: *mode,
            credentials: *credentials,
            cache: *cache,
            redirect: *redirect,
            destination: *destination,
            response_tainting: *response_tainting,
            flags: [
                *unsafe_request,
                *keepalive,
                *use_cors_preflight,
                *use_service_workers,
                *is_preflight,
                *timing_allow_failed,
            ],
        }
    }
}

/// [`Settings`] that own their values.
struct OwnedSettings {
    user_agent: HeaderValue,
    beacon_priority: Option<HeaderValue>,
    extra_headers: HeaderMap,
    decodes: bool,
}

impl OwnedSettings {
    fn of(settings: Settings<'_>) -> Self {
        let Settings { user_agent, beacon_priority, extra_headers, decodes } = settings;
        Self {
            user_agent: user_agent.clone(),
            beacon_priority: beacon_priority.cloned(),
            extra_headers: extra_headers.clone(),
            decodes,
        }
    }

    fn are(&self, settings: Settings<'_>) -> bool {
        let Settings { user_agent, beacon_priority, extra_headers, decodes } = settings;
        self.user_agent == *user_agent
            && self.beacon_priority.as_ref() == beacon_priority
            && is_same_list(&self.extra_headers, extra_headers)
            && self.decodes == decodes
    }
}

/// Whether two lists have the same headers in the same order.
fn is_same_list(a: &HeaderMap, b: &HeaderMap) -> bool {
    a.len() == b.len() && a.iter().eq(b.iter())
}
