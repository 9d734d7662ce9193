//! Compares what was seen with what a case expects.

use std::collections::BTreeMap;

use bytes::Bytes as Body;
use http::header::CONTENT_TYPE;
use sendbeacon_fetch::{
    CspDisposition, CspViolation, NetworkError, Response, host::NetworkRequest,
};
use serde::Deserialize;

use crate::{Failure, server::wire_url, step::describe, value::Bytes};

/// A request that must have been sent.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ExpectedRequest {
    /// `METHOD URL`.
    Line(String),
    /// `METHOD URL`, with expectations of the headers and the body.
    Whole(WholeRequest),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WholeRequest {
    /// `METHOD URL`.
    is: String,
    /// Header values by name. `null` means that the request must not have the header.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// The names of all headers of the request, sorted.
    all_headers: Option<Vec<String>>,
    body: Option<ExpectedBody>,
    /// Whether the request may share a connection with requests that include credentials.
    credentials: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpectedBody {
    /// These bytes.
    Bytes(Bytes),
    /// This text, in which `BOUNDARY` stands for the boundary from `Content-Type`.
    Multipart(String),
    /// Any bytes, this many.
    Length(usize),
}

/// A violation of a Content Security Policy that must have been observed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedViolation {
    /// The blocked URI.
    blocked: String,
    /// The effective directive.
    directive: String,
    disposition: Disposition,
    /// The original policy.
    policy: Option<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Disposition {
    Enforce,
    Report,
}

/// Checks that exactly these requests were sent, in this order.
pub(crate) fn check_requests(
    expected: &[ExpectedRequest],
    seen: &[NetworkRequest],
    failures: &mut Vec<Failure>,
) {
    let lines: Vec<_> = seen.iter().map(line).collect();
    let expected_lines: Vec<_> = expected
        .iter()
        .map(|expected| match expected {
            ExpectedRequest::Line(line) | ExpectedRequest::Whole(WholeRequest { is: line, .. }) => {
                line
            }
        })
        .collect();
    if !lines.iter().eq(expected_lines.iter().copied()) {
        failures.push(format!("sent {lines:#?}, expected {expected_lines:#?}"));
        return;
    }
    for (expected, seen) in expected.iter().zip(seen) {
        if let ExpectedRequest::Whole(expected) = expected {
            expected.check(seen, failures);
        }
    }
}

/// `METHOD URL`.
fn line(request: &NetworkRequest) -> String {
    format!("{} {}", request.method, wire_url(request))
}

impl WholeRequest {
    fn check(&self, seen: &NetworkRequest, failures: &mut Vec<Failure>) {
        for (name, expected) in &self.headers {
            let value = header(seen, name);
            if value != *expected {
                failures.push(format!("{}: {name} is {value:?}, expected {expected:?}", self.is));
            }
        }
        if let Some(expected) = &self.all_headers {
            let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
            names.sort_unstable();
            if names != *expected {
                failures
                    .push(format!("{}: the headers are {names:?}, expected {expected:?}", self.is));
            }
        }
        if let Some(expected) = self.credentials
            && seen.connection.credentials != expected
        {
            failures
                .push(format!("{}: credentials are {}, expected {expected}", self.is, !expected));
        }
        if let Some(expected) = &self.body {
            expected.check(seen, failures);
        }
    }
}

/// All values of a header, joined by commas.
fn header(request: &NetworkRequest, name: &str) -> Option<String> {
    let values = request.headers.get_all(name);
    let values: Vec<_> =
        values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

impl ExpectedBody {
    fn check(&self, seen: &NetworkRequest, failures: &mut Vec<Failure>) {
        let expected = match self {
            Self::Bytes(bytes) => Body::from(bytes.to_vec()),
            Self::Multipart(text) => {
                let content_type = seen.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
                let boundary = content_type.and_then(|v| v.split_once("boundary="));
                let Some((_, boundary)) = boundary else {
                    failures.push(format!("{content_type:?} has no boundary"));
                    return;
                };
                text.replace("BOUNDARY", boundary).into()
            }
            Self::Length(length) => {
                if seen.body.len() != *length {
                    failures
                        .push(format!("the body has {} bytes, expected {length}", seen.body.len()));
                }
                return;
            }
        };
        if seen.body != expected {
            failures.push(format!("the body is {:?}, expected {expected:?}", seen.body));
        }
    }
}

/// Checks how a fetch ended.
///
/// `expected` is the type and the status of the response, or the beginning of the network error's `Debug` output:
/// `Csp` matches any `Csp { .. }`, and `Redirect(TooMany)` matches that error only.
pub(crate) fn check_outcome(
    expected: &str,
    result: Option<&Result<Response, NetworkError>>,
    failures: &mut Vec<Failure>,
) {
    let outcome = match result {
        None => "not fetched".to_owned(),
        Some(Ok(response)) => describe(response),
        Some(Err(error)) => format!("{error:?}"),
    };
    let is_expected = outcome
        .strip_prefix(expected)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '(']));
    if !is_expected {
        failures.push(format!("the outcome is {outcome}, expected {expected}"));
    }
}

/// Checks that exactly these policy violations were observed, in this order.
pub(crate) fn check_violations(
    expected: &[ExpectedViolation],
    seen: &[CspViolation],
    failures: &mut Vec<Failure>,
) {
    let is_same = expected.len() == seen.len()
        && expected.iter().zip(seen).all(|(expected, seen)| expected.matches(seen));
    if !is_same {
        let seen: Vec<_> = seen
            .iter()
            .map(|seen| {
                format!("{:?} {} {}", seen.disposition, seen.blocked_uri, seen.original_policy)
            })
            .collect();
        failures
            .push(format!("expected {} violations as in the case, seen {seen:#?}", expected.len()));
    }
}

impl ExpectedViolation {
    fn matches(&self, seen: &CspViolation) -> bool {
        let disposition = match seen.disposition {
            CspDisposition::Enforce => Disposition::Enforce,
            CspDisposition::Report => Disposition::Report,
        };
        *seen.blocked_uri == *self.blocked
            && seen.effective_directive == self.directive
            && disposition == self.disposition
            && self.policy.as_ref().is_none_or(|policy| **policy == *seen.original_policy)
    }
}
