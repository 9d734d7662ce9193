//! The embedder's services: what each is asked and what its answer does.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue};
use sendbeacon_fetch::{
    CacheMode, Client, CredentialsMode, InitiatorType, Mode, NetworkError, PartitionKey,
    RedirectMode, Request, ResponseType,
    fetch::{Observation, Observer, fetch},
    host::{
        Answer, AuthenticationEntries, CookieContext, CookieStore, HttpCache, InterceptedRequest,
        Interception, Interceptor, NetworkRequest, NetworkResponse, SameSiteMode,
        ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers,
    },
};
use sendbeacon_testkit::network::{complete, respond, respond_with_body};
use url::Url;

use crate::page::{CORS, PAGE, Page, header, redirects};

/// Remembers what it was asked, and has one cookie.
#[derive(Default)]
struct Cookies {
    sent_to: Mutex<Vec<(String, SameSiteMode)>>,
    set: Mutex<Vec<(String, Vec<HeaderValue>)>>,
}

impl CookieStore for Cookies {
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        self.sent_to.lock().unwrap().push((context.url.path().to_owned(), context.same_site));
        Answer::Later(Box::pin(std::future::ready(Some(HeaderValue::from_static("c=1")))))
    }

    fn store(&self, context: CookieContext<'_>, set_cookie: Vec<HeaderValue>) -> Answer<()> {
        self.set.lock().unwrap().push((context.url.path().to_owned(), set_cookie));
        Answer::Ready(())
    }
}

#[test]
fn cookies_are_sent_and_set_by_any_answer_but_not_by_preflights() {
    let mut page = Page::new(PAGE, |request| {
        let location = ("location", "https://b.test/y");
        let status = if request.url.path() == "/x" && request.method == "POST" { 307 } else { 500 };
        let status = if request.method == "OPTIONS" { 204 } else { status };
        respond(
            status,
            &[&CORS[..], &[("set-cookie", "a=1"), ("set-cookie", "b=2"), location]].concat(),
        )
    });
    let cookies = Arc::new(Cookies::default());
    page.profile.cookies = Arc::clone(&cookies) as _;
    page.json("/x").unwrap();
    let cookie = |at: usize| header(&page.network.sent()[at], "cookie").map(ToOwned::to_owned);
    assert_eq!(page.log().len(), 3);
    assert_eq!([0, 1, 2].map(cookie), [Some("c=1".into()), None, Some("c=1".into())]);
    let sent_to = cookies.sent_to.lock().unwrap().clone();
    let expected =
        [("/x".into(), SameSiteMode::StrictOrLess), ("/y".into(), SameSiteMode::UnsetOrLess)];
    assert_eq!(sent_to, expected);
    let set: Vec<_> =
        cookies.set.lock().unwrap().iter().map(|(path, set)| (path.clone(), set.len())).collect();
    assert_eq!(set, [("/x".into(), 2), ("/y".into(), 2)]);
}

#[test]
fn the_same_site_mode_looks_at_ancestors_and_at_every_hop() {
    use SameSiteMode::{StrictOrLess, UnsetOrLess};
    let mode = |page_url: &str, url: &str, ancestor: bool| {
        let mut page = Page::new(page_url, redirects(307, "/back", "https://a.test/y"));
        let cookies = Arc::new(Cookies::default());
        page.profile.cookies = Arc::clone(&cookies) as _;
        page.client.has_cross_site_ancestor = ancestor;
        page.beacon(url, None).unwrap();
        cookies.sent_to.lock().unwrap().last().unwrap().1
    };
    assert_eq!(mode(PAGE, "/x", false), StrictOrLess);
    assert_eq!(mode(PAGE, "/x", true), UnsetOrLess);
    assert_eq!(mode(PAGE, "https://sub.a.test/", false), StrictOrLess);
    assert_eq!(mode(PAGE, "https://b.test/", false), UnsetOrLess);
    assert_eq!(mode(PAGE, "https://b.test/back", false), UnsetOrLess);
    assert_eq!(mode(PAGE, "https://sub.a.test/back", false), StrictOrLess);
    assert_eq!(mode("http://a.test/", "https://a.test/", false), UnsetOrLess, "schemeful");
}

#[test]
fn no_cookies_go_with_a_request_that_omits_credentials() {
    let mut page = Page::new(PAGE, |_| respond(204, &[("set-cookie", "a=1")]));
    let cookies = Arc::new(Cookies::default());
    page.profile.cookies = Arc::clone(&cookies) as _;
    let mut request = page.request("https://a.test/x");
    request.credentials = CredentialsMode::Omit;
    page.fetch(request).unwrap();
    assert!(cookies.sent_to.lock().unwrap().is_empty() && cookies.set.lock().unwrap().is_empty());
}

struct Entries;

