//! The steps of a case about one page: an action, and what must be seen of it.

use std::time::Duration;

use http::HeaderName;
use sendbeacon_fetch::{
    BodyInit, NetworkError, Request, Reservation, Response, beacon::send_beacon, fetch::fetch,
    hyperlink_auditing::hyperlink_auditing, report_violation,
};
use sendbeacon_testkit::{network::complete, random::Zeros};
use serde::Deserialize;
use url::Url;

use crate::{
    Failure,
    check::{ExpectedRequest, ExpectedViolation, check_outcome, check_requests, check_violations},
    fetch_init::FetchInit,
    page::Page,
    setup::PageSetup,
    value::Data,
};

/// A keepalive request that was admitted and is held back. Its reservation stays in the ledger until it is fetched.
pub(crate) type Held = Option<(Request, Reservation)>;

/// One step: an action, and what must be seen of it.
#[derive(Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Step {
    action: Action,
    expected: Expected,
}

enum Action {
    /// Calls `sendBeacon()`.
    Beacon { url: String, data: Option<Data>, hold: bool },
    /// Calls `fetch()`.
    Fetch { init: FetchInit, data: Option<Data>, hold: bool },
    /// Follows a hyperlink with pings.
    Ping(Hyperlink),
    /// Fetches the n-th request that was held back, counted from 0.
    Finish(usize),
    /// Lets this many seconds pass.
    Advance(u64),
    /// Changes the settings object.
    Page(PageSetup),
    /// Replaces the document by another one.
    Navigate(PageSetup),
    /// Closes the ledger, as the user agent does when it shuts down.
    CloseLedger,
}

/// The attributes of a hyperlink.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyperlink {
    ping: String,
    href: String,
}

/// What must be seen of a step. `None` is not checked.
#[derive(Deserialize)]
struct Expected {
    returns: Option<Returns>,
    /// The requests that are sent.
    requests: Option<Vec<ExpectedRequest>>,
    /// The number of requests that are sent.
    request_count: Option<usize>,
    outcome: Option<String>,
    /// The URL of the response, with its fragment.
    response_url: Option<String>,
    violations: Option<Vec<ExpectedViolation>>,
    /// The requests that report the violations.
    reports: Option<Vec<ExpectedRequest>>,
    /// The names of the response's headers that script may read.
    exposed: Option<Vec<String>>,
}

/// The fields of a step as they are in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    beacon: Option<String>,
    fetch: Option<FetchInit>,
    follow: Option<Hyperlink>,
    finish: Option<usize>,
    advance: Option<u64>,
    page: Option<PageSetup>,
    navigate: Option<PageSetup>,
    close_ledger: Option<bool>,
    data: Option<Data>,
    #[serde(default)]
    hold: bool,
    // NB: serde's documentation advises against `flatten` with `deny_unknown_fields`. A test in load.rs makes sure that
    // unknown fields are errors.
    #[serde(flatten)]
    expected: Expected,
}

/// The return value of `sendBeacon()`, or a word of the message of the `TypeError` that it throws.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Returns {
    Bool(bool),
    Throws {
        #[serde(rename = "TypeError")]
        message: String,
    },
}

impl TryFrom<Fields> for Step {
    type Error = Failure;

    fn try_from(fields: Fields) -> Result<Self, Failure> {
        let Fields { data, hold, expected, .. } = fields;
        let is_beacon = fields.beacon.is_some();
        let is_keepalive = is_beacon || fields.fetch.as_ref().is_some_and(|init| init.keepalive);
        if hold && !is_keepalive || expected.returns.is_some() && !is_beacon {
            return Err(
                "\"hold\" needs a keepalive request, and \"returns\" needs a beacon".to_owned()
            );
        }
        if data.is_some() && !is_beacon && fields.fetch.is_none() {
            return Err("\"data\" needs a beacon or a fetch".to_owned());
        }
        let actions = [
            fields.follow.map(Action::Ping),
            fields.finish.map(Action::Finish),
            fields.advance.map(Action::Advance),
            fields.page.map(Action::Page),
            fields.navigate.map(Action::Navigate),
            fields.close_ledger.and_then(|is_closed| is_closed.then_some(Action::CloseLedger)),
        ];
        let call = match (fields.beacon, fields.fetch) {
            (Some(url), None) => Some(Action::Beacon { url, data, hold }),
            (None, Some(init)) => Some(Action::Fetch { init, data, hold }),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err("a step cannot have both a beacon and a fetch".to_owned());
            }
        };
        let mut actions = actions.into_iter().chain([call]).flatten();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Self { action, expected }),
            _ => Err("a step needs exactly one action".to_owned()),
        }
    }
}

impl Step {
    /// Whether the step checks anything.
    pub(crate) fn checks(&self) -> bool {
        let expected = &self.expected;
        expected.returns.is_some()
            || expected.requests.is_some()
            || expected.request_count.is_some()
            || expected.outcome.is_some()
            || expected.response_url.is_some()
            || expected.violations.is_some()
            || expected.reports.is_some()
            || expected.exposed.is_some()
    }

    pub(crate) fn run(&self, page: &mut Page, failures: &mut Vec<Failure>) {
        let before = page.network.sent().len();
        let result = self.perform(page, failures);
        self.check(page, before, result.as_ref(), failures);
    }

