//! Tests of redirect-taint, and of what a process that is not trusted may request.

use super::*;
use crate::Nonce;

fn taint(page: &str, hops: &[&str]) -> RedirectTaint {
    let client = Arc::new(Client::new(Url::parse(page).unwrap(), Nonce::from_u128(1)));
    let mut request = Request::new(client, Url::parse(hops[0]).unwrap());
    request.url_list.extend(hops[1..].iter().map(|hop| Url::parse(hop).unwrap().into()));
    request.redirect_taint()
}

#[test]
fn a_first_hop_to_another_origin_is_not_tainted() {
    let a = "https://a.test/";
    assert_eq!(taint(a, &["https://a.test/x"]), RedirectTaint::SameOrigin);
    assert_eq!(taint(a, &["https://a.test/x", "https://b.test/"]), RedirectTaint::SameOrigin);
    assert_eq!(taint(a, &["https://b.test/", "https://b.test/y"]), RedirectTaint::SameOrigin);
}

#[test]
fn a_confined_request_has_only_headers_whose_values_are_safelisted_together() {
    let client = Arc::new(Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1)));
    let mut request = Request::new(client, Url::parse("https://b.test/").unwrap());
    request.mode = Mode::NoCors;
    for (name, value) in [
        ("accept", "a".repeat(100)),
        ("accept", "b".repeat(100)),
        ("accept", "c".repeat(26)),
        ("content-type", "text/plain".to_owned()),
        ("content-type", "text/plain".to_owned()),
        ("x-other", "1".to_owned()),
    ] {
        request.headers.append(name, value.try_into().unwrap());
    }
    assert!(request.confine());
    let lengths = request.headers.iter().map(|(name, value)| (name.as_str(), value.len()));
    assert_eq!(
        lengths.collect::<Vec<_>>(),
        [("accept", 100), ("accept", 26), ("content-type", 10)]
    );
}

#[test]
fn leaving_another_origin_is_tainted() {
    let a = "https://a.test/";
    assert_eq!(taint(a, &["https://b.test/", a]), RedirectTaint::CrossSite);
    assert_eq!(taint(a, &["https://sub.a.test/", a]), RedirectTaint::SameSite);
    assert_eq!(taint(a, &["https://sub.a.test/", a, a]), RedirectTaint::SameSite);
    assert_eq!(
        taint(a, &["https://sub.a.test/", a, "https://b.test/", "https://c.test/"]),
        RedirectTaint::CrossSite
    );
    assert_eq!(taint("data:,x", &["https://b.test/", "https://c.test/"]), RedirectTaint::CrossSite);
}
