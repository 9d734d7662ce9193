//! The TAO check: which responses let script see their timing.

use sendbeacon_fetch::CredentialsMode;
use sendbeacon_testkit::network::respond;

use crate::page::{PAGE, Page};

/// The timing allow passed flag of the response to a beacon for `url`.
///
/// Each hop has a `Location` and a `Timing-Allow-Origin`. The empty string stands for no header.
fn passes<const N: usize>(url: &str, hops: [(&'static str, &'static str); N]) -> bool {
    let mut hops = hops.into_iter();
    let page = Page::new(PAGE, move |_| {
        let (location, allowed) = hops.next().expect("no more requests than hops");
        let status = if location.is_empty() { 204 } else { 307 };
        let headers = [("location", location), ("timing-allow-origin", allowed)];
        let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
        respond(status, &headers.collect::<Vec<_>>())
    });
    page.beacon(url, Some("x".into())).unwrap().timing_allow_passed
}

#[test]
fn timing_is_allowed_same_origin_or_by_the_header() {
    const OTHER: &str = "https://b.test/x";
    assert!(passes("/x", [("", "")]));
    assert!(!passes(OTHER, [("", "")]));
    for allowed in ["*", "https://a.test", "https://c.test , https://a.test", "x,*,y"] {
        assert!(passes(OTHER, [("", allowed)]), "{allowed}");
    }
    for refused in ["https://b.test", "https://a.test/", "HTTPS://A.TEST", "\"*\"", "null", "* *"] {
        assert!(!passes(OTHER, [("", refused)]), "{refused}");
    }
}

#[test]
fn every_hop_must_allow_timing() {
    const B: &str = "https://b.test/x";
    assert!(passes("/x", [("/y", ""), ("", "")]));
    assert!(passes("/x", [(B, ""), ("", "https://a.test")]));
    assert!(!passes("/x", [(B, ""), ("", "")]));
    assert!(!passes(B, [("https://a.test/", ""), ("", "*")]), "the first hop did not allow it");
    assert!(
        passes(B, [("https://c.test/", "*"), ("", "null")]),
        "the origin is null after the redirect"
    );
    assert!(!passes(B, [("https://c.test/", "*"), ("", "https://a.test")]));
    assert!(!passes(B, [("https://a.test/", "*"), ("", "")]), "the response is not basic any more");
}

#[test]
fn a_cors_response_does_not_share_its_timing() {
    let page = Page::new(PAGE, |_| respond(200, &[("access-control-allow-origin", "*")]));
    let mut request = page.request("https://b.test/x");
    request.credentials = CredentialsMode::Omit;
    assert!(!page.fetch(request).unwrap().timing_allow_passed);
}
