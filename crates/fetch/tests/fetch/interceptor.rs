//! The embedder's `Interceptor`: it sees each request, and may block, change or answer it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use sendbeacon_fetch::{
    InitiatorType, NetworkError,
    host::{Answer, InterceptedRequest, Interception, Interceptor},
};
use sendbeacon_testkit::network::respond;

use crate::page::{PAGE, Page, cors_everywhere, header, redirects};

/// Decides by the path of the URL.
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
fn an_interceptor_can_block_change_or_answer_a_request() {
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

#[test]
fn an_interceptor_sees_a_preflight_with_the_beacons_initiator_type() {
    let mut page = Page::new(PAGE, cors_everywhere);
    page.profile.interceptor = Arc::new(Blocker);
    page.json("https://b.test/x").unwrap();
    assert_eq!(header(&page.network.sent()[0], "priority"), None, "only the beacon has a priority");
    page.json("https://b.test/block").unwrap_err();
    assert_eq!(page.log().len(), 2);
}
