//! The `Observer` of a fetch: what it is told.

use std::sync::Mutex;

use sendbeacon_fetch::{
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
