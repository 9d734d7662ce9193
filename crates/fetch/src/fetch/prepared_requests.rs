//! The requests of the latest beacons that were answered, for the next beacons like them.
//!
//! Much of what fetch does to the request of a beacon follows from its client, the origin of its URL and its content type,
//! and from the settings of the profile. If these are the same, a beacon may get the request of an earlier one, with its own
//! body and its own URL. If the URL is another one, the request has to pass the policies again. For each beacon, fetch asks
//! anew whatever can change between two beacons: HSTS, service workers, cookies, authentication entries, the interceptor,
//! the CORS-preflight cache, and the network.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use sendbeacon_cookies::Missed;
use url::{Position, Url};

use crate::{
    client::Client,
    nonce::Nonce,
    origin::same_origin,
    preparation::{Preparation, Use},
    request::{Referrer, Request, ResponseTainting},
};

/// How many requests are kept. NB: several of them may be equal, because as many equal beacons may be under way at once.
const MAX_REQUESTS: usize = 32;

/// How many bytes the texts of a kept request may have together, beside its header lists, which have a limit of their own.
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
    /// The latest URLs and origins, each with its client, for which no request was found here. A request is kept only if its
    /// URL or its origin is among them already, so that beacons to ever new origins pay little.
    missed_urls: Missed,
    missed_origins: Missed,
}

/// What there is for a beacon.
pub(super) enum Prepared {
    /// The request of an earlier beacon. Its body is not set.
    Request(Box<Request>),
    /// Nothing: a request has to be made, for this use.
    Nothing(Use),
}

struct KeptRequest {
    /// The request's own client. NB: while this exists, the client is not changed in its place, and no other client has its
    /// address.
    client: Weak<Client>,
    request: Box<Request>,
}

/// The client in each kept request. So a kept request does not keep its own client, which may be large.
static NOBODY: LazyLock<Arc<Client>> = LazyLock::new(|| {
    let url = Url::parse("about:blank").expect("this is a URL");
    Arc::new(Client::new(url, Nonce::from_u128(0)))
});

impl PreparedRequests {
    /// Takes the request of an earlier beacon of this client, with this content type and this URL. If the URL is new, takes
    /// the request of a beacon to another new URL of the same origin instead, and sets this URL in it.
    ///
    /// NB: a URL that comes again gets a request of its own, which need not pass the policies each time.
    pub(super) fn take(
        &self,
        settings: Settings<'_>,
        client: &Arc<Client>,
        url: &Arc<Url>,
        content_type: Option<&HeaderValue>,
    ) -> Prepared {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.settings.as_ref().is_some_and(|it| it.are(settings)) {
            *kept = Kept { settings: Some(settings.into()), ..Kept::default() };
        }
        let is_like = |it: &KeptRequest| {
            std::ptr::eq(it.client.as_ptr(), Arc::as_ptr(client))
                && it.request.headers.get(CONTENT_TYPE) == content_type
        };
        let Kept { requests, missed_urls, missed_origins, .. } = &mut *kept;
        let own = requests.iter().position(|it| it.request.url() == url && is_like(it));
        let at = match own {
            Some(at) => Some(at),
            None if missed_urls.came_before((Arc::as_ptr(client), &**url)) => {
                return Prepared::Nothing(Use::Url);
            }
            None => requests.iter().position(|it| {
                it.request.preparation.used_for == Use::Origin
                    && same_origin(it.request.url(), url)
                    && is_like(it)
            }),
        };
        let Some(KeptRequest { mut request, .. }) = at.and_then(|at| requests.remove(at)) else {
            let host = &url[Position::BeforeHost..Position::AfterPort];
            let is_repeated = missed_origins.came_before((Arc::as_ptr(client), url.scheme(), host));
            return Prepared::Nothing(if is_repeated { Use::Origin } else { Use::Once });
        };
        drop(kept);
        // NB: each field is named, so that nobody forgets a new one.
        let Request {
            client: of_request,
            use_service_workers,
            response_tainting,
            timing_allow_failed,
            preparation,
            url_list,
            // The caller sets it.
            body: _,
            // Those by which the request was found, and those that follow from them and from the origin of the URL.
            headers: _,
            mode: _,
            origin: _,
            referrer: _,
            referrer_policy: _,
            // The same in all beacons that were not redirected.
            method: _,
            unsafe_request: _,
            keepalive: _,
            initiator_type: _,
            use_cors_preflight: _,
            credentials: _,
            cache: _,
            redirect: _,
            integrity_metadata: _,
            destination: _,
            is_preflight: _,
            redirect_count: _,
        } = &mut *request;
        *of_request = Arc::clone(client);
        // Fetch has set these for the earlier beacon.
        *use_service_workers = true;
        *response_tainting = ResponseTainting::Basic;
        *timing_allow_failed = false;
        if own.is_some() {
            preparation.used_for = Use::Url;
        } else {
            url_list.fill(Arc::clone(url));
            preparation.has_passed = false;
        }
        preparation.header_lists.get_or_insert_default();
        Prepared::Request(request)
    }

