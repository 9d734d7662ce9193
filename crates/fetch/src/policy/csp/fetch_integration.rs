//! [Integration with Fetch](https://w3c.github.io/webappsec-csp/#fetch-integration): checks a request and its response.

use content_security_policy::{CheckResult, Policy, Violates};
use url::Url;

use super::{
    list::HeldPolicy,
    url_matching::{csp_request, self_origin},
    violation::{CspDisposition, CspViolation, strip_url_for_use_in_reports},
};
use crate::request::{Destination, Request};

/// [Report Content Security Policy violations for request](https://w3c.github.io/webappsec-csp/#report-for-request):
/// returns the violations of the report-only policies.
pub(crate) fn report_only_violations(request: &Request) -> Vec<CspViolation> {
    // Steps 1 and 2.
    violations(request, CspDisposition::Report)
}

/// [Should request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-request):
/// returns the violations of the enforced policies. The request is blocked if there is one.
pub(crate) fn enforced_violations(request: &Request) -> Vec<CspViolation> {
    // Steps 1 to 4.
    violations(request, CspDisposition::Enforce)
}

/// [Should response to request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-response):
/// returns the violations of all policies. The response is blocked if one of them is of an enforced policy.
pub(crate) fn response_violations(request: &Request, response_url: &Url) -> Vec<CspViolation> {
    let list = &request.client.csp_list;
    if list.policies.is_empty() || request.destination == Destination::Report {
        return Vec::new();
    }
    // Step 3.
    violated(request, response_url, |policy, described| {
        let response = content_security_policy::Response {
            url: response_url.clone(),
            redirect_count: described.redirect_count,
        };
        policy.directive_set.iter().any(|directive| {
            directive.post_request_check(described, &response, policy) == CheckResult::Blocked
        })
    })
    .map(|held| violation(held, request))
    .collect()
}

/// The violations by `request` of the policies with this disposition.
fn violations(request: &Request, disposition: CspDisposition) -> Vec<CspViolation> {
    let is_of = |held: &HeldPolicy| held.disposition == disposition;
    if !request.client.csp_list.policies.iter().any(is_of)
        || request.destination == Destination::Report
    {
        return Vec::new();
    }
    let violated = violated(request, request.current_url(), |policy, described| {
        policy.does_request_violate_policy(described) != Violates::DoesNotViolate
    });
    violated.filter(|held| is_of(held)).map(|held| violation(held, request)).collect()
}

/// The policies of either disposition for which `is_violated` is true, for a request or response with this URL.
///
/// `is_violated` is not called when the URL is among the recently allowed ones.
fn violated<'a>(
    request: &'a Request,
    url: &Url,
    is_violated: impl Fn(&Policy, &content_security_policy::Request) -> bool,
) -> impl Iterator<Item = &'a HeldPolicy> {
    let list = &request.client.csp_list;
    let key = list.recently_allowed.key(url, request.redirect_count > 0);
    let mut violated = Vec::new();
    if !list.recently_allowed.has(key) {
        let (url, current_url) = (request.url().clone(), request.current_url().clone());
        let redirect_count = request.redirect_count.into();
        let described = csp_request(url, current_url, self_origin(list), redirect_count);
        violated.extend(list.policies.iter().filter(|it| is_violated(&it.matched, &described)));
        // NB: the checks of a request and of its response match source expressions in the same way, so they share
        // this memory.
        if violated.is_empty() {
            list.recently_allowed.add(key);
        }
    }
    violated.into_iter()
}

/// [Create a violation object for request, and policy](https://w3c.github.io/webappsec-csp/#create-violation-for-request).
fn violation(policy: &HeldPolicy, request: &Request) -> CspViolation {
    // The effective directive of a request with an empty destination. Reports, the only requests with another destination,
    // are not checked.
    let directive = "connect-src";
    policy.violation(directive, strip_url_for_use_in_reports(request.url().clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Client, Nonce};

    #[test]
    fn only_source_lists_are_corrected() {
        let mut client = Client::new(Url::parse("http://a.test/").unwrap(), Nonce::from_u128(1));
        let policy = "connect-src 'none'; report-uri 'self' //b.test:65536/r";
        client.csp_list.push_header(policy, CspDisposition::Enforce);
        let request = Request::new(Arc::new(client), Url::parse("http://a.test/x").unwrap());
        let violations = enforced_violations(&request);
        assert_eq!(violations[0].report_uri, ["'self'", "//b.test:65536/r"]);
    }

    #[test]
    fn a_remembered_url_allows_no_other_path_redirect_or_policy() {
        let mut client = Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        let policy = "connect-src https://b.test/ok";
        client.csp_list.push_header(policy, CspDisposition::Enforce);
        let is_allowed = |client: &Client, url: &str, redirect_count| {
            // The requests share one client, so that the second finds what the first left in the memory.
            let client = Arc::new(client.clone());
            let ask = |url: &str, redirect_count| {
                let mut request = Request::new(Arc::clone(&client), Url::parse(url).unwrap());
                request.redirect_count = redirect_count;
                enforced_violations(&request).is_empty()
            };
            assert!(ask("https://b.test/ok?1", 0) && ask("https://b.test/ok?2", 0));
            ask(url, redirect_count)
        };
        assert!(!is_allowed(&client, "https://b.test/other", 0));
        assert!(is_allowed(&client, "https://b.test/other", 1));
        assert!(!is_allowed(&client, "https://c.test/ok", 0));

        let mut lax = Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        lax.csp_list.push_header("connect-src https://b.test", CspDisposition::Enforce);
        assert!(is_allowed(&lax, "https://b.test/other", 0));
        assert!(!is_allowed(&lax, "https://c.test/ok", 0));
        assert!(!is_allowed(&lax, "https://b.test:444/ok", 0));
        lax.csp_list.push_header("connect-src */ok b.test/ok", CspDisposition::Enforce);
        assert!(!is_allowed(&lax, "https://b.test/other", 0));

        let mut reported = client.clone();
        reported.csp_list.push_header("connect-src 'none'", CspDisposition::Report);
        let request = Request::new(Arc::new(reported), Url::parse("https://b.test/ok").unwrap());
        for _ in 0..3 {
            assert_eq!(report_only_violations(&request).len(), 1);
            assert_eq!(enforced_violations(&request), []);
            assert_eq!(response_violations(&request, request.url()).len(), 1);
        }

        let client = Arc::new(client);
        let request = |client: &Arc<Client>| {
            Request::new(Arc::clone(client), Url::parse("https://b.test/ok").unwrap())
        };
        assert!(enforced_violations(&request(&client)).is_empty());
        let mut stricter = Arc::unwrap_or_clone(client);
        stricter.csp_list.push_header("connect-src 'none'", CspDisposition::Enforce);
        assert!(!enforced_violations(&request(&Arc::new(stricter))).is_empty());
    }
}