impl AuthenticationEntries for Entries {
    fn authorization(&self, url: &Url, _: &Client) -> Answer<Option<HeaderValue>> {
        let has_entry = url.host_str() == Some("a.test");
        Answer::Ready(has_entry.then(|| HeaderValue::from_static("Basic eDp5")))
    }
}

#[test]
fn an_authentication_entry_is_sent_to_its_own_origin_only() {
    let mut page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    page.profile.authentication_entries = Arc::new(Entries);
    page.beacon("/x", Some("x".into())).unwrap();
    let sent = page.network.sent();
    assert_eq!(header(&sent[0], "authorization"), Some("Basic eDp5"));
    assert_eq!(header(&sent[1], "authorization"), None);
}

#[test]
fn authorization_set_by_script_is_dropped_when_another_origin_is_reached() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    let mut request = page.request("https://a.test/x");
    request.headers.insert("authorization", HeaderValue::from_static("t"));
    page.fetch(request).unwrap();
    let sent = page.network.sent();
    assert_eq!(header(&sent[0], "authorization"), Some("t"));
    assert_eq!(header(&sent[1], "authorization"), None);
}

#[test]
fn a_401_is_delivered_a_407_is_an_error_and_a_421_is_tried_once_more() {
    let page = Page::new(PAGE, |_| respond(401, &[("www-authenticate", "Basic realm=x")]));
    assert_eq!(page.beacon("/x", None).unwrap().status, 401);
    assert_eq!(page.log().len(), 1);
    let page = Page::new(PAGE, |_| respond(407, &[]));
    assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::ProxyAuthentication);
    let page = Page::new(PAGE, |_| respond(421, &[]));
    assert_eq!(page.beacon("/x", Some("x".into())).unwrap().status, 421);
    let sent = page.network.sent();
    let forced: Vec<_> = sent.iter().map(|request| request.force_new_connection).collect();
    assert_eq!(forced, [false, true]);
    assert_eq!(sent[1].body, "x");
}

#[derive(Default)]
struct Cache(Mutex<Vec<String>>);

impl HttpCache for Cache {
    fn invalidate(&self, url: &Url, partition: &PartitionKey) {
        assert_eq!(partition.second_key, None);
        self.0.lock().unwrap().push(url.path().to_owned());
    }
}

#[test]
fn the_http_cache_is_told_of_unsafe_requests_that_succeeded() {
    let mut page = Page::new(PAGE, |request| match request.url.path() {
        "/x" => respond(302, &[("location", "/y")]),
        "/bad" => respond(404, &[]),
        _ => respond(200, &[]),
    });
    let cache = Arc::new(Cache::default());
    page.profile.http_cache = Arc::clone(&cache) as _;
    page.beacon("/x", None).unwrap();
    page.beacon("/bad", None).unwrap();
    assert_eq!(*cache.0.lock().unwrap(), ["/x"]);
}

/// Decides by the path.
struct Blocker;

impl Interceptor for Blocker {
    fn before_request_sent(&self, intercepted: InterceptedRequest<'_>) -> Answer<Interception> {
        let InterceptedRequest { request, headers, body, document_is_gone, is_preflight, .. } =
            intercepted;
        assert_eq!(is_preflight, request.method == "OPTIONS");
        assert!(request.keepalive);
        assert_eq!(request.initiator_type, InitiatorType::Beacon);
        assert!(document_is_gone && headers.contains_key("origin"));
        Answer::Ready(match request.current_url().path() {
            "/block" => Interception::Block,
            "/change" => {
                assert_eq!(body, "body");
                let mut headers = HeaderMap::new();
                headers.insert("x-changed", HeaderValue::from_static("1"));
                headers.insert("content-length", HeaderValue::from_static("999"));
                Interception::ContinueWith(headers)
            }
            "/respond" => Interception::Respond(respond(299, &[]).unwrap()),
            _ => Interception::Continue,
        })
    }
}

#[test]
fn an_interceptor_blocks_changes_and_answers() {
    let mut page = Page::new(PAGE, redirects(307, "/x", "/block"));
    page.profile.interceptor = Arc::new(Blocker);
    let body = || Some("body".into());
    assert_eq!(page.beacon("/x", body()).unwrap_err(), NetworkError::Intercepted);
    assert_eq!(page.beacon("/respond", body()).unwrap().status, 299);
    assert_eq!(page.log(), ["POST https://a.test/x"]);
    page.beacon("/change", body()).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "x-changed"), Some("1"));
    assert_eq!(header(&sent, "content-length"), Some("4"));
    assert_eq!(header(&sent, "origin"), None);
}

/// Answers with a type that the path names.
struct Worker;

