//! [Content Security Policy](https://w3c.github.io/webappsec-csp/#fetch-integration), by the crate
//! `content-security-policy`, which implements the standard's algorithms under their names.

mod fetch_integration;
mod lately_allowed;
mod reporting;
mod violation;

use content_security_policy::{Directive, Policy, PolicyDisposition, PolicySource};

pub(crate) use self::fetch_integration::{
    enforced_violations, expression_matches, report_only_violations, response_violations,
};
use self::lately_allowed::LatelyAllowed;
pub use self::{reporting::report_violation, violation::CspViolation};
use crate::{Nonce, Origin};

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
        let has_path = source_lists(&mut policy)
            .any(|directive| directive.value.iter().any(|source| has_path(source)));
        self.lately_allowed.forget(has_path);
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

/// An empty list.
impl Default for CspList {
    fn default() -> Self {
        Self::new(&Origin::Opaque(Nonce::from_u128(0)))
    }
}

impl HeldPolicy {
    fn directive(&self, name: &str) -> Option<&[String]> {
        let found = self.matched.directive_set.iter().find(|directive| directive.name == name);
        found.map(|directive| &*directive.value)
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
