//! [Content Security Policy](https://w3c.github.io/webappsec-csp/#fetch-integration), by the crate
//! `content-security-policy`, which implements the standard's algorithms under their names.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use content_security_policy::{
    CheckResult, Directive, Initiator, ParserMetadata, Policy, PolicyDisposition, PolicySource,
    Violates,
};
use url::{Position, Url};

use super::csp_report::strip_url_for_use_in_reports;
use crate::{Origin, Request, request::Destination};

/// A [CSP list](https://w3c.github.io/webappsec-csp/#csp-list): policies and the self-origin that
/// their `'self'` means.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "SerializedCspList", from = "SerializedCspList")
)]
pub struct CspList {
    policies: Vec<HeldPolicy>,
    self_origin: Origin,
    lately_allowed: LatelyAllowed,
}

/// A [`CspList`] to send: its policies as text.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct SerializedCspList {
    policies: Vec<(String, CspDisposition)>,
    self_origin: Origin,
}

#[cfg(feature = "serde")]
impl From<CspList> for SerializedCspList {
    fn from(list: CspList) -> Self {
        let CspList { policies, self_origin, .. } = list;
        let policies = policies.into_iter().map(|held| (held.serialized, held.disposition));
        Self { policies: policies.collect(), self_origin }
    }
}

#[cfg(feature = "serde")]
impl From<SerializedCspList> for CspList {
    fn from(list: SerializedCspList) -> Self {
        let mut made = Self::new(&list.self_origin);
        for (policy, disposition) in list.policies {
            // What a <meta> cannot set is not there any more.
            made.push(
                Policy::parse(&policy, PolicySource::Header, disposition.into()),
                disposition,
            );
        }
        made
    }
}

/// What violated none of the policies lately: as much of each URL as source expressions look at. Pages send to a few
/// collectors again and again, and to match takes longer than all else that is asked of a request.
#[derive(Debug, Default)]
struct LatelyAllowed {
    /// Whether an expression has a path.
    looks_at_paths: bool,
    keys: Mutex<VecDeque<Box<str>>>,
}

impl LatelyAllowed {
    /// How many are remembered, and how long they may be, in bytes.
    const LIMITS: (usize, usize) = (4, 1_024);

    fn has(&self, key: &str) -> bool {
        self.lock().iter().any(|known| **known == *key)
    }

    fn add(&self, key: &str) {
        let (count, length) = Self::LIMITS;
        if key.len() <= length {
            let mut keys = self.lock();
            keys.truncate(count - 1);
            keys.push_front(key.into());
        }
    }

    /// What of a URL decides: a path is not looked at after a redirect.
    fn key<'a>(&self, url: &'a Url, is_redirected: bool) -> &'a str {
        if self.looks_at_paths && !is_redirected {
            &url[..Position::AfterPath]
        } else {
            &url[..Position::BeforePath]
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<str>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list is cloned to be changed.
impl Clone for LatelyAllowed {
    fn clone(&self) -> Self {
        Self { looks_at_paths: self.looks_at_paths, keys: Mutex::default() }
    }
}

/// A policy as it came, and as it is matched.
#[derive(Clone, Debug)]
struct HeldPolicy {
    serialized: String,
    disposition: CspDisposition,
    matched: Policy,
}

/// A policy's [disposition](https://w3c.github.io/webappsec-csp/#policy-disposition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CspDisposition {
    /// `enforce`: the `Content-Security-Policy` header, or a `<meta>`.
    Enforce,
    /// `report`: the `Content-Security-Policy-Report-Only` header.
    Report,
}

impl From<CspDisposition> for PolicyDisposition {
    fn from(disposition: CspDisposition) -> Self {
        match disposition {
            CspDisposition::Enforce => Self::Enforce,
            CspDisposition::Report => Self::Report,
        }
    }
}

impl CspList {
    /// An empty list. The self-origin is the origin of the response that the policies come with, even
    /// where a sandbox makes the document's own origin opaque.
    #[must_use]
    pub fn new(self_origin: &Origin) -> Self {
        let (policies, lately_allowed) = Default::default();
        Self { policies, self_origin: self_origin.clone(), lately_allowed }
    }

    /// Adds the policies of a header's value, which are separated by commas.
    pub fn push_header(&mut self, value: &str, disposition: CspDisposition) {
        let source = PolicySource::Header;
        let parsed = content_security_policy::CspList::parse(value, source, disposition.into());
        parsed.0.into_iter().for_each(|policy| self.push(policy, disposition));
    }

    /// Adds the policy of a `<meta http-equiv=Content-Security-Policy>`, which is one, without the
    /// [directives that it cannot set](https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-content-security-policy).
    pub fn push_meta(&mut self, content: &str) {
        let mut policy = Policy::parse(content, PolicySource::Meta, PolicyDisposition::Enforce);
        policy.directive_set.retain(|directive| {
            !matches!(&*directive.name, "report-uri" | "frame-ancestors" | "sandbox")
        });
        self.push(policy, CspDisposition::Enforce);
    }

