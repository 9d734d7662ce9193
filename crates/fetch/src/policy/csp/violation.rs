use content_security_policy::{Policy, PolicySource};
use url::Url;

use super::{CspDisposition, HeldPolicy, reporting::strip_url_for_use_in_reports};
use crate::Request;

/// A [violation](https://w3c.github.io/webappsec-csp/#violation): by a request, for the engine to fire an
/// event of, or by what else the engine looks at, for the library to report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CspViolation {
    /// Resource, as [`blockedURI`](https://w3c.github.io/webappsec-csp/#obtain-violation-blocked-uri) says it:
    /// a URL, before any redirect and stripped for use in reports, or a keyword such as `inline`.
    pub blocked_uri: String,
    /// Effective directive: `connect-src`, if it is by a request.
    pub effective_directive: String,
    /// The policy, serialised.
    pub original_policy: String,
    /// The policy's disposition.
    pub disposition: CspDisposition,
    /// The policy's `report-uri` directive, its tokens not yet parsed as URLs.
    pub report_uri: Vec<String>,
    /// The policy's `report-to` directive.
    pub report_to: Option<String>,
    /// Sample. Default: empty.
    pub sample: String,
    /// Source file. Default: none.
    pub source_file: Option<Url>,
    /// Line number in the source file.
    pub line_number: u32,
    /// Column number in the source file.
    pub column_number: u32,
}

impl CspViolation {
    /// A violation that the engine found by itself. `policy` is serialised, `blocked_uri` an `http` or
    /// `https` URL stripped for use in reports, the scheme of any other URL, or a keyword.
    #[must_use]
    pub fn new(
        policy: &str,
        disposition: CspDisposition,
        effective_directive: &str,
        blocked_uri: &str,
    ) -> Self {
        let matched = Policy::parse(policy, PolicySource::Header, disposition.into());
        let held = HeldPolicy { serialized: policy.to_owned(), disposition, matched };
        held.violation_of(effective_directive, blocked_uri.to_owned())
    }
}

impl HeldPolicy {
    /// [Create a violation object for request](https://w3c.github.io/webappsec-csp/#create-violation-for-request),
    /// and policy.
    pub(super) fn violation(&self, request: &Request) -> CspViolation {
        // That of a request with an empty destination; a report has none, and violates nothing.
        let directive = "connect-src";
        self.violation_of(directive, strip_url_for_use_in_reports(request.url().clone()))
    }

    fn violation_of(&self, effective_directive: &str, blocked_uri: String) -> CspViolation {
        let first = |value: &[String]| value.first().cloned().unwrap_or_default();
        CspViolation {
            blocked_uri,
            effective_directive: effective_directive.to_owned(),
            original_policy: self.serialized.clone(),
            disposition: self.disposition,
            report_uri: self.directive("report-uri").unwrap_or_default().to_vec(),
            report_to: self.directive("report-to").map(first),
            sample: String::new(),
            source_file: None,
            line_number: 0,
            column_number: 0,
        }
    }
}
