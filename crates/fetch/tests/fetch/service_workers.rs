//! The embedder's `ServiceWorkers`: which of their responses a fetch accepts, and how it treats them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use sendbeacon_fetch::{
    CredentialsMode, EmbedderPolicy, Mode, NetworkError, RedirectFailure, RedirectMode, Request,
    ResponseType,
    fetch::Observation,
    host::{Answer, NetworkResponse, ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers},
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

/// A service worker whose own fetch has exposed one header of two.
struct Exposing;

impl ServiceWorkers for Exposing {
    fn handle_fetch(&self, _: &Request) -> Answer<ServiceWorkerAnswer> {
        let headers = [("access-control-expose-headers", "*"), ("x-seen", "1"), ("x-secret", "1")];
        let url_list = vec![Url::parse("https://b.test/from").unwrap()];
        let response = respond(200, &headers).unwrap();
        let mut response = ServiceWorkerResponse::fetched(ResponseType::Cors, url_list, response);
        response.cors_exposed_header_names = vec![HeaderName::from_static("x-seen")];
        Answer::Ready(ServiceWorkerAnswer::Response(response))
    }
}

#[test]
fn a_response_of_a_service_worker_exposes_the_headers_that_it_exposed_to_the_worker() {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.service_workers = Arc::new(Exposing);
    let response = page.fetch(page.request("https://b.test/")).unwrap();
    assert_eq!(response.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-seen"]);
    assert_eq!(response.internal_headers().len(), 3);
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

/// Answers each request with a copy of one answer.
struct Answers(fn() -> ServiceWorkerResponse);

impl ServiceWorkers for Answers {
    fn handle_fetch(&self, _: &Request) -> Answer<ServiceWorkerAnswer> {
        Answer::Ready(ServiceWorkerAnswer::Response(self.0()))
    }
}

/// A page whose service worker gives this answer to each request.
fn answered_by(answer: fn() -> ServiceWorkerResponse) -> Page {
    let mut page = Page::new(PAGE, |_| respond(204, &[]));
    page.profile.service_workers = Arc::new(Answers(answer));
    page
}

/// An opaque response that the worker fetched from `url`.
fn opaque(status: u16, url: &str) -> ServiceWorkerResponse {
    let response = respond(status, &[]).unwrap();
    let url = Url::parse(url).unwrap();
    ServiceWorkerResponse::fetched(ResponseType::Opaque, vec![url], response)
}

/// A changed response.
fn with(
    mut response: ServiceWorkerResponse,
    change: fn(&mut ServiceWorkerResponse),
) -> ServiceWorkerResponse {
    change(&mut response);
    response
}

#[test]
fn a_response_from_an_insecure_url_is_mixed_content() {
    let page = answered_by(|| opaque(200, "http://b.test/"));
    assert_eq!(page.beacon("/x", None).unwrap_err(), NetworkError::MixedContent);
    let page = answered_by(|| opaque(200, "http://localhost/"));
    assert!(page.beacon("/x", None).is_ok());
    let mut page = answered_by(|| opaque(200, "http://b.test/"));
    page.client.prohibits_mixed_security_contexts = false;
    assert!(page.beacon("/x", None).is_ok());
    // A response that the worker made has the request's URL.
    let page = answered_by(|| ServiceWorkerResponse::new(respond(200, &[]).unwrap()));
    assert!(page.beacon("/x", None).is_ok());
}

#[test]
fn a_credentialless_document_needs_a_policy_from_a_response_with_credentials() {
    let answers: [(fn() -> ServiceWorkerResponse, bool); 3] = [
        // The default.
        (|| opaque(200, "https://b.test/"), false),
        (
            || with(opaque(200, "https://b.test/"), |it| it.request_includes_credentials = true),
            false,
        ),
        (
            || with(opaque(200, "https://b.test/"), |it| it.request_includes_credentials = false),
            true,
        ),
    ];
    for (answer, is_allowed) in answers {
        let mut page = answered_by(answer);
        page.client.embedder_policy = EmbedderPolicy::Credentialless;
        // The page's own request to b.test has no credentials. Those of the worker's request count.
        let result = page.beacon("https://b.test/", None).map(drop);
        let blocked = Err(NetworkError::CrossOriginResourcePolicy);
        assert_eq!(result, if is_allowed { Ok(()) } else { blocked });
    }
}

#[test]
fn an_opaque_range_that_the_page_did_not_ask_for_is_an_error() {
    fn requested(status: u16) -> ServiceWorkerResponse {
        with(opaque(status, "https://b.test/"), |it| it.range_requested = true)
    }
    let fetch = |answer, headers: &[&'static str]| {
        let page = answered_by(answer);
        let mut request = page.request("https://a.test/x");
        request.mode = Mode::NoCors;
        for value in headers {
            request.headers.insert("range", HeaderValue::from_static(value));
        }
        page.fetch(request).map(|response| response.range_requested)
    };
    assert_eq!(fetch(|| requested(206), &[]), Err(NetworkError::ServiceWorker));
    assert_eq!(fetch(|| requested(416), &[]), Err(NetworkError::ServiceWorker));
    assert_eq!(fetch(|| requested(200), &[]), Ok(true));
    assert_eq!(fetch(|| requested(206), &["bytes=0-"]), Ok(true));
    assert_eq!(fetch(|| opaque(206, "https://b.test/"), &[]), Ok(false));
    let basic = || with(requested(206), |it| it.filtered = Some(ResponseType::Basic));
    assert_eq!(fetch(basic, &[]), Ok(true));
}

#[test]
fn a_response_of_the_network_says_what_its_request_was() {
    let page = Page::new(PAGE, |_| respond(206, &[]));
    let fetch = |url, mode, credentials| {
        let mut request = page.request(url);
        (request.mode, request.credentials) = (mode, credentials);
        page.fetch(request).unwrap().request_includes_credentials
    };
    assert!(fetch("https://a.test/", Mode::Cors, CredentialsMode::SameOrigin));
    assert!(!fetch("https://a.test/", Mode::Cors, CredentialsMode::Omit));
    assert!(!fetch("https://b.test/", Mode::NoCors, CredentialsMode::SameOrigin));
    assert!(fetch("https://b.test/", Mode::NoCors, CredentialsMode::Include));
    let mut request = page.request("https://a.test/");
    assert!(!page.fetch(request.clone()).unwrap().range_requested);
    request.headers.insert("range", HeaderValue::from_static("bytes=0-"));
    assert!(page.fetch(request).unwrap().range_requested);
}

#[test]
fn a_redirect_that_a_service_worker_made_has_no_url_to_be_relative_to() {
    fn redirect(location: &str) -> NetworkResponse {
        respond(302, &[("location", location)]).unwrap()
    }
    fn fetched(location: &str) -> ServiceWorkerResponse {
        let url_list = vec![Url::parse("https://b.test/d/e").unwrap()];
        ServiceWorkerResponse::fetched(ResponseType::Cors, url_list, redirect(location))
    }
    let fetch = |answer| {
        let page = answered_by(answer);
        let error = page.fetch(page.request("https://a.test/x#f")).unwrap_err();
        (error, page)
    };
    let invalid = NetworkError::from(RedirectFailure::InvalidLocation);
    for answer in [
        (|| ServiceWorkerResponse::new(redirect("y"))) as fn() -> _,
        || ServiceWorkerResponse::new(redirect("/y")),
        || ServiceWorkerResponse::new(redirect("//b.test/y")),
        || ServiceWorkerResponse::new(redirect("")),
    ] {
        assert_eq!(fetch(answer).0, invalid);
    }
    // These are followed until there are too many.
    let too_many = NetworkError::from(RedirectFailure::TooMany);
    assert_eq!(fetch(|| ServiceWorkerResponse::new(redirect("https://a.test/y"))).0, too_many);
    let (error, page) = fetch(|| fetched("y"));
    assert_eq!(error, too_many);
    let first = page.observations().into_iter().find_map(|observation| match observation {
        Observation::Redirected { url, .. } => Some(url),
        _ => None,
    });
    assert_eq!(first.unwrap().as_str(), "https://b.test/d/y#f");
}
