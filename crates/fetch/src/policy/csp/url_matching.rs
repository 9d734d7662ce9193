//! Whether a URL [matches](https://w3c.github.io/webappsec-csp/#match-url-to-source-list) source expressions.

use content_security_policy::{
    Initiator, ParserMetadata, Policy, PolicyDisposition, PolicySource, Violates,
};
use url::Url;

use super::{
    list::{CspList, HeldPolicy},
    source_expressions::drop_impossible_ports,
    violation::{CspDisposition, CspViolation, strip_url_for_use_in_reports},
};
use crate::origin::Origin;

/// [Does url match expression in origin with redirect count?](https://w3c.github.io/webappsec-csp/#match-url-to-source-expression),
/// where `expression` is a scheme-source or a host-source, the origin is the URL's own, and there was no redirect.
pub(crate) fn expression_matches(expression: &str, url: &Url) -> bool {
    // Anything with these characters is a keyword, or would add directives or policies to the text below.
    if expression.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '\'' | ';' | ',')) {
        return false;
    }
    let directive = format!("connect-src {expression}");
    let mut policy = Policy::parse(&directive, PolicySource::Header, PolicyDisposition::Enforce);
    drop_impossible_ports(&mut policy);
    let described = csp_request(url.clone(), url.clone(), url.origin(), 0);
    policy.does_request_violate_policy(&described) == Violates::DoesNotViolate
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
        violated.map(|held| held.violation(effective, blocked_uri())).collect()
    }

    /// [Does url match source list in origin with redirect count?](https://w3c.github.io/webappsec-csp/#match-url-to-source-list),
    /// where the origin is the self-origin and there was no redirect.
    fn source_list_matches(&self, list: &[String], url: &Url) -> bool {
        let mut of_list = Self::new(&self.self_origin);
        of_list.push_header(&format!("connect-src {}", list.join(" ")), CspDisposition::Enforce);
        let described = csp_request(url.clone(), url.clone(), self_origin(self), 0);
        let matches = |held: &HeldPolicy| {
            held.matched.does_request_violate_policy(&described) == Violates::DoesNotViolate
        };
        of_list.policies.iter().all(matches)
    }
}

/// The list's self-origin as a `url::Origin`, good only for matching `'self'`.
pub(super) fn self_origin(list: &CspList) -> url::Origin {
    match &list.self_origin {
        Origin::Tuple { scheme, host, port } => {
            // NB: a scheme without ports gets port 0. Its scheme and host alone then decide the match.
            url::Origin::Tuple(scheme.to_string(), host.clone(), port.unwrap_or(0))
        }
        Origin::Opaque(_) => url::Origin::new_opaque(),
    }
}

/// A request as the crate `content-security-policy` describes it, with an empty destination.
pub(super) fn csp_request(
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
    use super::*;
    use crate::Nonce;

    #[test]
    fn the_first_directive_that_a_policy_has_decides_for_the_engine() {
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
}