impl ServiceWorkers for Worker {
    fn handle_fetch(&self, request: &Request) -> Answer<ServiceWorkerAnswer> {
        let filtered = match request.current_url().path() {
            "/error" => return Answer::Ready(ServiceWorkerAnswer::Error),
            "/default" => None,
            "/basic" => Some(ResponseType::Basic),
            "/cors" => Some(ResponseType::Cors),
            "/opaque" => Some(ResponseType::Opaque),
            "/opaque-redirect" => Some(ResponseType::OpaqueRedirect),
            _ => return Answer::Ready(ServiceWorkerAnswer::Network),
        };
        let from = if filtered.is_some() { "https://b.test/from" } else { "" };
        let url_list = Url::parse(from).into_iter().collect();
        let policy = ("cross-origin-resource-policy", "same-site");
        let is_tame = request.client.document_id == 0;
        let headers = [("x-secret", "1"), policy];
        let headers = if is_tame { &headers[..1] } else { &headers };
        let response = respond_with_body(200, headers, "secret").unwrap();
        let response = match filtered {
            Some(filtered) => ServiceWorkerResponse::fetched(filtered, url_list, response),
            None => ServiceWorkerResponse::new(response),
        };
        Answer::Ready(ServiceWorkerAnswer::Response(response))
    }
}

#[test]
fn what_a_service_worker_has_filtered_stays_filtered() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.service_workers = Arc::new(Worker);
    let fetch = |path: &str| {
        let mut request = page.request(&format!("https://a.test{path}"));
        request.mode = Mode::NoCors;
        page.fetch(request).unwrap()
    };
    let opaque = fetch("/opaque");
    assert_eq!((opaque.response_type, opaque.headers.len()), (ResponseType::Opaque, 0));
    assert_eq!(opaque.url_list[0].as_str(), "https://b.test/from");
    let cors = fetch("/cors");
    assert_eq!((cors.response_type, cors.headers.len()), (ResponseType::Cors, 0));
    let default = fetch("/default");
    assert_eq!((default.response_type, default.headers.len()), (ResponseType::Basic, 1));
    assert_eq!(default.url_list[0].as_str(), "https://a.test/default");
}

#[test]
fn the_resource_policy_looks_at_where_an_opaque_response_came_from() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.service_workers = Arc::new(Worker);
    page.client.document_id = 1;
    assert!(page.beacon("/basic", None).is_ok());
    assert_eq!(page.beacon("/opaque", None).unwrap_err(), NetworkError::CrossOriginResourcePolicy);
}

#[test]
fn a_service_worker_may_answer_with_a_type_that_the_mode_allows() {
    let with_worker = || {
        let mut page = Page::new(PAGE, redirects(307, "/x", "/basic"));
        page.profile.service_workers = Arc::new(Worker);
        page
    };
    let page = with_worker();
    for (path, is_allowed) in
        [("/error", false), ("/basic", true), ("/opaque", true), ("/opaque-redirect", false)]
    {
        assert_eq!(page.beacon(path, None).is_ok(), is_allowed, "{path}");
    }
    let mode = |path: &str, mode| {
        let mut request = page.request(&format!("https://a.test{path}"));
        request.mode = mode;
        page.fetch(request).is_ok()
    };
    assert!(mode("/cors", Mode::Cors) && !mode("/opaque", Mode::Cors));
    assert!(!mode("/cors", Mode::SameOrigin) && mode("/basic", Mode::SameOrigin));
    assert!(page.log().is_empty());
    // What the network redirects is not shown to it.
    page.beacon("/x", None).unwrap();
    assert_eq!(page.log(), ["POST https://a.test/x", "POST https://a.test/basic"]);
    let mut request = page.request("https://a.test/opaque-redirect");
    (request.mode, request.redirect) = (Mode::Cors, RedirectMode::Manual);
    assert!(page.fetch(request).is_ok());
}

