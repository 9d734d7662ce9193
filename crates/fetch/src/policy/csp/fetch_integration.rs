//! [Integration with Fetch](https://w3c.github.io/webappsec-csp/#fetch-integration): checks a request and its response.

use std::{cell::OnceCell, sync::Arc};

use url::Url;

use super::{
    directives::effective_directive,
    policy::{CspDisposition, Policy},
    violation::{CspViolation, strip_url_for_use_in_reports},
};
use crate::request::Request;

/// [Report Content Security Policy violations for request](https://w3c.github.io/webappsec-csp/#report-for-request):
/// returns the violations of the report-only policies.
pub(crate) fn report_only_violations(request: &Request) -> Vec<CspViolation> {
    // Steps 1 and 2.
    violations(request, request.current_url(), |policy| {
        policy.disposition == CspDisposition::Report
    })
}

/// [Should request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-request):
/// returns the violations of the enforced policies. The request is blocked unless the list is empty.
pub(crate) fn enforced_violations(request: &Request) -> Vec<CspViolation> {
    // Steps 1 to 4.
    violations(request, request.current_url(), |policy| {
        policy.disposition == CspDisposition::Enforce
    })
}

/// [Should response to request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-response):
/// returns the violations of all policies. The response is blocked if one of them is of an enforced policy.
pub(crate) fn response_violations(
    request: &Request,
    response_url: &Url,
    is_upgraded_by_hsts: bool,
) -> Vec<CspViolation> {
    // Step 3. NB: a report-only policy thus reports a delivered request twice, as Chromium and WebKit do. An enforced
    // policy has already allowed the request's own URL, unless HSTS has changed that since.
    let is_new_url = is_upgraded_by_hsts || *response_url != **request.current_url();
    violations(request, response_url, |policy| {
        is_new_url || policy.disposition == CspDisposition::Report
    })
}

/// The violations by `request`, or by its response with this URL, of the policies that `is_asked` names.
fn violations(
    request: &Request,
    url: &Url,
    is_asked: impl Fn(&Policy) -> bool,
) -> Vec<CspViolation> {
    let list = &request.client.csp_list;
    if list.policies.is_empty() {
        return Vec::new();
    }
    let Some(directive) = effective_directive(request.destination) else { return Vec::new() };
    let is_redirected = request.redirect_count > 0;
    let asked = list.policies.iter().filter(|policy| is_asked(policy));
    let violated = asked.filter(|policy| list.is_violated(policy, directive, url, is_redirected));
    // Create a violation object for request, and policy.
    // The violations share the URL, which may be long.
    let blocked_uri: OnceCell<Arc<str>> = OnceCell::new();
    let blocked_uri = || {
        blocked_uri.get_or_init(|| strip_url_for_use_in_reports((**request.url()).clone()).into())
    };
    violated.map(|policy| CspViolation::of(policy, directive, Arc::clone(blocked_uri()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Nonce, destination::Destination};

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
    fn the_directive_of_the_destination_decides() {
        let mut client = Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        client.csp_list.push_header("img-src 'none'; default-src *", CspDisposition::Enforce);
        let mut request = Request::new(Arc::new(client), Url::parse("https://b.test/").unwrap());
        assert_eq!(enforced_violations(&request), []);
        request.destination = Destination::Image;
        assert_eq!(enforced_violations(&request)[0].effective_directive, "img-src");
        request.destination = Destination::Report;
        assert_eq!(enforced_violations(&request), []);
    }

    #[test]
    fn the_violations_of_a_policy_share_its_text() {
        let mut client = Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        client.csp_list.push_header("connect-src 'self'", CspDisposition::Enforce);
        let request = Request::new(Arc::new(client), Url::parse("https://b.test/").unwrap());
        let [first, second] = [(); 2].map(|()| enforced_violations(&request).remove(0));
        assert!(Arc::ptr_eq(&first.original_policy, &second.original_policy));
    }

    #[test]
    fn a_response_is_checked_by_its_own_url() {
        let mut client = Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        client.csp_list.push_header("connect-src 'none'", CspDisposition::Report);
        client.csp_list.push_header("connect-src https://b.test", CspDisposition::Enforce);
        let request = Request::new(Arc::new(client), Url::parse("https://b.test/").unwrap());
        assert_eq!(report_only_violations(&request).len(), 1);
        assert_eq!(response_violations(&request, request.url(), false).len(), 1);
        let other = Url::parse("https://c.test/").unwrap();
        assert_eq!(response_violations(&request, &other, false).len(), 2);
    }
}
