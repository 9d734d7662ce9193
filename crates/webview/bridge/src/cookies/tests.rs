//! Tests of the cookies that a request has and sets.

use std::sync::Mutex;

use sendbeacon::{Client, Nonce};
use sendbeacon_testkit::network::complete;

use super::*;

/// A webview with one cookie of each kind, which remembers what is stored.
#[derive(Default)]
struct Webview(Mutex<Vec<HeaderValue>>);

impl WebviewCookies for Webview {
    fn cookies(&self, webview: WebviewId, _: &Url) -> BoxFuture<'static, Vec<WebviewCookie>> {
        assert_eq!(webview, WebviewId(7));
        let cookie = |name: &str, same_site| WebviewCookie {
            name: name.to_owned(),
            value: "1".to_owned(),
            same_site,
        };
        let cookies = vec![
            cookie("strict", SameSite::Strict),
            cookie("lax", SameSite::Lax),
            cookie("none", SameSite::None),
            cookie("", SameSite::None),
        ];
        Box::pin(std::future::ready(cookies))
    }

    fn set_cookies(
        &self,
        _: WebviewId,
        _: &Url,
        set_cookie: Vec<HeaderValue>,
    ) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().extend(set_cookie);
        Box::pin(std::future::ready(()))
    }
}

fn answer<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Ready(value) => value,
        Answer::Later(future) => complete(future),
    }
}

fn client() -> Client {
    let mut client = Client::new("https://a.test/".parse().unwrap(), Nonce::from_u128(1));
    client.webview_id = 7;
    client
}

#[test]
fn a_request_has_the_cookies_that_its_mode_allows() {
    let (store, client) = (CookiesOfWebviews(Arc::<Webview>::default()), client());
    let url = Url::parse("https://sub.a.test/").unwrap();
    for (mode, cookies) in [
        (SameSiteMode::StrictOrLess, "strict=1; lax=1; none=1; 1"),
        (SameSiteMode::LaxOrLess, "lax=1; none=1; 1"),
        (SameSiteMode::UnsetOrLess, "none=1; 1"),
    ] {
        let cookie = answer(store.retrieve(CookieContext::new(&url, &client, mode)));
        assert_eq!(cookie.unwrap(), cookies);
    }
}

#[test]
fn a_third_party_has_no_cookies_and_sets_none() {
    let webview = Arc::<Webview>::default();
    let store = CookiesOfWebviews(Arc::clone(&webview) as _);
    let third = Url::parse("https://b.test/").unwrap();
    let first = Url::parse("https://a.test/").unwrap();
    let mut framed = client();
    framed.has_cross_site_ancestor = true;
    for (url, client) in [(&third, &client()), (&first, &framed)] {
        let context = CookieContext::new(url, client, SameSiteMode::UnsetOrLess);
        assert_eq!(answer(store.retrieve(context)), None);
        answer(store.store(context, vec![HeaderValue::from_static("a=1; SameSite=None")]));
    }
    assert!(webview.0.lock().unwrap().is_empty());
}

#[test]
fn a_response_after_a_cross_site_redirect_sets_only_cookies_for_all_sites() {
    let webview = Arc::<Webview>::default();
    let (store, client) = (CookiesOfWebviews(Arc::clone(&webview) as _), client());
    let url = Url::parse("https://a.test/").unwrap();
    let headers = ["a=1", "b=1; SameSite = none ", "c=1; samesite=None; SameSite=Lax"];
    let headers = headers.map(HeaderValue::from_static).to_vec();
    let context = CookieContext::new(&url, &client, SameSiteMode::UnsetOrLess);
    answer(store.store(context, headers.clone()));
    assert_eq!(*webview.0.lock().unwrap(), ["b=1; SameSite = none "]);
    answer(store.store(context.with_same_site(SameSiteMode::StrictOrLess), headers));
    assert_eq!(webview.0.lock().unwrap().len(), 4);
}
