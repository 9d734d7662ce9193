//! The directives of a parsed policy, and corrections to their source expressions before the policy is matched.

use content_security_policy::{Directive, Policy};

/// Drops source expressions whose port is over 65,535.
///
/// NB: such an expression matches nothing, but content-security-policy 0.9 lets it match a URL without a port.
pub(super) fn drop_impossible_ports(policy: &mut Policy) {
    for directive in source_lists(policy) {
        directive.value.retain(|source| {
            let authority = without_scheme(source).split('/').next().unwrap_or_default();
            let port = authority.rsplit_once(':').map_or("*", |(_, port)| port);
            let is_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            !is_digits || port.parse::<u16>().is_ok()
        });
    }
}

/// Adds `secure_origin` to each source list with `'self'`, so that `'self'` of an `http` origin also matches `https`.
/// Both have the default port of their scheme. See
/// [match a URL to an expression](https://w3c.github.io/webappsec-csp/#match-url-to-source-expression).
///
/// NB: content-security-policy 0.9 tries to do this, but it compares the default port with the port of a URL, and a
/// URL with the default port has none.
pub(super) fn add_secure_self(policy: &mut Policy, secure_origin: &str) {
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

/// Whether a source expression may have a path-part.
pub(super) fn has_path(source: &str) -> bool {
    !source.starts_with('\'') && without_scheme(source).contains('/')
}

/// The directives that this library matches requests against.
pub(super) fn source_lists(policy: &mut Policy) -> impl Iterator<Item = &mut Directive> {
    let directives = policy.directive_set.iter_mut();
    directives.filter(|directive| matches!(&*directive.name, "connect-src" | "default-src"))
}

/// The values of the directive `name`, if the policy has this directive.
pub(super) fn directive<'a>(policy: &'a Policy, name: &str) -> Option<&'a [String]> {
    let found = policy.directive_set.iter().find(|directive| directive.name == name);
    found.map(|directive| &*directive.value)
}
