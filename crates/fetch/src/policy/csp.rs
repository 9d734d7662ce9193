//! [Content Security Policy](https://w3c.github.io/webappsec-csp/#fetch-integration), by the crate
//! `content-security-policy`, which implements the standard's algorithms under their names.

use content_security_policy::{
    CheckResult, Destination, Initiator, ParserMetadata, Policy, PolicyDisposition, PolicySource,
    Violation,
};
use url::Url;

use crate::{Origin, Request};

/// A [CSP list](https://w3c.github.io/webappsec-csp/#csp-list): policies and the self-origin that
/// their `'self'` means.
#[derive(Clone, Debug)]
pub struct CspList {
    policies: content_security_policy::CspList,
    self_origin: url::Origin,
}

/// A policy's [disposition](https://w3c.github.io/webappsec-csp/#policy-disposition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CspDisposition {
    /// `enforce`: the `Content-Security-Policy` header, or a `<meta>`.
    Enforce,
    /// `report`: the `Content-Security-Policy-Report-Only` header.
    Report,
}

impl CspList {
    /// An empty list. The self-origin is the origin of the response that the policies come with, even
    /// where a sandbox makes the document's own origin opaque.
    #[must_use]
    pub fn new(self_origin: &Origin) -> Self {
        let self_origin = match self_origin {
            Origin::Tuple { scheme, host, port } => {
                // A scheme without ports is matched by its host.
                url::Origin::Tuple(scheme.to_string(), host.clone(), port.unwrap_or(0))
            }
            Origin::Opaque(_) => url::Origin::new_opaque(),
        };
        Self { policies: content_security_policy::CspList(Vec::new()), self_origin }
    }

    /// Adds the policies of a header's value, which are separated by commas.
    pub fn push_header(&mut self, value: &str, disposition: CspDisposition) {
        let disposition = match disposition {
            CspDisposition::Enforce => PolicyDisposition::Enforce,
            CspDisposition::Report => PolicyDisposition::Report,
        };
        let mut parsed =
            content_security_policy::CspList::parse(value, PolicySource::Header, disposition);
        parsed.0.iter_mut().for_each(drop_impossible_ports);
        self.policies.append(parsed);
    }

    /// Adds the policy of a `<meta http-equiv=Content-Security-Policy>`, which is one. The directives
    /// that a `<meta>` cannot set do not concern requests.
    pub fn push_meta(&mut self, content: &str) {
        let mut policy = Policy::parse(content, PolicySource::Meta, PolicyDisposition::Enforce);
        drop_impossible_ports(&mut policy);
        if !policy.directive_set.is_empty() {
            self.policies.push(policy);
        }
    }

    /// The values of this directive in each enforced policy that has it, to derive what is not about
    /// requests: `upgrade-insecure-requests`, `sandbox`.
    pub fn enforced_directives(&self, name: &str) -> impl Iterator<Item = &[String]> {
        let enforced = self
            .policies
            .0
            .iter()
            .filter(|policy| policy.disposition == PolicyDisposition::Enforce);
        enforced
            .filter_map(move |policy| policy.directive_set.iter().find(|it| it.name == name))
            .map(|directive| &*directive.value)
    }
}

/// Drops source expressions whose port is none: they match nothing, but the crate takes them to match
/// a URL without a port.
fn drop_impossible_ports(policy: &mut Policy) {
    for directive in &mut policy.directive_set {
        directive.value.retain(|source| {
            let authority = source.split_once("://").map_or(&**source, |(_, rest)| rest);
            let authority = authority.split('/').next().unwrap_or_default();
            let port = authority.rsplit_once(':').map_or("*", |(_, port)| port);
            let is_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            !is_digits || port.parse::<u16>().is_ok()
        });
    }
}

/// An empty list.
impl Default for CspList {
    fn default() -> Self {
        Self::new(&Origin::Opaque(0))
    }
}

/// A [violation](https://w3c.github.io/webappsec-csp/#violation) by a request, for the engine to
/// [report](https://w3c.github.io/webappsec-csp/#report-violation).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CspViolation {
    /// Resource: the request's URL, the one before any redirect.
    pub blocked_url: Url,
    /// Effective directive: `connect-src`.
    pub effective_directive: String,
    /// The policy, serialised.
    pub original_policy: String,
    /// The policy's disposition.
    pub disposition: CspDisposition,
    /// The policy's `report-uri` directive, its tokens not yet parsed as URLs.
    pub report_uri: Vec<String>,
    /// The policy's `report-to` directive.
    pub report_to: Option<String>,
}

/// [Report Content Security Policy violations for request](https://w3c.github.io/webappsec-csp/#report-for-request):
/// the violations of policies that only report.
pub(crate) fn report_only_violations(request: &Request) -> Vec<CspViolation> {
    let list = &request.client.csp_list;
    if list.policies.0.is_empty() {
        return Vec::new();
    }
    // Steps 1 and 2.
    let violations = list.policies.report_violations_for_request(&csp_request(request, list));
    violations.into_iter().map(|found| violation(request, found)).collect()
}

/// [Should request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-request):
/// the violations of enforced policies; it is blocked if there are any.
pub(crate) fn enforced_violations(request: &Request) -> Vec<CspViolation> {
    let list = &request.client.csp_list;
    if list.policies.0.is_empty() {
        return Vec::new();
    }
    // Steps 1 to 4.
    let (result, violations) = list.policies.should_request_be_blocked(&csp_request(request, list));
    debug_assert_eq!(result == CheckResult::Blocked, !violations.is_empty());
    violations.into_iter().map(|found| violation(request, found)).collect()
}

fn csp_request(request: &Request, list: &CspList) -> content_security_policy::Request {
    content_security_policy::Request {
        url: request.url().clone(),
        current_url: request.current_url().clone(),
        // Only to match `'self'`.
        origin: list.self_origin.clone(),
        redirect_count: request.redirect_count.into(),
        destination: Destination::None,
        initiator: Initiator::None,
        nonce: String::new(),
        integrity_metadata: String::new(),
        parser_metadata: ParserMetadata::None,
    }
}

/// [Create a violation object for request](https://w3c.github.io/webappsec-csp/#create-violation-for-request),
/// and policy.
fn violation(request: &Request, Violation { directive, policy, .. }: Violation) -> CspViolation {
    let value = |name| {
        let directive = policy.directive_set.iter().find(|directive| directive.name == name);
        directive.map_or(&[][..], |directive| &directive.value)
    };
    CspViolation {
        blocked_url: request.url().clone(),
        effective_directive: directive.name,
        original_policy: policy.to_string(),
        disposition: match policy.disposition {
            PolicyDisposition::Enforce => CspDisposition::Enforce,
            PolicyDisposition::Report => CspDisposition::Report,
        },
        report_uri: value("report-uri").to_vec(),
        report_to: value("report-to").first().cloned(),
    }
}