    fn push(&mut self, mut policy: Policy, disposition: CspDisposition) {
        if policy.directive_set.is_empty() {
            return;
        }
        let serialized = policy.to_string();
        drop_impossible_ports(&mut policy);
        if let Origin::Tuple { scheme, host, port: Some(80) } = &self.self_origin
            && **scheme == *"http"
        {
            add_secure_self(&mut policy, &format!("https://{host}"));
        }
        self.lately_allowed.keys = Mutex::default();
        self.lately_allowed.looks_at_paths |= source_lists(&mut policy)
            .any(|directive| directive.value.iter().any(|source| has_path(source)));
        self.policies.push(HeldPolicy { serialized, disposition, matched: policy });
    }

    /// How long its policies are, serialised, in bytes.
    #[must_use]
    pub fn serialized_length(&self) -> usize {
        self.policies.iter().map(|held| held.serialized.len()).sum()
    }

    /// The values of this directive in each enforced policy that has it, to derive what is not about
    /// requests: `upgrade-insecure-requests`, `sandbox`.
    pub fn enforced_directives(&self, name: &str) -> impl Iterator<Item = &[String]> {
        self.policies
            .iter()
            .filter(|held| held.disposition == CspDisposition::Enforce)
            .filter_map(move |held| held.directive(name))
    }
}

impl HeldPolicy {
    fn directive(&self, name: &str) -> Option<&[String]> {
        let found = self.matched.directive_set.iter().find(|directive| directive.name == name);
        found.map(|directive| &*directive.value)
    }

    /// [Create a violation object for request](https://w3c.github.io/webappsec-csp/#create-violation-for-request),
    /// and policy.
    fn violation(&self, request: &Request) -> CspViolation {
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

/// Drops source expressions whose port is none.
///
/// NB: they match nothing, but content-security-policy 0.9 takes them to match a URL without a port.
fn drop_impossible_ports(policy: &mut Policy) {
    for directive in source_lists(policy) {
        directive.value.retain(|source| {
            let authority = without_scheme(source).split('/').next().unwrap_or_default();
            let port = authority.rsplit_once(':').map_or("*", |(_, port)| port);
            let is_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            !is_digits || port.parse::<u16>().is_ok()
        });
    }
}

/// Lets `'self'` of an `http` origin on the default port match `https` on its own
/// ([match a URL to an expression](https://w3c.github.io/webappsec-csp/#match-url-to-source-expression)).
///
/// NB: content-security-policy 0.9 means to, but compares a default port, which a URL does not have.
fn add_secure_self(policy: &mut Policy, secure_origin: &str) {
    for directive in source_lists(policy) {
        if directive.value.iter().any(|source| source.eq_ignore_ascii_case("'self'")) {
            directive.value.push(secure_origin.to_owned());
        }
    }
}

/// A host-source without its scheme-part.
fn without_scheme(source: &str) -> &str {
    source.split_once("://").map_or(source, |(_, rest)| rest)
}

/// Whether a source expression may look at a path.
fn has_path(source: &str) -> bool {
    !source.starts_with('\'') && without_scheme(source).contains('/')
}

/// The directives that requests of this library are matched against.
fn source_lists(policy: &mut Policy) -> impl Iterator<Item = &mut Directive> {
    let directives = policy.directive_set.iter_mut();
    directives.filter(|directive| matches!(&*directive.name, "connect-src" | "default-src"))
}

/// An empty list.
impl Default for CspList {
    fn default() -> Self {
        Self::new(&Origin::Opaque(0))
    }
}

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

fn csp_request(request: &Request, list: &CspList) -> content_security_policy::Request {
    // Only to match `'self'`.
    let origin = match &list.self_origin {
        Origin::Tuple { scheme, host, port } => {
            // A scheme without ports is matched by its host.
            url::Origin::Tuple(scheme.to_string(), host.clone(), port.unwrap_or(0))
        }
        Origin::Opaque(_) => url::Origin::new_opaque(),
    };
    let current_url = request.current_url().clone();
    described(request.url().clone(), current_url, origin, request.redirect_count.into())
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
    use crate::Client;

    #[test]
    fn what_is_no_source_list_stays_as_it_is() {
        let mut client = Client::new(Url::parse("http://a.test/").unwrap(), 1);
        let policy = "connect-src 'none'; report-uri 'self' //b.test:65536/r";
        client.csp_list.push_header(policy, CspDisposition::Enforce);
        let request = Request::new(Arc::new(client), Url::parse("http://a.test/x").unwrap());
        let violations = enforced_violations(&request);
        assert_eq!(violations[0].report_uri, ["'self'", "//b.test:65536/r"]);
    }

    #[test]
    fn what_was_allowed_before_says_nothing_of_another_path_redirect_or_policy() {
        let mut client = Client::new(Url::parse("https://a.test/").unwrap(), 1);
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

        let mut lax = Client::new(Url::parse("https://a.test/").unwrap(), 1);
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
