//! The [CSP list](https://w3c.github.io/webappsec-csp/#csp-list).

use std::sync::Arc;

use url::Url;

use super::{
    directives::deciding_directive,
    policy::{CspDisposition, Directive, Policy},
    violation::{CspViolation, strip_url_for_use_in_reports},
};
use crate::{nonce::Nonce, origin::Origin};

/// How many policies a list may have. Every request asks each of them. The last one is [`FORBIDS_ALL`], in place of the
/// policies that the list has no room for.
const MAX_POLICIES: usize = 1000;

/// A policy that forbids everything.
const FORBIDS_ALL: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// A [CSP list](https://w3c.github.io/webappsec-csp/#csp-list): policies, and the self-origin that `'self'` stands
/// for in each of them. A clone shares the policies.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "SerializedCspList", from = "SerializedCspList")
)]
pub struct CspList {
    pub(super) policies: Vec<Arc<Policy>>,
    self_origin: Origin,
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
        let CspList { policies, self_origin } = list;
        let policies = policies.iter().map(|policy| (policy.serialize(), policy.disposition));
        Self { policies: policies.collect(), self_origin }
    }
}

#[cfg(feature = "serde")]
impl From<SerializedCspList> for CspList {
    fn from(list: SerializedCspList) -> Self {
        let mut made = Self::new(&list.self_origin);
        for (serialized, disposition) in list.policies {
            made.push(Policy::parse(&serialized, disposition));
        }
        made
    }
}

impl CspList {
    /// An empty list with this self-origin.
    ///
    /// The self-origin is the origin of the response that the policies come with. It stays that origin when a
    /// sandbox makes the document's own origin opaque.
    #[must_use]
    pub fn new(self_origin: &Origin) -> Self {
        Self { policies: Vec::new(), self_origin: self_origin.clone() }
    }

    /// Adds the policies of a header's value. Commas separate the policies.
    pub fn push_header(&mut self, value: &str, disposition: CspDisposition) {
        for serialized in value.split(',') {
            self.push(Policy::parse(serialized, disposition));
        }
    }

    /// Adds the one policy of a `<meta http-equiv=Content-Security-Policy>`, without the
    /// [directives that a `<meta>` cannot set](https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-content-security-policy).
    pub fn push_meta(&mut self, content: &str) {
        let policy = Policy::parse(content, CspDisposition::Enforce);
        self.push(policy.without(&["report-uri", "frame-ancestors", "sandbox"]));
    }

    fn push(&mut self, policy: Policy) {
        if policy.is_empty() || self.policies.len() >= MAX_POLICIES {
            return;
        }
        let is_last = self.policies.len() + 1 == MAX_POLICIES;
        let forbids_all = || Policy::parse(FORBIDS_ALL, CspDisposition::Enforce);
        self.policies.push(Arc::new(if is_last { forbids_all() } else { policy }));
    }

    /// The total length of the serialised policies, in bytes.
    #[must_use]
    pub fn serialized_length(&self) -> usize {
        self.policies.iter().map(|policy| policy.serialized_length()).sum()
    }

    /// About how many bytes of memory the policies take.
    pub(crate) fn held_bytes(&self) -> usize {
        self.policies.iter().map(|policy| policy.held_bytes()).sum()
    }

    /// The values of the directive `name`, one for each enforced policy that has this directive.
    ///
    /// The engine uses it for directives that do not match requests, such as `upgrade-insecure-requests` and
    /// `sandbox`.
    pub fn enforced_directives(&self, name: &str) -> impl Iterator<Item = &[String]> {
        self.policies
            .iter()
            .filter(|policy| policy.disposition == CspDisposition::Enforce)
            .filter_map(move |policy| policy.directive(name).map(Directive::value))
    }