#[test]
fn extra_headers_and_priority_are_the_embedders() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.extra_headers.insert("dnt", HeaderValue::from_static("1"));
    page.profile.extra_headers.insert("content-type", HeaderValue::from_static("never/this"));
    page.profile.beacon_priority = None;
    page.beacon("/x", Some("x".into())).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "dnt"), Some("1"));
    assert_eq!(header(&sent, "content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(header(&sent, "priority"), None);
}

#[test]
fn what_happens_on_the_way_is_observed() {
    let page = Page::new(PAGE, |request| match request.url.path() {
        "/x" => {
            let location = ("location", "https://b.test/y");
            respond(307, &[location, ("clear-site-data", "\"cookies\"")])
        }
        _ => respond(204, &CORS),
    });
    page.json("/x").unwrap();
    let log: Vec<_> = page
        .observations()
        .into_iter()
        .map(|observation| match observation {
            Observation::RequestSent { is_preflight, method, url, body, .. } => {
                let preflight = if is_preflight { "preflight " } else { "" };
                let body = String::from_utf8(body.to_vec()).unwrap();
                format!("{preflight}{method} {} {body}", url.path()).trim_end().to_owned()
            }
            Observation::ResponseStarted { is_preflight, status, .. } => {
                let preflight = if is_preflight { "preflight " } else { "" };
                format!("{preflight}{}", status.as_u16())
            }
            Observation::Redirected { url, .. } => format!("to {}", url.path()),
            Observation::ClearSiteData { value, .. } => value.to_str().unwrap().to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        log,
        [
            "POST /x {}",
            "307",
            "\"cookies\"",
            "to /y",
            "preflight OPTIONS /y",
            "preflight 204",
            "POST /y {}",
            "204"
        ]
    );
}

/// An observer that wants no copies of what is on the wire.
#[derive(Default)]
struct NotListening(Mutex<Vec<Observation>>);

impl Observer for NotListening {
    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }

    fn request_sent(&self, _: bool, _: &NetworkRequest) {}

    fn response_started(&self, _: bool, _: &Url, _: &NetworkResponse) {}

    fn document_is_gone(&self) -> bool {
        false
    }
}

#[test]
fn nothing_is_copied_from_the_wire_where_nobody_listens() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    let observer = NotListening::default();
    complete(fetch(&page.profile, &observer, Box::new(page.request("https://a.test/x")))).unwrap();
    let observations = observer.0.into_inner().unwrap();
    assert!(matches!(observations[..], [Observation::Redirected { .. }]), "{observations:?}");
    assert_eq!(page.log().len(), 2);
}

#[test]
fn a_blocker_sees_a_beacons_preflight_as_a_beacons() {
    let mut page = Page::new(PAGE, crate::page::cors_everywhere);
    page.profile.interceptor = Arc::new(Blocker);
    page.json("https://b.test/x").unwrap();
    assert_eq!(header(&page.network.sent()[0], "priority"), None, "that is the beacon's alone");
    page.json("https://b.test/block").unwrap_err();
    assert_eq!(page.log().len(), 2);
}

#[test]
fn forbidden_request_headers_of_script_are_not_sent() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    let mut request = page.request("https://a.test/x");
    request.method = http::Method::POST;
    for (name, value) in [
        ("host", "evil.test"),
        ("origin", "https://evil.test"),
        ("content-length", "999"),
        ("transfer-encoding", "chunked"),
        ("cookie", "a=b"),
        ("sec-fetch-site", "none"),
        ("x-mine", "1"),
    ] {
        request.headers.append(name, HeaderValue::from_static(value));
    }
    page.fetch(request).unwrap();
    let sent = page.last();
    for (name, value) in [
        ("host", Some("a.test")),
        ("transfer-encoding", None),
        ("cookie", None),
        ("content-length", Some("0")),
        ("origin", Some("https://a.test")),
        ("sec-fetch-site", Some("same-origin")),
        ("x-mine", Some("1")),
    ] {
        let values: Vec<_> = sent.headers.get_all(name).iter().collect();
        assert_eq!(values, value.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_cache_mode_and_conditions_ask_caches_on_the_way() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    let sent = |cache, name: &'static str| {
        let mut request = page.request("https://a.test/x");
        request.cache = cache;
        request.headers.insert(name, HeaderValue::from_static("x"));
        page.fetch(request).map(|_| {
            let sent = page.last();
            let value = |name| header(&sent, name).unwrap_or_default().to_owned();
            [value("cache-control"), value("pragma")]
        })
    };
    let none = ["", ""].map(ToOwned::to_owned);
    let no_cache = ["no-cache", "no-cache"].map(ToOwned::to_owned);
    assert_eq!(sent(CacheMode::Default, "x-a").unwrap(), none);
    assert_eq!(sent(CacheMode::ForceCache, "x-a").unwrap(), none);
    assert_eq!(sent(CacheMode::Default, "if-none-match").unwrap(), no_cache);
    assert_eq!(sent(CacheMode::NoStore, "x-a").unwrap(), no_cache);
    assert_eq!(sent(CacheMode::Reload, "x-a").unwrap(), no_cache);
    assert_eq!(sent(CacheMode::NoCache, "x-a").unwrap()[0], "max-age=0");
    assert_eq!(sent(CacheMode::Reload, "cache-control").unwrap()[0], "x");
    sent(CacheMode::Default, "range").unwrap();
    assert_eq!(header(&page.last(), "accept-encoding"), Some("identity"));
    assert!(sent(CacheMode::OnlyIfCached, "x-a").is_err());
}

#[test]
fn fetch_preflights_what_needs_it_without_being_told() {
    let page = Page::new(PAGE, crate::page::cors_everywhere);
    let mut request = page.request("https://b.test/x");
    request.method = http::Method::DELETE;
    page.fetch(request).unwrap_err();
    assert_eq!(page.log(), ["OPTIONS https://b.test/x"]);
}
