//! [Violations](https://w3c.github.io/webappsec-csp/#violation): their type, and how the library and the engine make them.

use std::sync::Arc;

use url::Url;

use super::policy::{CspDisposition, Directive, Policy};
use crate::http_url::is_http;

/// A [violation](https://w3c.github.io/webappsec-csp/#violation) of a Content Security Policy.
///
/// The library makes one when a request violates a policy; the engine then fires the event. The engine makes one with
/// [`CspViolation::new`] when it finds a violation itself; the library then sends the report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CspViolation {
    /// The resource as a [`blockedURI`](https://w3c.github.io/webappsec-csp/#obtain-violation-blocked-uri): the URL
    /// before any redirect, stripped for use in reports, or a keyword such as `inline`.
    pub blocked_uri: Arc<str>,
    /// Effective directive, for example `connect-src` for a beacon.
    pub effective_directive: String,
    /// The policy, serialised. The violations of a policy share the text.
    pub original_policy: Arc<str>,
    /// The policy's disposition.
    pub disposition: CspDisposition,
    /// The tokens of the policy's `report-uri` directive, not yet parsed as URLs.
    pub report_uri: Vec<String>,
    /// The first token of the policy's `report-to` directive, or the empty string if that has no token. `None` if the
    /// policy has no such directive.
    pub report_to: Option<String>,
    /// Sample. Default: empty.
    pub sample: String,
    /// Source file. Default: none.
    pub source_file: Option<Url>,
    /// Line number in the source file. Default: 0.
    pub line_number: u32,
    /// Column number in the source file. Default: 0.
    pub column_number: u32,
}

impl CspViolation {
    /// A violation that the engine found itself.
    ///
    /// `policy` is the serialised policy. `blocked_uri` is an `http` or `https` URL stripped for use in reports, the
    /// scheme of any other URL, or a keyword.
    #[must_use]
    pub fn new(
        policy: &str,
        disposition: CspDisposition,
        effective_directive: &str,
        blocked_uri: &str,
    ) -> Self {
        let parsed = Policy::parse(policy, disposition);
        let violation = Self::of(&parsed, effective_directive, blocked_uri.into());
        Self { original_policy: policy.into(), ..violation }
    }

    /// About how many bytes of memory the violation takes.
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let texts = [&self.effective_directive, &self.sample].into_iter().chain(&self.report_to);
        let texts = self.blocked_uri.len() + texts.map(String::len).sum::<usize>();
        let endpoints = self.report_uri.iter().map(|token| size_of::<String>() + token.len());
        let source_file = self.source_file.as_ref().map_or(0, |url| url.as_str().len());
        texts + self.original_policy.len() + endpoints.sum::<usize>() + source_file
    }

    /// A violation of `policy`.
    pub(super) fn of(policy: &Policy, effective_directive: &str, blocked_uri: Arc<str>) -> Self {
        let value = |name: &str| policy.directive(name).map(Directive::value);
        let first = |value: &[String]| value.first().cloned().unwrap_or_default();
        Self {
            blocked_uri,
            effective_directive: effective_directive.to_owned(),
            original_policy: Arc::clone(policy.text()),
            disposition: policy.disposition,
            report_uri: value("report-uri").unwrap_or_default().to_vec(),
            report_to: value("report-to").map(first),
            sample: String::new(),
            source_file: None,
            line_number: 0,
            column_number: 0,
        }
    }
}

/// [Strip URL for use in reports](https://w3c.github.io/webappsec-csp/#strip-url-for-use-in-reports).
pub(super) fn strip_url_for_use_in_reports(mut url: Url) -> String {
    // Step 1.
    if !is_http(&url) {
        return url.scheme().to_owned();
    }
    // Step 2.
    url.set_fragment(None);
    // Steps 3 and 4. NB: the setters fail only for a URL without a host, and an HTTP(S) URL has one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    // Step 5.
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_not_http_is_reported_by_its_scheme() {
        for (url, expected) in [
            ("https://u:p@a.test:444/x?y#z", "https://a.test:444/x?y"),
            ("http://a.test", "http://a.test/"),
            ("data:text/html,secret", "data"),
            ("blob:https://a.test/0", "blob"),
            ("wss://u:p@a.test/x", "wss"),
        ] {
            assert_eq!(strip_url_for_use_in_reports(Url::parse(url).unwrap()), expected);
        }
    }
}
