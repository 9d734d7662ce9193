//! Referrer policies: the `Referer` and `Origin` headers.

use sendbeacon_fetch::{Nonce, ReferrerPolicy};
use sendbeacon_testkit::network::respond;

use crate::page::{PAGE, Page, header};

#[test]
fn each_referrer_policy_decides_referer_and_origin() {
    use ReferrerPolicy as P;
    let (full, origin) = (Some("https://a.test/d/page?q"), Some("https://a.test/"));
    for (policy, same, cross, downgrade, origins) in [
        (P::NoReferrer, None, None, None, ["null", "null", "null"]),
        (P::NoReferrerWhenDowngrade, full, full, None, ["", "", "null"]),
        (P::SameOrigin, full, None, None, ["", "null", "null"]),
        (P::Origin, origin, origin, origin, ["", "", ""]),
        (P::StrictOrigin, origin, origin, None, ["", "", "null"]),
        (P::OriginWhenCrossOrigin, full, origin, origin, ["", "", ""]),
        (P::StrictOriginWhenCrossOrigin, full, origin, None, ["", "", "null"]),
        (P::UnsafeUrl, full, full, full, ["", "", ""]),
    ] {
        let mut page = Page::new(PAGE, |_| respond(204, &[]));
        page.client.referrer_policy = policy;
        page.client.prohibits_mixed_security_contexts = false;
        let targets = [("/x", same), ("https://b.test/", cross), ("http://b.test/", downgrade)];
        for ((url, referer), origin) in targets.into_iter().zip(origins) {
            page.beacon(url, Some("x".into())).unwrap();
            let sent = page.last();
            assert_eq!(header(&sent, "referer"), referer, "{policy:?} {url}");
            let origin = if origin.is_empty() { "https://a.test" } else { origin };
            assert_eq!(header(&sent, "origin"), Some(origin), "{policy:?} {url}");
        }
    }
}

#[test]
fn a_redirect_may_change_the_referrer_policy() {
    let page = Page::new(PAGE, |request| match request.url.path() {
        "/x" => {
            respond(307, &[("location", "/y"), ("referrer-policy", "bogus, no-referrer, bogus")])
        }
        _ => respond(204, &[]),
    });
    page.beacon("/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "referer"), None);
    assert_eq!(header(&page.last(), "origin"), Some("null"));
}

#[test]
fn a_long_referrer_is_cut_to_its_origin_and_an_opaque_origin_has_none() {
    let page = Page::new(&format!("https://a.test/{}", "x".repeat(4096)), |_| respond(204, &[]));
    page.beacon("/x", None).unwrap();
    assert_eq!(header(&page.last(), "referer"), Some("https://a.test/"));
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.client.origin = sendbeacon_fetch::Origin::Opaque(Nonce::from_u128(3));
    page.beacon("/x", Some("x".into())).unwrap();
    assert_eq!(header(&page.last(), "referer"), None);
    assert_eq!(header(&page.last(), "origin"), Some("null"));
}

#[test]
fn the_referrer_has_no_credentials_and_no_fragment() {
    let page = Page::new("https://u:p@a.test/d?q#f", |_| respond(204, &[]));
    page.beacon("/x", None).unwrap();
    assert_eq!(header(&page.last(), "referer"), Some("https://a.test/d?q"));
}
