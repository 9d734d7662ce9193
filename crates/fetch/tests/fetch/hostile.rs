//! Arbitrary bytes from a page or a server: no panic, but always a response or a network error.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use sendbeacon_fetch::{
    Blob, BodyInit, CspDisposition, KeepaliveLimits, Ledger, ReferrerPolicy, host::NetworkResponse,
};
use sendbeacon_testkit::random::Zeros;

use crate::page::{PAGE, Page, cors_everywhere};

/// Header values: random bytes, or random sequences of tokens that headers use.
fn value() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 19] = [
        b"*",
        b",",
        b";",
        b"\"",
        b"=",
        b"https://a.test",
        b"http://b.test:25/",
        b"//c.test",
        b"null",
        b"true",
        b"content-type",
        b"max-age",
        b"99999999999999999999",
        b"no-referrer",
        b"same-origin",
        b"data:,",
        b"%",
        b"\xff",
        b" ",
    ];
    let piece = (0..PIECES.len()).prop_map(|at| PIECES[at]);
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    const NAMES: [&str; 10] = [
        "location",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-max-age",
        "referrer-policy",
        "strict-transport-security",
        "cross-origin-resource-policy",
        "clear-site-data",
    ];
    proptest::collection::vec((0..NAMES.len(), value()), 0..6).prop_map(|list| {
        list.into_iter()
            .filter_map(|(name, value)| {
                let name = HeaderName::from_static(NAMES[name]);
                HeaderValue::from_bytes(&value).ok().map(|value| (name, value))
            })
            .collect()
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(200),
        Just(204),
        Just(301),
        Just(303),
        Just(307),
        Just(401),
        Just(421),
        200u16..1000
    ]
}

proptest! {
    #[test]
    fn any_responses_end_in_a_response_or_a_network_error(
        answers in proptest::collection::vec((status(), headers()), 1..8),
        is_json in any::<bool>(),
    ) {
        let mut answers = answers.into_iter().cycle();
        let page = Page::new(PAGE, move |_| {
            let (status, headers) = answers.next().expect("a cycle");
            let status = StatusCode::from_u16(status).expect("three digits");
            Ok(NetworkResponse::new(status, headers, Box::pin(None)))
        });
        let json = Blob::new("{}", "application/json");
        for url in ["/x", "https://b.test/x"] {
            let data = if is_json { BodyInit::Blob(&json) } else { "x".into() };
            let _ = page.beacon(url, Some(data));
        }
        // Two beacons, each with at most 21 hops. A hop may have a preflight, and a 421 repeats a request.
        prop_assert!(page.log().len() <= 2 * 2 * 2 * 21);
    }

    #[test]
    fn any_csp_text_allows_or_blocks(policy in ".{0,60}|[a-z'*:/. ;,-]{0,80}", url in "[a-z:/.@?#%\\\\ 0-9\\[\\]]{0,30}") {
        let mut page = Page::new(PAGE, cors_everywhere);
        page.client.csp_list.push_header(&policy, CspDisposition::Enforce);
        page.client.csp_list.push_header(&policy, CspDisposition::Report);
        page.client.csp_list.push_meta(&policy);
        let client = std::sync::Arc::new(page.client.clone());
        let ledger = Ledger::new(KeepaliveLimits::default());
        let admitted = sendbeacon_fetch::beacon::send_beacon(&client, &ledger, &Zeros, &url, None);
        if let Ok(Some(beacon)) = admitted {
            let _ = page.fetch(beacon.into_request().0);
        }
    }

    #[test]
    fn any_referrer_policy_header_is_a_policy_or_none(value in value()) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert("referrer-policy", value);
        }
        let _ = ReferrerPolicy::parse_header(&headers);
    }

    #[test]
    fn any_blob_type_is_a_header_value_or_none(type_ in ".{0,200}") {
        let page = Page::new(PAGE, cors_everywhere);
        page.beacon("https://b.test/", Some((&Blob::new("x", &type_)).into())).unwrap();
    }
}
