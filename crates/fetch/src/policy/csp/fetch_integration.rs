//! [Integration with Fetch](https://w3c.github.io/webappsec-csp/#fetch-integration).

use content_security_policy::{
    CheckResult, Initiator, ParserMetadata, Policy, PolicyDisposition, PolicySource, Violates,
};
use url::Url;

use super::{
    CspDisposition, CspList, CspViolation, HeldPolicy, drop_impossible_ports,
    reporting::strip_url_for_use_in_reports,
};
use crate::{Origin, Request, request::Destination};

/// [Report Content Security Policy violations for request](https://w3c.github.io/webappsec-csp/#report-for-request):
/// the violations of policies that only report.
pub(crate) fn report_only_violations(request: &Request) -> Vec<CspViolation> {
    // Steps 1 and 2.
    violations(request, CspDisposition::Report)
}

/// [Should request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-request):
/// the violations of enforced policies; it is blocked if there are any.
pub(crate) fn enforced_violations(request: &Request) -> Vec<CspViolation> {
    // Steps 1 to 4.
    violations(request, CspDisposition::Enforce)
}

/// [Should response to request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-response):
/// the violations of all policies; it is blocked if there are any of an enforced one.
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
    .map(|held| held.violation(request))
    .collect()
}

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
    violated.filter(|held| is_of(held)).map(|held| held.violation(request)).collect()
}

/// The policies, of either disposition, that are violated by the request or by a response of this URL.
fn violated<'a>(
    request: &'a Request,
    url: &Url,
    is_violated: impl Fn(&Policy, &content_security_policy::Request) -> bool,
) -> impl Iterator<Item = &'a HeldPolicy> {
    let list = &request.client.csp_list;
    let key = list.lately_allowed.key(url, request.redirect_count > 0);
    let mut violated = Vec::new();
    if !list.lately_allowed.has(key) {
        let described = csp_request(request, list);
        violated.extend(list.policies.iter().filter(|it| is_violated(&it.matched, &described)));
        // NB: source expressions are matched in the same way before and after.
        if violated.is_empty() {
            list.lately_allowed.add(key);
        }
    }
    violated.into_iter()
}

/// [Does url match expression in origin with redirect count?](https://w3c.github.io/webappsec-csp/#match-url-to-source-expression),
/// with the URL's own origin and no redirects, of an expression that is a scheme-source or a
/// host-source.
pub(crate) fn expression_matches(expression: &str, url: &Url) -> bool {
    // What is no such expression could be a keyword, or more of a policy.
    if expression.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '\'' | ';' | ',')) {
        return false;
    }
    let directive = format!("connect-src {expression}");
    let mut policy = Policy::parse(&directive, PolicySource::Header, PolicyDisposition::Enforce);
    drop_impossible_ports(&mut policy);
    let described = described(url.clone(), url.clone(), url.origin(), 0);
    policy.does_request_violate_policy(&described) == Violates::DoesNotViolate
}

impl CspList {
    /// The violations by a URL, which is not redirected to, of the first of `directives` that a policy has: for
    /// what an engine checks by itself, such as `frame-src` and what that falls back to.
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

    /// [Does url match source list?](https://w3c.github.io/webappsec-csp/#match-url-to-source-list)
    fn source_list_matches(&self, list: &[String], url: &Url) -> bool {
        let mut of_list = Self::new(&self.self_origin);
        of_list.push_header(&format!("connect-src {}", list.join(" ")), CspDisposition::Enforce);
        let described = described(url.clone(), url.clone(), self_origin(self), 0);
        let matches = |held: &HeldPolicy| {
            held.matched.does_request_violate_policy(&described) == Violates::DoesNotViolate
        };
        of_list.policies.iter().all(matches)
    }
}

fn csp_request(request: &Request, list: &CspList) -> content_security_policy::Request {
    let (url, current_url) = (request.url().clone(), request.current_url().clone());
    described(url, current_url, self_origin(list), request.redirect_count.into())
}

/// Only to match `'self'`.
fn self_origin(list: &CspList) -> url::Origin {
    match &list.self_origin {
        Origin::Tuple { scheme, host, port } => {
            // A scheme without ports is matched by its host.
            url::Origin::Tuple(scheme.to_string(), host.clone(), port.unwrap_or(0))
        }
        Origin::Opaque(_) => url::Origin::new_opaque(),
    }
}

fn described(
    url: Url,
    current_url: Url,
    origin: url::Origin,
    redirect_count: u32,
) -> content_security_policy::Request {
    content_security_policy::Request {
        url,
        current_url,
        origin,
        redirect_count,
        destination: content_security_policy::Destination::None,
        initiator: Initiator::None,
        nonce: String::new(),
        integrity_metadata: String::new(),
        parser_metadata: ParserMetadata::None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Client, Nonce};

    #[test]
    fn what_is_no_source_list_stays_as_it_is() {
        let mut client = Client::new(Url::parse("http://a.test/").unwrap(), Nonce::from_u128(1));
        let policy = "connect-src 'none'; report-uri 'self' //b.test:65536/r";
        client.csp_list.push_header(policy, CspDisposition::Enforce);
        let request = Request::new(Arc::new(client), Url::parse("http://a.test/x").unwrap());
        let violations = enforced_violations(&request);
        assert_eq!(violations[0].report_uri, ["'self'", "//b.test:65536/r"]);
    }

    #[test]
    fn an_engine_asks_about_the_first_directive_there_is() {
        let origin = Origin::of(&Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
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
    fn what_was_allowed_before_says_nothing_of_another_path_redirect_or_policy() {
        let mut client = Client::new(Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        let policy = "connect-src https://b.test/ok";
        client.csp_list.push_header(policy, CspDisposition::Enforce);
        let is_allowed = |client: &Client, url: &str, redirect_count| {
            // Shared, not cloned: what the first request leaves the second finds.
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
