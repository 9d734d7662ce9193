//! What script does, one call after another, and what is seen of each.

use std::time::Duration;

use http::HeaderName;
use sendbeacon_fetch::{
    Body, BodyInit, NetworkError, Request, Reservation, Response, beacon::send_beacon,
    fetch::fetch, hyperlink_auditing::hyperlink_auditing, report_violation,
};
use sendbeacon_testkit::{network::complete, random::Zeros};
use serde::Deserialize;
use url::{Position, Url};

use crate::{
    Failure,
    check::{ExpectedRequest, ExpectedViolation, check_outcome, check_requests, check_violations},
    fetch_init::FetchInit,
    page::Page,
    setup::PageSetup,
    value::Data,
};

/// A beacon or another keepalive request that was admitted and has not been fetched: its room is taken.
pub(crate) type Held = Option<(Request, Reservation)>;

/// One thing that happens, and what must be seen of it.
#[derive(Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Step {
    action: Action,
    expected: Expected,
}

enum Action {
    Beacon {
        url: String,
        data: Option<Data>,
        hold: bool,
    },
    Fetch {
        init: FetchInit,
        data: Option<Data>,
        hold: bool,
    },
    /// Follows a hyperlink.
    Ping(Hyperlink),
    /// Fetches what was held as the n-th.
    Finish(usize),
    /// Lets seconds pass.
    Advance(u64),
    /// The settings object changes.
    Page(PageSetup),
    /// Another document takes the place of this one.
    Navigate(PageSetup),
    /// The user agent shuts down.
    CloseLedger,
}

/// The attributes of a hyperlink.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hyperlink {
    ping: String,
    href: String,
}

/// Whatever is not there is not checked.
struct Expected {
    returns: Option<Returns>,
    requests: Option<Vec<ExpectedRequest>>,
    /// How many they are, where that is all that matters.
    request_count: Option<usize>,
    outcome: Option<String>,
    /// The response's own, with its fragment.
    response_url: Option<String>,
    violations: Option<Vec<ExpectedViolation>>,
    /// The requests that report them.
    reports: Option<Vec<ExpectedRequest>>,
    /// The names of the headers that script may read.
    exposed: Option<Vec<String>>,
}

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
    returns: Option<Returns>,
    requests: Option<Vec<ExpectedRequest>>,
    request_count: Option<usize>,
    outcome: Option<String>,
    response_url: Option<String>,
    violations: Option<Vec<ExpectedViolation>>,
    reports: Option<Vec<ExpectedRequest>>,
    exposed: Option<Vec<String>>,
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
        let expected = Expected {
            returns: fields.returns,
            requests: fields.requests,
            request_count: fields.request_count,
            outcome: fields.outcome,
            response_url: fields.response_url,
            violations: fields.violations,
            reports: fields.reports,
            exposed: fields.exposed,
        };
        let Fields { data, hold, .. } = fields;
        let is_beacon = fields.beacon.is_some();
        let is_keepalive = is_beacon || fields.fetch.as_ref().is_some_and(|init| init.keepalive);
        if hold && !is_keepalive || expected.returns.is_some() && !is_beacon {
            return Err("hold is for keepalive requests, returns for beacons".to_owned());
        }
        if data.is_some() && !is_beacon && fields.fetch.is_none() {
            return Err("data is for calls".to_owned());
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
            (Some(_), Some(_)) => return Err("a step is one call".to_owned()),
        };
        let mut actions = actions.into_iter().chain([call]).flatten();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Self { action, expected }),
            _ => Err("a step does one thing".to_owned()),
        }
    }
}

impl Step {
    /// Whether it looks at anything.
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

    /// The result of what is fetched, if anything is.
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
                None => failures.push(format!("there is nothing {at} that is held")),
            },
            Action::Advance(seconds) => page.clock.advance(Duration::from_secs(*seconds)),
            Action::Page(setup) => page.change(setup),
            Action::Navigate(setup) => page.navigate(setup),
            Action::CloseLedger => page.ledger.close(),
        }
        None
    }

    /// What `sendBeacon()` admits.
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
            (Returns::Bool(expected), Ok(beacon)) => {
                (*expected != beacon.is_some()).then(|| format!("returned {}", beacon.is_some()))
            }
            (Returns::Throws { message }, Err(thrown)) => (!thrown.to_string().contains(message))
                .then(|| format!("{:?} does not say {message:?}", thrown.to_string())),
            (Returns::Bool(_), Err(thrown)) => Some(format!("threw {:?}", thrown.to_string())),
            (Returns::Throws { .. }, Ok(beacon)) => {
                Some(format!("returned {}, and did not throw", beacon.is_some()))
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
            failures.push(format!("sent {} requests, and not {count}", sent.len()));
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
                // Nobody reads what is answered.
                let _ = fetched(page, request);
            }
            check_requests(reports, &page.network.sent()[before..], failures);
            if !page.observations.take_violations().is_empty() {
                failures.push("a report violated a policy".to_owned());
            }
        }
        let response = result.and_then(|result| result.as_ref().ok());
        if let Some(url) = &expected.response_url {
            let seen = response.and_then(|response| response.url_list.last()).map(Url::as_str);
            if seen != Some(url) {
                failures.push(format!("the response's URL is {seen:?}, and not {url}"));
            }
        }
        if let Some(exposed) = &expected.exposed {
            let headers = response.iter().flat_map(|response| response.headers.keys());
            let mut names: Vec<_> = headers.map(HeaderName::as_str).collect();
            names.sort_unstable();
            if names != *exposed {
                failures.push(format!("exposes {names:?}, and not {exposed:?}"));
            }
        }
    }
}

/// Room for a keepalive `fetch()`, which a fetch group takes.
fn reserve(page: &Page, request: &Request) -> Option<Reservation> {
    let url_length = request.url()[..Position::AfterQuery].len() as u64;
    page.ledger.reserve(request.body.as_ref().map_or(0, Body::length), url_length)
}

pub(crate) fn fetched(page: &Page, request: Request) -> Result<Response, NetworkError> {
    complete(fetch(&page.profile, &page.observations, Box::new(request)))
}

/// What a response is to script, and its status.
pub(crate) fn describe(response: &Response) -> String {
    format!("{} {}", response.response_type.as_str(), response.status.as_u16())
}
