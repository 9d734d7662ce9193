//! The fetch algorithms over a scripted network: what each hop sends to the network, and what the caller gets.

mod beacons;
mod hostile;
mod interceptor;
mod local_network_access;
mod observer;
mod page;
mod policies;
mod preflights;
mod redirects;
mod referrers;
mod requests;
mod service_workers;
mod services;
mod timing;

use sendbeacon_fetch::{NetworkError, ResponseType};
use sendbeacon_testkit::network::respond;

use page::{PAGE, Page, header, lines, redirects};

#[test]
fn a_same_origin_string_has_exactly_these_headers() {
    let page = Page::new(PAGE, |_| respond(200, &[]));
    let response = page.beacon("/b", Some("héllo".into())).unwrap();
    assert_eq!(response.response_type, ResponseType::Basic);
    let sent = page.last();
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://a.test/b"));
    assert_eq!(sent.body, "héllo");
    assert!(sent.connection.credentials);
    assert_eq!(
        lines(&sent.headers),
        [
            "host: a.test",
            "content-type: text/plain;charset=UTF-8",
            "accept: */*",
            "content-length: 6",
            "referer: https://a.test/d/page?q",
            "origin: https://a.test",
            "sec-fetch-dest: empty",
            "sec-fetch-mode: no-cors",
            "sec-fetch-site: same-origin",
            "user-agent: test/1",
            "accept-encoding: gzip, deflate, br, zstd",
            "priority: u=6",
        ]
    );
}

#[test]
fn zstd_is_only_accepted_where_no_old_proxy_can_be_in_between() {
    for (url, codings) in [
        ("http://a.test/", "gzip, deflate"),
        ("http://localhost/", "gzip, deflate, br, zstd"),
        ("https://b.test/", "gzip, deflate, br, zstd"),
    ] {
        let page = Page::new("http://a.test/", |_| respond(204, &[]));
        page.beacon(url, None).unwrap();
        assert_eq!(header(&page.last(), "accept-encoding"), Some(codings), "{url}");
    }
}

#[test]
fn a_beacon_without_a_body_has_content_length_0_and_no_type() {
    let page = Page::new(PAGE, |_| respond(204, &[]));
    page.beacon("", None).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "content-length"), Some("0"));
    assert_eq!(header(&sent, "content-type"), None);
}

#[test]
fn a_cross_origin_safelisted_type_is_not_preflighted_and_needs_no_cors() {
    let page = Page::new(PAGE, |_| respond(500, &[("set-cookie", "a=b")]));
    let response = page.beacon("https://b.test/x", Some("x".into())).unwrap();
    assert_eq!(response.response_type, ResponseType::Opaque);
    assert_eq!(response.status, 500);
    assert!(response.headers.is_empty());
    assert_eq!(response.internal_headers()["set-cookie"], "a=b");
    let sent = page.last();
    assert_eq!(header(&sent, "origin"), Some("https://a.test"));
    assert_eq!(header(&sent, "referer"), Some("https://a.test/"));
    assert_eq!(header(&sent, "sec-fetch-site"), Some("cross-site"));
    assert_eq!(page.log(), ["POST https://b.test/x"]);
}

#[test]
fn a_plain_http_request_has_no_fetch_metadata() {
    let page = Page::new("http://a.test/", |_| respond(204, &[]));
    page.beacon("x", None).unwrap();
    assert_eq!(header(&page.last(), "sec-fetch-site"), None);
    page.beacon("http://localhost/x", None).unwrap();
    assert_eq!(header(&page.last(), "sec-fetch-site"), Some("cross-site"));
}

#[test]
fn a_bad_port_is_blocked_on_every_hop() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://a.test:25/y"));
    assert_eq!(page.beacon("https://a.test:6000/", None).unwrap_err(), NetworkError::BadPort(6000));
    assert!(page.log().is_empty());
    assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::BadPort(25));
    assert_eq!(page.log().len(), 1);
}

#[test]
fn the_client_may_set_user_agent_and_accept_language() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.client.user_agent = Some(http::HeaderValue::from_static("emulated"));
    page.client.accept_language = Some(http::HeaderValue::from_static("de"));
    page.beacon("/x", None).unwrap();
    let sent = page.last();
    assert_eq!(header(&sent, "user-agent"), Some("emulated"));
    assert_eq!(header(&sent, "accept-language"), Some("de"));
}
