//! The `Observer` of a fetch: what it is told.

use std::sync::Mutex;

use sendbeacon_fetch::{
    CredentialsMode,
    fetch::{Observation, Observer, fetch},
    host::{NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::network::{complete, respond};
use url::Url;

use crate::page::{CORS, PAGE, Page, redirects};

#[test]
fn each_event_of_a_fetch_is_observed() {
    let page = Page::new(PAGE, |request| match request.url.path() {
        "/x" => {
            let location = ("location", "https://b.test/y");
            respond(307, &[location, ("clear-site-data", "\"cookies\"")])
        }
        _ => respond(204, &CORS),
    });
    page.json("/x").unwrap();
    let log: Vec<_> = page
        .observations()
        .into_iter()
        .map(|observation| match observation {
            Observation::RequestSent { is_preflight, method, url, body, .. } => {
                let preflight = if is_preflight { "preflight " } else { "" };
                let body = String::from_utf8(body.to_vec()).unwrap();
                format!("{preflight}{method} {} {body}", url.path()).trim_end().to_owned()
            }
            Observation::ResponseStarted { is_preflight, status, .. } => {
                let preflight = if is_preflight { "preflight " } else { "" };
                format!("{preflight}{}", status.as_u16())
            }
            Observation::Redirected { url, .. } => format!("to {}", url.path()),
            Observation::ClearSiteData { value, .. } => value.to_str().unwrap().to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        log,
        [
            "POST /x {}",
            "307",
            "\"cookies\"",
            "to /y",
            "preflight OPTIONS /y",
            "preflight 204",
            "POST /y {}",
            "204"
        ]
    );
}

/// The values of the observed `Clear-Site-Data` headers.
fn cleared(page: &Page) -> Vec<String> {
    let value = |observation| match observation {
        Observation::ClearSiteData { value, .. } => Some(value.to_str().unwrap().to_owned()),
        _ => None,
    };
    page.observations().into_iter().filter_map(value).collect()
}

#[test]
fn only_a_response_to_a_request_with_credentials_clears_site_data() {
    let with_server = || {
        Page::new(PAGE, |_| {
            respond(204, &[&CORS[..], &[("clear-site-data", "\"cache\"")]].concat())
        })
    };
    let page = with_server();
    page.json("https://b.test/x").unwrap();
    assert_eq!(page.log(), ["OPTIONS https://b.test/x", "POST https://b.test/x"]);
    assert_eq!(cleared(&page), ["\"cache\""], "the response to the preflight clears nothing");
    for (url, credentials, is_cleared) in [
        ("https://a.test/x", CredentialsMode::Omit, false),
        ("https://a.test/x", CredentialsMode::SameOrigin, true),
        ("https://b.test/x", CredentialsMode::SameOrigin, false),
        ("https://b.test/x", CredentialsMode::Include, true),
        ("http://localhost/x", CredentialsMode::Include, true),
        ("http://b.test/x", CredentialsMode::Include, false),
    ] {
        let mut page = with_server();
        page.client.prohibits_mixed_security_contexts = false;
        let mut request = page.request(url);
        request.credentials = credentials;
        page.fetch(request).unwrap();
        assert_eq!(!cleared(&page).is_empty(), is_cleared, "{url} {credentials:?}");
    }
}

#[test]
fn every_clear_site_data_header_of_a_response_counts() {
    let page = Page::new(PAGE, |_| {
        respond(204, &[("clear-site-data", "\"cache\""), ("clear-site-data", "\"storage\"")])
    });
    page.beacon("/x", None).unwrap();
    assert_eq!(cleared(&page), ["\"cache\", \"storage\""]);
}

/// An observer that takes no copies of requests and responses.
#[derive(Default)]
struct NoCopies(Mutex<Vec<Observation>>);

impl Observer for NoCopies {
    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }

    fn request_sent(&self, _: bool, _: &NetworkRequest) {}

    fn response_started(&self, _: bool, _: &Url, _: &NetworkResponse) {}

    fn document_is_gone(&self) -> bool {
        false
    }
}

#[test]
fn an_observer_may_skip_the_copies_of_requests_and_responses() {
    let page = Page::new(PAGE, redirects(307, "/x", "https://b.test/y"));
    let observer = NoCopies::default();
    complete(fetch(&page.profile, &observer, Box::new(page.request("https://a.test/x")))).unwrap();
    let observations = observer.0.into_inner().unwrap();
    assert!(matches!(observations[..], [Observation::Redirected { .. }]), "{observations:?}");
    assert_eq!(page.log().len(), 2);
}
