//! [Violations](https://w3c.github.io/webappsec-csp/#violation): their type, and how the library and the engine make them.

use content_security_policy::{Policy, PolicySource};
use url::Url;

use super::list::{CspDisposition, CspList, HeldPolicy};
use crate::request::Request;

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
    pub blocked_uri: String,
    /// Effective directive. For a request of the library: `connect-src`.
    pub effective_directive: String,
    /// The policy, serialised.
    pub original_policy: String,
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
        let matched = Policy::parse(policy, PolicySource::Header, disposition.into());
        let held = HeldPolicy { serialized: policy.to_owned(), disposition, matched };
        held.violation_of(effective_directive, blocked_uri.to_owned())
    }
}

impl HeldPolicy {
    /// [Create a violation object for request, and policy](https://w3c.github.io/webappsec-csp/#create-violation-for-request).
    pub(super) fn violation(&self, request: &Request) -> CspViolation {
        // The effective directive of a request with an empty destination. Reports, the only requests with another
        // destination, are not checked.
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

impl CspList {
    /// The violations by a load of `url` that the engine checks itself, for example against `frame-src`.
    ///
    /// `directives` are the effective directive and its fallbacks, in order. In each policy the first of them that the
    /// policy has decides. `url` is not the target of a redirect.
    #[must_use]
    pub fn violations_of(&self, directives: &[&str], url: &Url) -> Vec<CspViolation> {
        let is_violated = |held: &&HeldPolicy| {
            let list = directives.iter().find_map(|name| held.directive(name));
            list.is_some_and(|list| !self.source_list_matches(list, url))
        };
        let effective = directives.first().copied().unwrap_or_default();
        let violated = self.policies.iter().filter(is_violated);
        let blocked_uri = || strip_url_for_use_in_reports(url.clone());
        violated.map(|held| held.violation_of(effective, blocked_uri())).collect()
    }
}

/// [Strip URL for use in reports](https://w3c.github.io/webappsec-csp/#strip-url-for-use-in-reports).
pub(super) fn strip_url_for_use_in_reports(mut url: Url) -> String {
    // Step 1.
    if !matches!(url.scheme(), "http" | "https") {
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
    use crate::origin::Origin;

    #[test]
    fn the_first_directive_that_a_policy_has_decides_for_the_engine() {
        let origin = Origin::of(&Url::parse("https://a.test/").unwrap(), 1);
        let mut list = CspList::new(&origin);
        list.push_header("frame-src 'self' *.b.test; default-src *", CspDisposition::Enforce);
        list.push_header("default-src 'none'", CspDisposition::Report);
        list.push_header("img-src 'none'", CspDisposition::Enforce);
        let violated = |url: &str| {
            let url = Url::parse(url).unwrap();
            let violations = list.violations_of(&["frame-src", "default-src"], &url);
            assert!(violations.iter().all(|it| it.effective_directive == "frame-src"));
            violations.iter().map(|it| it.disposition).collect::<Vec<_>>()
        };
        let (enforce, report) = (CspDisposition::Enforce, CspDisposition::Report);
        assert_eq!(violated("https://a.test/x"), [report]);
        assert_eq!(violated("https://sub.b.test/x"), [report]);
        assert_eq!(violated("https://b.test/"), [enforce, report]);
        assert_eq!(violated("data:,x"), [enforce, report]);
    }

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
