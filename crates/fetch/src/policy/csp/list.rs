//! The [CSP list](https://w3c.github.io/webappsec-csp/#csp-list) and its policies.

use content_security_policy::{Policy, PolicyDisposition, PolicySource};

use super::{
    recently_allowed::RecentlyAllowed,
    source_expressions::{
        add_secure_self, directive, drop_impossible_ports, has_path, source_lists,
    },
    violation::{CspDisposition, CspViolation},
};
use crate::{nonce::Nonce, origin::Origin};

/// A [CSP list](https://w3c.github.io/webappsec-csp/#csp-list): policies, and the self-origin that `'self'` stands
/// for in each of them.
///
/// It remembers the last few URLs that violated no policy. A clone starts without that memory.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "SerializedCspList", from = "SerializedCspList")
)]
pub struct CspList {
    pub(super) policies: Vec<HeldPolicy>,
    pub(super) self_origin: Origin,
    pub(super) recently_allowed: RecentlyAllowed,
}

/// The serialised form of a [`CspList`]: each policy as text.
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
            // NB: `Header` for policies of a `<meta>` too: `push_meta` has already removed the directives that
            // a `<meta>` cannot set.
            made.push(
                Policy::parse(&policy, PolicySource::Header, disposition.into()),
                disposition,
            );
        }
        made
    }
}

/// A policy in two forms: the text to report, and the parsed policy to match against.
#[derive(Clone, Debug)]
pub(super) struct HeldPolicy {
    pub(super) serialized: String,
    pub(super) disposition: CspDisposition,
    /// Parsed, and corrected where `content-security-policy` matches wrongly.
    pub(super) matched: Policy,
}

impl CspList {
    /// An empty list with this self-origin.
    ///
    /// The self-origin is the origin of the response that the policies come with. It stays that origin when a
    /// sandbox makes the document's own origin opaque.
    #[must_use]
    pub fn new(self_origin: &Origin) -> Self {
        let (policies, recently_allowed) = Default::default();
        Self { policies, self_origin: self_origin.clone(), recently_allowed }
    }

    /// Adds the policies of a header's value. Commas separate the policies.
    pub fn push_header(&mut self, value: &str, disposition: CspDisposition) {
        let source = PolicySource::Header;
        let parsed = content_security_policy::CspList::parse(value, source, disposition.into());
        parsed.0.into_iter().for_each(|policy| self.push(policy, disposition));
    }

    /// Adds the one policy of a `<meta http-equiv=Content-Security-Policy>`, without the
    /// [directives that a `<meta>` cannot set](https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-content-security-policy).
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
        self.recently_allowed.forget(has_path);
        self.policies.push(HeldPolicy { serialized, disposition, matched: policy });
    }

    /// The total length of the serialised policies, in bytes.
    #[must_use]
    pub fn serialized_length(&self) -> usize {
        self.policies.iter().map(|held| held.serialized.len()).sum()
    }

    /// The values of the directive `name`, one for each enforced policy that has this directive.
    ///
    /// The engine uses it for directives that do not match requests, such as `upgrade-insecure-requests` and
    /// `sandbox`.
    pub fn enforced_directives(&self, name: &str) -> impl Iterator<Item = &[String]> {
        self.policies
            .iter()
            .filter(|held| held.disposition == CspDisposition::Enforce)
            .filter_map(move |held| held.directive(name))
    }
}

/// An empty list with an opaque self-origin.
impl Default for CspList {
    fn default() -> Self {
        Self::new(&Origin::Opaque(Nonce::from_u128(0)))
    }
}

impl HeldPolicy {
    /// The values of the directive `name`, if the policy has this directive.
    pub(super) fn directive(&self, name: &str) -> Option<&[String]> {
        directive(&self.matched, name)
    }

    /// A violation of this policy.
    pub(super) fn violation(&self, effective_directive: &str, blocked_uri: String) -> CspViolation {
        let Self { serialized, disposition, matched } = self;
        CspViolation::of(matched, serialized, *disposition, effective_directive, blocked_uri)
    }
}