    /// The violations by a load of `url` that the engine makes itself, for example with the effective directive
    /// `frame-src`. `url` is not the target of a redirect.
    ///
    /// A policy without the directive decides by its
    /// [fallbacks](https://w3c.github.io/webappsec-csp/#directive-fallback-list).
    ///
    /// ```
    /// use sendbeacon_fetch::{CspDisposition, CspList, Nonce, Origin};
    /// use url::Url;
    ///
    /// let page = Url::parse("https://a.test/")?;
    /// let mut policies = CspList::new(&Origin::of(&page, Nonce::random()));
    /// policies.push_header("default-src 'self'; img-src *", CspDisposition::Enforce);
    /// let other = Url::parse("https://b.test/x")?;
    /// assert!(policies.violations_of("img-src", &other).is_empty());
    /// assert_eq!(policies.violations_of("frame-src", &other).len(), 1);
    /// # Ok::<(), url::ParseError>(())
    /// ```
    #[must_use]
    pub fn violations_of(&self, effective_directive: &str, url: &Url) -> Vec<CspViolation> {
        let blocked_uri = || strip_url_for_use_in_reports(url.clone()).into();
        self.policies
            .iter()
            .filter(|policy| self.is_violated(policy, effective_directive, url, false))
            .map(|policy| CspViolation::of(policy, effective_directive, blocked_uri()))
            .collect()
    }

    /// Whether a load of `url` violates the policy, which is of this list.
    pub(super) fn is_violated(
        &self,
        policy: &Policy,
        effective_directive: &str,
        url: &Url,
        is_redirected: bool,
    ) -> bool {
        let directive = deciding_directive(policy, effective_directive);
        directive.is_some_and(|it| !it.matches(url, &self.self_origin, is_redirected))
    }
}

/// An empty list with an opaque self-origin.
impl Default for CspList {
    fn default() -> Self {
        Self::new(&Origin::Opaque(Nonce::from_u128(0)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_first_directive_that_a_policy_has_decides_for_the_engine() {
        let origin = Origin::of(&Url::parse("https://a.test/").unwrap(), Nonce::from_u128(1));
        let mut list = CspList::new(&origin);
        list.push_header("frame-src 'self' *.b.test; default-src *", CspDisposition::Enforce);
        list.push_header("default-src 'none'", CspDisposition::Report);
        list.push_header("img-src 'none'", CspDisposition::Enforce);
        let violated = |url: &str| {
            let url = Url::parse(url).unwrap();
            let violations = list.violations_of("frame-src", &url);
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
    fn a_list_without_room_for_another_policy_forbids_everything() {
        let url = Url::parse("https://a.test/").unwrap();
        let mut list = CspList::default();
        list.push_header(&"connect-src *,".repeat(MAX_POLICIES - 1), CspDisposition::Enforce);
        assert!(list.violations_of("connect-src", &url).is_empty());
        list.push_meta("img-src *");
        list.push_meta("img-src *");
        for directive in ["connect-src", "frame-ancestors"] {
            assert_eq!(list.violations_of(directive, &url).len(), 1, "{directive}");
        }
        assert_eq!(list.enforced_directives("sandbox").count(), 1);
        assert_eq!(list.policies.len(), MAX_POLICIES);
    }

    #[test]
    fn a_policy_with_very_many_directives_is_read_and_asked_quickly() {
        let url = Url::parse("https://a.test/").unwrap();
        let many: Vec<_> = (0..200_000).map(|number| format!("d{number};")).collect();
        let mut list = CspList::default();
        let before = Instant::now();
        list.push_header(&format!("{} connect-src 'none'", many.concat()), CspDisposition::Enforce);
        for _ in 0..1000 {
            assert_eq!(list.violations_of("connect-src", &url).len(), 1);
        }
        // NB: by a search through all directives this would take minutes.
        assert!(before.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn the_policy_of_a_meta_is_one_policy_whatever_it_contains() {
        let mut list = CspList::default();
        list.push_meta("img-src https://b.test, connect-src https://c.test; report-uri /r");
        let violated = |directive: &str, url: &str| {
            !list.violations_of(directive, &Url::parse(url).unwrap()).is_empty()
        };
        // "https://b.test," is no source expression, and "connect-src" is one that is a host.
        assert!(violated("img-src", "https://b.test/") && violated("img-src", "https://d.test/"));
        assert!(!violated("img-src", "https://c.test/"));
        assert!(!violated("connect-src", "https://d.test/"));
        assert_eq!(
            list.violations_of("img-src", &Url::parse("https://d.test/").unwrap())[0].report_uri,
            [""; 0]
        );
    }
}
