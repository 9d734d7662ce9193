//! Whether a URL [matches](https://w3c.github.io/webappsec-csp/#match-url-to-source-list) source expressions.

use content_security_policy::{
    Initiator, ParserMetadata, Policy, PolicyDisposition, PolicySource, Violates,
};
use url::Url;

use super::{
    list::{CspDisposition, CspList, HeldPolicy},
    source_expressions::drop_impossible_ports,
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
    /// [Does url match source list in origin with redirect count?](https://w3c.github.io/webappsec-csp/#match-url-to-source-list),
    /// where the origin is the self-origin and there was no redirect.
    pub(super) fn source_list_matches(&self, list: &[String], url: &Url) -> bool {
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