    /// Takes the step's action. Returns the result of the last fetch, if there was one.
    fn perform(
        &self,
        page: &mut Page,
        failures: &mut Vec<Failure>,
    ) -> Option<Result<Response, NetworkError>> {
        match &self.action {
            Action::Beacon { url, data, hold } => {
                let admitted = self.call_send_beacon(page, url, data.as_ref(), failures)?;
                if *hold {
                    page.held.push(Some(admitted));
                    return None;
                }
                let (request, _reservation) = admitted;
                return Some(fetched(page, request));
            }
            Action::Fetch { init, data, hold } => match init.request(&page.client, data.as_ref()) {
                Ok(request) if !request.keepalive => return Some(fetched(page, request)),
                Ok(request) => {
                    let Some(reservation) = reserve(page, &request) else {
                        return Some(Err(NetworkError::KeepaliveQuota));
                    };
                    if *hold {
                        page.held.push(Some((request, reservation)));
                        return None;
                    }
                    return Some(fetched(page, request));
                }
                Err(failure) => failures.push(failure),
            },
            Action::Ping(Hyperlink { ping, href }) => {
                let pings = hyperlink_auditing(&page.client, &page.ledger, ping, href, None);
                let fetched = pings.into_iter().map(|ping| fetched(page, ping.into_request().0));
                return fetched.last();
            }
            Action::Finish(at) => match page.held.get_mut(*at).and_then(Option::take) {
                Some((request, _reservation)) => return Some(fetched(page, request)),
                None => failures.push(format!("no request {at} is held back")),
            },
            Action::Advance(seconds) => page.clock.advance(Duration::from_secs(*seconds)),
            Action::Page(setup) => page.change(setup),
            Action::Navigate(setup) => page.navigate(setup),
            Action::CloseLedger => page.ledger.close(),
        }
        None
    }

    /// Calls `sendBeacon()` and checks what it returns. Returns the request, if it was admitted.
    fn call_send_beacon(
        &self,
        page: &Page,
        url: &str,
        data: Option<&Data>,
        failures: &mut Vec<Failure>,
    ) -> Option<(Request, Reservation)> {
        let call =
            |data: Option<BodyInit<'_>>| send_beacon(&page.client, &page.ledger, &Zeros, url, data);
        let result = match data {
            None => call(None),
            Some(data) => data.with_body_init(|data| call(Some(data))),
        };
        let expected = self.expected.returns.as_ref().unwrap_or(&Returns::Bool(true));
        let failure = match (expected, &result) {
            (Returns::Bool(expected), Ok(beacon)) => (*expected != beacon.is_some())
                .then(|| format!("the call returned {}", beacon.is_some())),
            (Returns::Throws { message }, Err(thrown)) => (!thrown.to_string().contains(message))
                .then(|| {
                    format!("the message {:?} does not contain {message:?}", thrown.to_string())
                }),
            (Returns::Bool(_), Err(thrown)) => {
                Some(format!("the call threw {:?}", thrown.to_string()))
            }
            (Returns::Throws { .. }, Ok(beacon)) => {
                Some(format!("the call returned {} and did not throw", beacon.is_some()))
            }
        };
        failures.extend(failure);
        Some(result.ok()??.into_request())
    }

    fn check(
        &self,
        page: &Page,
        before: usize,
        result: Option<&Result<Response, NetworkError>>,
        failures: &mut Vec<Failure>,
    ) {
        let expected = &self.expected;
        let sent = &page.network.sent()[before..];
        if let Some(requests) = &expected.requests {
            check_requests(requests, sent, failures);
        }
        if let Some(count) = expected.request_count
            && sent.len() != count
        {
            failures.push(format!("sent {} requests, expected {count}", sent.len()));
        }
        if let Some(outcome) = &expected.outcome {
            check_outcome(outcome, result, failures);
        }
        let seen = page.observations.take_violations();
        if let Some(violations) = &expected.violations {
            check_violations(violations, &seen, failures);
        }
        if let Some(reports) = &expected.reports {
            let before = page.network.sent().len();
            for request in seen.iter().flat_map(|seen| report_violation(seen, &page.client)) {
                // Nothing reads the response.
                let _ = fetched(page, request);
            }
            check_requests(reports, &page.network.sent()[before..], failures);
            if !page.observations.take_violations().is_empty() {
                failures.push("a report has violated a policy".to_owned());
            }
        }
        let response = result.and_then(|result| result.as_ref().ok());
        if let Some(url) = &expected.response_url {
            let seen = response.and_then(|response| response.url_list.last()).map(Url::as_str);
            if seen != Some(url) {
                failures.push(format!("the response's URL is {seen:?}, expected {url}"));
            }
        }
        if let Some(exposed) = &expected.exposed {
            let headers = response.iter().flat_map(|response| response.headers.keys());
            let mut names: Vec<_> = headers.map(HeaderName::as_str).collect();
            names.sort_unstable();
            if names != *exposed {
                failures.push(format!("the exposed headers are {names:?}, expected {exposed:?}"));
            }
        }
    }
}

/// Reserves room for a keepalive `fetch()`, as a fetch group does.
fn reserve(page: &Page, request: &Request) -> Option<Reservation> {
    page.ledger.reserve(request.weight())
}

/// Fetches `request` on the page's profile.
pub(crate) fn fetched(page: &Page, request: Request) -> Result<Response, NetworkError> {
    complete(fetch(&page.profile, &page.observations, Box::new(request)))
}

/// The type and the status of a response, as cases write them.
pub(crate) fn describe(response: &Response) -> String {
    format!("{} {}", response.response_type.as_str(), response.status.as_u16())
}
