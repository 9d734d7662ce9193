//! The embedder's `ServiceWorkers`: which of their responses a fetch accepts, and how it treats them.

use std::sync::Arc;

use sendbeacon_fetch::{
    Mode, NetworkError, RedirectMode, Request, ResponseType,
    host::{Answer, ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers},
};
use sendbeacon_testkit::network::{respond, respond_with_body};
use url::Url;

use crate::page::{PAGE, Page, redirects};

/// Answers with a response of the type that the path names.
///
/// The response has a `Cross-Origin-Resource-Policy` unless the document's identifier is 0.
struct Worker;

impl ServiceWorkers for Worker {
    fn handle_fetch(&self, request: &Request) -> Answer<ServiceWorkerAnswer> {
        let filtered = match request.current_url().path() {
            "/error" => return Answer::Ready(ServiceWorkerAnswer::Error),
            "/default" => None,
            "/basic" => Some(ResponseType::Basic),
            "/cors" => Some(ResponseType::Cors),
            "/opaque" => Some(ResponseType::Opaque),
            "/opaque-redirect" => Some(ResponseType::OpaqueRedirect),
            _ => return Answer::Ready(ServiceWorkerAnswer::Network),
        };
        let from = if filtered.is_some() { "https://b.test/from" } else { "" };
        let url_list = Url::parse(from).into_iter().collect();
        let policy = ("cross-origin-resource-policy", "same-site");
        let is_tame = request.client.document_id == 0;
        let headers = [("x-secret", "1"), policy];
        let headers = if is_tame { &headers[..1] } else { &headers };
        let response = respond_with_body(200, headers, "secret").unwrap();
        let response = match filtered {
            Some(filtered) => ServiceWorkerResponse::fetched(filtered, url_list, response),
            None => ServiceWorkerResponse::new(response),
        };
        Answer::Ready(ServiceWorkerAnswer::Response(response))
    }
}

#[test]
fn a_filtered_response_of_a_service_worker_stays_filtered() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.service_workers = Arc::new(Worker);
    let fetch = |path: &str| {
        let mut request = page.request(&format!("https://a.test{path}"));
        request.mode = Mode::NoCors;
        page.fetch(request).unwrap()
    };
    let opaque = fetch("/opaque");
    assert_eq!((opaque.response_type, opaque.headers.len()), (ResponseType::Opaque, 0));
    assert_eq!(opaque.url_list[0].as_str(), "https://b.test/from");
    let cors = fetch("/cors");
    assert_eq!((cors.response_type, cors.headers.len()), (ResponseType::Cors, 0));
    let default = fetch("/default");
    assert_eq!((default.response_type, default.headers.len()), (ResponseType::Basic, 1));
    assert_eq!(default.url_list[0].as_str(), "https://a.test/default");
}

#[test]
fn the_resource_policy_check_uses_the_url_of_an_opaque_response() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.service_workers = Arc::new(Worker);
    page.client.document_id = 1;
    assert!(page.beacon("/basic", None).is_ok());
    assert_eq!(page.beacon("/opaque", None).unwrap_err(), NetworkError::CrossOriginResourcePolicy);
}

#[test]
fn a_service_worker_response_needs_a_type_that_the_mode_allows() {
    let with_worker = || {
        let mut page = Page::new(PAGE, redirects(307, "/x", "/basic"));
        page.profile.service_workers = Arc::new(Worker);
        page
    };
    let page = with_worker();
    for (path, is_allowed) in
        [("/error", false), ("/basic", true), ("/opaque", true), ("/opaque-redirect", false)]
    {
        assert_eq!(page.beacon(path, None).is_ok(), is_allowed, "{path}");
    }
    let mode = |path: &str, mode| {
        let mut request = page.request(&format!("https://a.test{path}"));
        request.mode = mode;
        page.fetch(request).is_ok()
    };
    assert!(mode("/cors", Mode::Cors) && !mode("/opaque", Mode::Cors));
    assert!(!mode("/cors", Mode::SameOrigin) && mode("/basic", Mode::SameOrigin));
    assert!(page.log().is_empty());
    // A request that the network redirects does not go to the service worker again.
    page.beacon("/x", None).unwrap();
    assert_eq!(page.log(), ["POST https://a.test/x", "POST https://a.test/basic"]);
    let mut request = page.request("https://a.test/opaque-redirect");
    (request.mode, request.redirect) = (Mode::Cors, RedirectMode::Manual);
    assert!(page.fetch(request).is_ok());
}
