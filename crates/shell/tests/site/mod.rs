//! A site of several pages on a recording server, and a visit to it.

#![allow(dead_code)] // each test program uses its part

use std::time::Duration;

use sendbeacon_shell::browser::{Browser, Options, Stopped};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::task::spawn_blocking;
use url::Url;

const LONG: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Site {
    pages: Vec<(String, Behavior)>,
    any_query: bool,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A page at this target.
    pub(crate) fn page(self, target: &str, html: &str) -> Self {
        self.page_with(target, &[], html)
    }

    pub(crate) fn page_with(mut self, target: &str, headers: &[(&str, &str)], html: &str) -> Self {
        let headers = [headers, &[("Content-Type", "text/html")]].concat();
        self.pages.push((target.to_owned(), Behavior::with_body(200, &headers, html.as_bytes())));
        self
    }

    /// Each page is there with any query.
    pub(crate) fn any_query(mut self) -> Self {
        self.any_query = true;
        self
    }

    pub(crate) async fn start(self) -> Running {
        let Self { pages, any_query } = self;
        let server = RecordingServer::start(move |request| {
            let path = request.target.split('?').next().unwrap_or_default();
            let target = if any_query { path } else { &*request.target };
            match (&*request.method, pages.iter().find(|(page, _)| page == target)) {
                ("GET", Some((_, page))) => page.clone(),
                ("GET", None) => Behavior::status(404),
                _ => Behavior::status(204),
            }
        });
        Running(server.await)
    }
}

/// A site that is there.
pub(crate) struct Running(pub(crate) RecordingServer);

impl Running {
    pub(crate) fn origin(&self) -> String {
        self.0.url("")
    }

    /// What was sent to `/report`.
    pub(crate) fn report(&self) -> String {
        String::from_utf8(self.request("/report").body).unwrap()
    }

    /// The request of a beacon to this target, of which there is one.
    pub(crate) fn request(&self, target: &str) -> RecordedRequest {
        let requests = self.0.requests();
        let mut found = requests.iter().filter(|it| it.method == "POST" && it.target == target);
        let request = found.next().unwrap_or_else(|| panic!("no {target} in {:?}", self.targets()));
        assert!(found.next().is_none(), "{target} is there twice");
        request.clone()
    }

    /// The targets of all beacons, sorted.
    pub(crate) fn beacons(&self) -> Vec<String> {
        let requests = self.0.requests();
        let beacons = requests.iter().filter(|it| it.method == "POST");
        let mut targets: Vec<_> = beacons.map(|it| it.target.clone()).collect();
        targets.sort_unstable();
        targets
    }

    /// Methods and targets of all requests, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        let requests = self.0.requests();
        requests.iter().map(|it| format!("{} {}", it.method, it.target)).collect()
    }
}

/// Opens the page at `target`, runs it until idle, unloads it and drains.
pub(crate) async fn visit(site: &Running, target: &str) {
    let url = Url::parse(&site.0.url(target)).unwrap();
    spawn_blocking(move || {
        let browser = Browser::new(&Options::default()).unwrap();
        let mut tab = browser.open(&url).unwrap();
        assert_eq!(tab.run(LONG), Stopped::Idle);
        tab.unload();
        assert!(browser.shut_down(LONG).lost.is_empty());
    })
    .await
    .unwrap();
}
