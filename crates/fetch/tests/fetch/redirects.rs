//! Redirects: what each hop sends, and which redirects fail.

use sendbeacon_fetch::{NetworkError, RedirectFailure};
use sendbeacon_testkit::network::respond;

use crate::page::{PAGE, Page, header, redirects};

#[test]
fn redirects_307_and_308_send_the_body_again() {
    for status in [307, 308] {
        let page = Page::new(PAGE, redirects(status, "/x", "/y"));
        let response = page.beacon("/x", Some("body".into())).unwrap();
        assert_eq!(page.log(), ["POST https://a.test/x", "POST https://a.test/y"]);
        let sent = page.last();
        assert_eq!(sent.body, "body");
        assert_eq!(header(&sent, "content-type"), Some("text/plain;charset=UTF-8"));
        assert_eq!(response.url_list.len(), 2);
    }
}

#[test]
fn redirects_301_302_and_303_become_get_without_a_body() {
    for status in [301, 302, 303] {
        let page = Page::new(PAGE, redirects(status, "/x", "/y"));
        page.beacon("/x", Some("body".into())).unwrap();
        assert_eq!(page.log(), ["POST https://a.test/x", "GET https://a.test/y"]);
        let sent = page.last();
        assert!(sent.body.is_empty());
        for absent in ["content-type", "content-length", "origin"] {
            assert_eq!(header(&sent, absent), None, "{status} {absent}");
        }
    }
}

#[test]
fn origin_is_null_only_after_a_redirect_from_another_origin() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://c.test/y"));
    page.beacon("/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "origin"), Some("https://a.test"));
    page.beacon("https://b.test/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "origin"), Some("null"));
    assert_eq!(header(&page.last(), "sec-fetch-site"), Some("cross-site"));
}

#[test]
fn a_redirect_to_another_origin_is_preflighted_if_the_type_needs_it() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    page.json("/x").unwrap();
    assert_eq!(
        page.log(),
        ["POST https://a.test/x", "OPTIONS https://b.test/y", "POST https://b.test/y"]
    );
}

#[test]
fn the_twenty_first_redirect_is_an_error() {
    for (redirects, ok) in [(20, true), (21, false)] {
        let mut left = redirects;
        let page = Page::new(PAGE, move |_| {
            left -= 1;
            if left >= 0 { respond(307, &[("location", "")]) } else { respond(204, &[]) }
        });
        let result = page.beacon("/x", None).map(drop);
        let too_many = Err(NetworkError::Redirect(RedirectFailure::TooMany));
        assert_eq!(result, if ok { Ok(()) } else { too_many });
        assert_eq!(page.log().len(), 21);
    }
}

#[test]
fn a_redirect_without_a_usable_location_is_returned_or_an_error() {
    let page = Page::new(PAGE, |_| respond(307, &[]));
    assert_eq!(page.beacon("/x", None).unwrap().status, 307);
    for (location, failure) in [
        ("ftp://a.test/", RedirectFailure::NotHttp),
        ("data:,x", RedirectFailure::NotHttp),
        ("http://[", RedirectFailure::InvalidLocation),
    ] {
        let page = Page::new(PAGE, move |_| respond(307, &[("location", location)]));
        assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::Redirect(failure));
    }
}

#[test]
fn credentials_in_location_are_refused_for_cors_requests() {
    let credentials = "https://u:p@b.test/y";
    let page = Page::new(PAGE, redirects(307, "/x", credentials));
    assert!(page.beacon("/x", Some("x".into())).is_ok());
    assert_eq!(page.json("/x").unwrap_err(), NetworkError::Redirect(RedirectFailure::Credentials));
    let page = Page::new(PAGE, redirects(307, "/x", "https://u:p@a.test/y"));
    assert!(page.json("/x").is_ok(), "same origin");
    assert_eq!(
        page.json("https://b.test/x").unwrap_err(),
        NetworkError::Redirect(RedirectFailure::Credentials),
        "back from another origin"
    );
}
