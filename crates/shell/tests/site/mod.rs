//! A site with several pages on a recording server, and visits to it.

#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::time::Duration;

use sendbeacon_shell::browser::{Browser, Options, Stopped};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::task::spawn_blocking;
use url::Url;

const LONG: Duration = Duration::from_secs(20);

/// A site before it is started. It answers 404 to GET requests for unknown targets, and 204 to other methods.
#[derive(Default)]
pub(crate) struct Site {
    pages: Vec<(String, Behavior)>,
    any_query: bool,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a page at this target (the path and query of its URL).
    pub(crate) fn page(self, target: &str, html: &str) -> Self {
        self.page_with(target, &[], html)
    }

    /// Adds a page with these headers beside `Content-Type`.
    pub(crate) fn page_with(self, target: &str, headers: &[(&str, &str)], html: &str) -> Self {
        self.page_of(target, &[headers, &[("Content-Type", "text/html")]].concat(), html)
    }

    /// Adds a page with these headers.
    pub(crate) fn page_of(mut self, target: &str, headers: &[(&str, &str)], body: &str) -> Self {
        self.pages.push((target.to_owned(), Behavior::with_body(200, headers, body.as_bytes())));
        self
    }

    /// Serves each page with any query.
    pub(crate) fn any_query(mut self) -> Self {
        self.any_query = true;
        self
    }

    /// Starts the site's server.
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

/// A site whose server runs.
pub(crate) struct Running(pub(crate) RecordingServer);

impl Running {
    pub(crate) fn origin(&self) -> String {
        self.0.url("")
    }

    /// The body of the beacon to `/report`.
    pub(crate) fn report(&self) -> String {
        String::from_utf8(self.request("/report").body).unwrap()
    }

    /// The beacon to this target. There must be exactly one.
    pub(crate) fn request(&self, target: &str) -> RecordedRequest {
        let requests = self.0.requests();
        let mut found = requests.iter().filter(|it| it.method == "POST" && it.target == target);
        let request = found.next().unwrap_or_else(|| panic!("no {target} in {:?}", self.targets()));
        assert!(found.next().is_none(), "there are two requests to {target}");
        request.clone()
    }

    /// The targets of all POST requests, sorted.
    pub(crate) fn beacons(&self) -> Vec<String> {
        let requests = self.0.requests();
        let beacons = requests.iter().filter(|it| it.method == "POST");
        let mut targets: Vec<_> = beacons.map(|it| it.target.clone()).collect();
        targets.sort_unstable();
        targets
    }

    /// The methods and targets of all requests, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        let requests = self.0.requests();
        requests.iter().map(|it| format!("{} {}", it.method, it.target)).collect()
    }
}

/// A page that reports the value of `expression`, as JSON, when `event` is fired at its window.
///
/// The script `before` runs first. It can use the array `log`, and `attempt(steps)`, which returns the name of what
/// the steps throw.
pub(crate) fn report(before: &str, event: &str, expression: &str) -> String {
    reporting_page(before, event, &format!("send({expression})"))
}

/// Like [`report`] for the event `load`, but in a later task, so that messages posted before `load` have arrived.
pub(crate) fn report_after_messages(before: &str, expression: &str) -> String {
    // Tasks run in the order in which they are queued.
    let steps = format!(
        "{{
           const {{ port1, port2 }} = new MessageChannel();
           port2.onmessage = () => {{ port1.close(); send({expression}); }};
           port1.postMessage('');
         }}"
    );
    reporting_page(before, "load", &steps)
}

fn reporting_page(before: &str, event: &str, steps: &str) -> String {
    format!(
        "<!DOCTYPE html><body><script>
         var log = [];
         function attempt(steps) {{ try {{ return steps(); }} catch (e) {{ return e.name; }} }}
         {before}
         {{
           const send = value => navigator.sendBeacon('/report', JSON.stringify(value));
           addEventListener('{event}', () => {steps});
         }}
         </script>"
    )
}

/// Opens the page at `target` of the site: see [`visit_url`].
pub(crate) async fn visit(site: &Running, target: &str) {
    visit_url(&site.0.url(target)).await;
}

/// Opens the page at `url`, runs it until it is idle, unloads it, and waits until all beacons are delivered.
pub(crate) async fn visit_url(url: &str) {
    let url = Url::parse(url).unwrap();
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
