//! The embedder's services for cookies, authentication entries, the HTTP cache and headers.

use std::sync::{Arc, Mutex};

use http::HeaderValue;
use sendbeacon_fetch::{
    Client, CredentialsMode, NetworkError, PartitionKey,
    host::{Answer, AuthenticationEntries, CookieContext, CookieStore, HttpCache, SameSiteMode},
};
use sendbeacon_testkit::network::respond;
use url::Url;

use crate::page::{CORS, PAGE, Page, header, redirects};

/// A store with one cookie. It remembers the calls.
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
fn cookies_are_sent_and_stored_on_every_hop_but_not_by_preflights() {
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
fn the_same_site_mode_depends_on_ancestors_and_on_the_current_url() {
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
    assert_eq!(mode(PAGE, "https://b.test/back", false), StrictOrLess);
    assert_eq!(mode(PAGE, "https://b.test/back", true), UnsetOrLess);
    assert_eq!(mode(PAGE, "https://sub.a.test/back", false), StrictOrLess);
    assert_eq!(mode("http://a.test/", "https://a.test/", false), UnsetOrLess, "schemeful");
}

#[test]
fn a_request_that_omits_credentials_has_no_cookies() {
    let mut page = Page::new(PAGE, |_| respond(204, &[("set-cookie", "a=1")]));
    let cookies = Arc::new(Cookies::default());
    page.profile.cookies = Arc::clone(&cookies) as _;
    let mut request = page.request("https://a.test/x");
    request.credentials = CredentialsMode::Omit;
    page.fetch(request).unwrap();
    assert!(cookies.sent_to.lock().unwrap().is_empty() && cookies.set.lock().unwrap().is_empty());
}

/// Has an entry for `a.test` only.
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
fn authorization_of_script_is_dropped_on_a_redirect_to_another_origin() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    let mut request = page.request("https://a.test/x");
    request.headers.insert("authorization", HeaderValue::from_static("t"));
    page.fetch(request).unwrap();
    let sent = page.network.sent();
    assert_eq!(header(&sent[0], "authorization"), Some("t"));
    assert_eq!(header(&sent[1], "authorization"), None);
}

#[test]
fn a_401_is_returned_a_407_is_an_error_and_a_421_is_retried_once() {
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

/// Remembers the paths of the URLs that it is told to invalidate.
#[derive(Default)]
struct Cache(Mutex<Vec<String>>);

impl HttpCache for Cache {
    fn invalidate(&self, url: &Url, partition: &PartitionKey) {
        assert_eq!(partition.second_key, None);
        self.0.lock().unwrap().push(url.path().to_owned());
    }
}

#[test]
fn a_successful_unsafe_request_invalidates_the_http_cache() {
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

#[test]
fn the_embedder_sets_extra_headers_and_the_priority() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.extra_headers.insert("dnt", HeaderValue::from_static("1"));
    page.profile.extra_headers.insert("content-type", HeaderValue::from_static("never/this"));
    for value in ["one", "two"] {
        page.profile.extra_headers.append("x-extra", HeaderValue::from_static(value));
    }
    page.profile.beacon_priority = None;
    page.beacon("/x", Some("x".into())).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "dnt"), Some("1"));
    assert_eq!(header(&sent, "content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(header(&sent, "priority"), None);
    let extra: Vec<_> = sent.headers.get_all("x-extra").iter().collect();
    assert_eq!(extra, ["one", "two"]);
}
