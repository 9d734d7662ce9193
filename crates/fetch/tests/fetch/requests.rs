//! Requests of `fetch()`: how their headers, modes and cache mode decide what is sent.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use sendbeacon_fetch::{
    CacheMode, Mode, NetworkError, RedirectFailure, RedirectMode, ResponseType,
};
use sendbeacon_testkit::network::{respond, respond_with_body};

use crate::page::{PAGE, Page, header, lines, redirects};

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
fn a_request_with_more_headers_than_it_may_have_is_a_network_error() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    let fetch = |count: usize| {
        let mut request = page.request("https://a.test/x");
        let names = (0..count).map(|number| HeaderName::try_from(format!("x-{number}")).unwrap());
        request.headers = names.map(|name| (name, HeaderValue::from_static(""))).collect();
        page.fetch(request)
    };
    assert!(fetch(1_000).is_ok());
    for count in [1_001, 24_000] {
        let error = fetch(count).unwrap_err();
        assert!(matches!(error, NetworkError::Unsendable(_)), "{error:?}");
    }
}

#[test]
fn the_cache_mode_and_conditional_headers_set_cache_control() {
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
fn the_mode_and_the_redirect_mode_of_fetch_are_respected() {
    let page = Page::new(PAGE, redirects(302, "/x", "/y"));
    let mut request = page.request("https://b.test/");
    request.mode = Mode::SameOrigin;
    assert!(matches!(page.fetch(request), Err(NetworkError::Mode(_))));
    let mut request = page.request("https://a.test/x");
    request.redirect = RedirectMode::Error;
    assert_eq!(
        page.fetch(request).unwrap_err(),
        NetworkError::Redirect(RedirectFailure::Forbidden)
    );
    let mut request = page.request("https://a.test/x");
    request.redirect = RedirectMode::Manual;
    assert_eq!(page.fetch(request).unwrap().response_type, ResponseType::OpaqueRedirect);
    let data = page.request("data:,x");
    assert!(matches!(page.fetch(data), Err(NetworkError::Mode(_))));
}

#[test]
fn a_cors_response_exposes_only_listed_and_safelisted_headers() {
    let page = Page::new(PAGE, |_| {
        let headers = [
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "X-A"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("content-type", "a/b"),
            ("set-cookie", "c=d"),
        ];
        respond_with_body(200, &headers, "body")
    });
    let response = page.fetch(page.request("https://b.test/")).unwrap();
    assert_eq!(lines(&response.headers), ["x-a: 1", "content-type: a/b"]);
    let sent = page.last();
    assert_eq!(header(&sent, "origin"), Some("https://a.test"));
    assert!(!sent.connection.credentials, "credentials mode same-origin");
}

#[test]
fn script_sees_the_status_message_of_a_response_that_is_not_opaque() {
    let page = Page::new(PAGE, |_| {
        let mut response = respond(200, &[("access-control-allow-origin", "*")])?;
        Arc::make_mut(response.info.get_or_insert_default()).status_message = b"Fine".into();
        Ok(response)
    });
    let message = |url: &str, mode: Mode| {
        let mut request = page.request(url);
        request.mode = mode;
        page.fetch(request).unwrap().status_message
    };
    assert_eq!(&*message("https://a.test/x", Mode::Cors), b"Fine");
    assert_eq!(&*message("https://b.test/x", Mode::Cors), b"Fine");
    assert_eq!(&*message("https://b.test/x", Mode::NoCors), b"");
}