    /// Keeps the request of a beacon that was answered, if it is repeated and not too long, and if it is still as it was
    /// before HSTS.
    pub(super) fn give_back(&self, mut request: Box<Request>) {
        let Preparation { used_for, has_passed, header_lists } = &request.preparation;
        // It was kept before, with the same URL.
        let is_known = *used_for == Use::Url && header_lists.is_some();
        let is_short = || text_bytes(&request) <= MAX_BYTES;
        if *used_for == Use::Once || !has_passed || !(is_known || is_short()) {
            return;
        }
        let client = std::mem::replace(&mut request.client, Arc::clone(&NOBODY));
        request.body = None;
        if let Some(header_lists) = &mut request.preparation.header_lists {
            header_lists.forget_cookies();
        }
        let client = Arc::downgrade(&client);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut surplus = VecDeque::new();
        if kept.requests.len() >= MAX_REQUESTS {
            // Those whose client has gone are like no beacon any more.
            let is_useful = |it: &KeptRequest| it.client.strong_count() > 0;
            let (useful, useless) = kept.requests.drain(..).partition(is_useful);
            (kept.requests, surplus) = (useful, useless);
            if surplus.is_empty() {
                surplus.extend(kept.requests.pop_back());
            }
        }
        kept.requests.push_front(KeptRequest { client, request });
        // The lock is dropped first, so that nothing is freed while it is held.
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

#[cfg(test)]
mod tests {
    use http::header::DNT;

    use super::*;
    use crate::beacon::Beacon;

    static USER_AGENT: HeaderValue = HeaderValue::from_static("test");

    fn settings(extra_headers: &HeaderMap) -> Settings<'_> {
        Settings {
            user_agent: &USER_AGENT,
            accept_language: None,
            beacon_priority: None,
            extra_headers,
            decodes: false,
        }
    }

    fn client() -> Arc<Client> {
        let url = Url::parse("https://a.test/").expect("a URL");
        Arc::new(Client::new(url, Nonce::from_u128(1)))
    }

    fn url(path: &str) -> Arc<Url> {
        let url = Url::parse("https://a.test/").and_then(|base| base.join(path));
        url.expect("a URL").into()
    }

    /// Keeps the request of a beacon that was answered and is repeated.
    fn keep(requests: &PreparedRequests, client: &Arc<Client>, path: &str) {
        let mut request = Box::new(Beacon::request(Arc::clone(client), url(path), None));
        request.preparation.used_for = Use::Origin;
        request.preparation.has_passed = true;
        requests.give_back(request);
    }

    fn take(requests: &PreparedRequests, client: &Arc<Client>, path: &str) -> bool {
        let prepared = requests.take(settings(&HeaderMap::new()), client, &url(path), None);
        matches!(prepared, Prepared::Request(_))
    }

    /// An empty memory that knows its settings.
    fn requests() -> PreparedRequests {
        let requests = PreparedRequests::default();
        assert!(!take(&requests, &client(), "/"));
        requests
    }

    #[test]
    fn a_request_is_used_once_and_for_beacons_like_its_own_only() {
        let (requests, of_page) = (requests(), client());
        keep(&requests, &of_page, "/x");
        for other_origin in ["//b.test/x", "//a.test:444/x", "http://a.test/x"] {
            assert!(!take(&requests, &of_page, other_origin), "{other_origin}");
        }
        assert!(!take(&requests, &Arc::new(Client::clone(&of_page)), "/x"));
        let text = HeaderValue::from_static("text/plain");
        let headers = HeaderMap::new();
        let other = requests.take(settings(&headers), &of_page, &url("/x"), Some(&text));
        assert!(matches!(other, Prepared::Nothing(_)));
        assert!(take(&requests, &of_page, "/x"));
        assert!(!take(&requests, &of_page, "/x"));
    }

    /// What there is for a beacon of this client: whether its request has passed the policies, or what a new one is for.
    fn prepared(
        requests: &PreparedRequests,
        client: &Arc<Client>,
        path: &str,
    ) -> Result<bool, Use> {
        match requests.take(settings(&HeaderMap::new()), client, &url(path), None) {
            Prepared::Request(request) => {
                assert_eq!(request.url_list(), [url(path)]);
                Ok(request.preparation.has_passed)
            }
            Prepared::Nothing(used_for) => Err(used_for),
        }
    }

    #[test]
    fn a_request_passes_the_policies_again_for_another_url_of_the_origin() {
        let (requests, of_page) = (requests(), client());
        keep(&requests, &of_page, "/x");
        keep(&requests, &of_page, "/y?z");
        assert_eq!(prepared(&requests, &of_page, "/x"), Ok(true));
        assert_eq!(prepared(&requests, &of_page, "/z"), Ok(false));
        assert!(prepared(&requests, &of_page, "/new").is_err(), "there is none left");
    }

    #[test]
    fn a_url_that_comes_again_has_a_request_of_its_own() {
        let (requests, of_page) = (PreparedRequests::default(), client());
        for i in 0..100 {
            for (path, passed) in [("/x".to_owned(), true), (format!("/x?{i}"), false)] {
                let headers = HeaderMap::new();
                let mut request =
                    match requests.take(settings(&headers), &of_page, &url(&path), None) {
                        Prepared::Request(request) => {
                            assert_eq!(request.preparation.has_passed, passed, "{path}");
                            request
                        }
                        Prepared::Nothing(used_for) => {
                            assert!(i < 2, "{path}");
                            let client = Arc::clone(&of_page);
                            let mut request = Box::new(Beacon::request(client, url(&path), None));
                            request.preparation.used_for = used_for;
                            request
                        }
                    };
                request.preparation.has_passed = true;
                requests.give_back(request);
            }
        }
        assert_eq!(requests.0.lock().unwrap().requests.len(), 2);
    }

    #[test]
    fn a_client_that_has_changed_is_another_one() {
        let (requests, mut of_page) = (requests(), client());
        keep(&requests, &of_page, "/x");
        // The requests have no client of their own, so it would be changed in its place.
        Arc::make_mut(&mut of_page).cookies_disabled = true;
        assert!(!take(&requests, &of_page, "/x"));
    }

    #[test]
    fn other_settings_end_all_requests() {
        let (requests, of_page) = (requests(), client());
        keep(&requests, &of_page, "/x");
        let extra = HeaderMap::from_iter([(DNT, HeaderValue::from_static("1"))]);
        let other = requests.take(settings(&extra), &of_page, &url("/x"), None);
        assert!(matches!(other, Prepared::Nothing(_)));
        assert!(!take(&requests, &of_page, "/x"));
    }

    #[test]
    fn a_request_is_kept_for_what_its_client_repeats() {
        let (requests, of_page, of_other) = (PreparedRequests::default(), client(), client());
        assert_eq!(prepared(&requests, &of_page, "/x"), Err(Use::Once));
        assert_eq!(prepared(&requests, &of_other, "/x"), Err(Use::Once));
        assert_eq!(prepared(&requests, &of_page, "//b.test/x"), Err(Use::Once));
        assert_eq!(prepared(&requests, &of_page, "/y"), Err(Use::Origin));
        assert_eq!(prepared(&requests, &of_page, "/y"), Err(Use::Url));
    }

    #[test]
    fn a_full_memory_gives_up_dead_clients_first_and_then_the_oldest() {
        let (requests, of_page) = (requests(), client());
        keep(&requests, &of_page, "//oldest.test/");
        keep(&requests, &client(), "//of-a-document-that-has-gone.test/");
        for i in 2..=MAX_REQUESTS {
            keep(&requests, &of_page, &format!("//{i}.example/"));
        }
        assert!(take(&requests, &of_page, "//oldest.test/"));
        keep(&requests, &of_page, "//newest.test/");
        keep(&requests, &of_page, "//newer.test/");
        assert!(!take(&requests, &of_page, "//2.example/"));
        assert!(take(&requests, &of_page, "//3.example/"));
    }

    #[test]
    fn a_long_request_is_not_kept() {
        let (requests, of_page) = (requests(), client());
        let path = "x".repeat(MAX_BYTES);
        keep(&requests, &of_page, &path);
        assert!(!take(&requests, &of_page, &path));
    }
}
