//! [Source expressions](https://w3c.github.io/webappsec-csp/#framework-directive-source-list), by their grammar.

/// A source expression that can match a URL. Nonces, hashes and the other keywords cannot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SourceExpression<'a> {
    /// `*`
    Any,
    /// `'self'`
    SelfOrigin,
    /// A scheme-source: its scheme-part.
    Scheme(&'a str),
    /// A host-source.
    Host(HostSource<'a>),
}

/// A [host-source](https://w3c.github.io/webappsec-csp/#grammardef-host-source).
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The grammar's names.
pub(super) struct HostSource<'a> {
    pub(super) scheme_part: Option<&'a str>,
    pub(super) host_part: HostPart<'a>,
    pub(super) port_part: PortPart,
    /// Empty for an expression without a path-part.
    pub(super) path_part: &'a str,
}

/// A host-part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostPart<'a> {
    /// `*`
    Any,
    /// `*.` and the domain whose subdomains match.
    SubdomainsOf(&'a str),
    Domain(&'a str),
}

/// A port-part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PortPart {
    /// The expression has no port-part: the default port matches.
    Default,
    /// `*`
    Any,
    Number(u16),
}

impl<'a> SourceExpression<'a> {
    /// Parses an expression. `None` if no URL can match it.
    pub(super) fn parse(expression: &'a str) -> Option<Self> {
        if expression == "*" {
            return Some(Self::Any);
        }
        if expression.eq_ignore_ascii_case("'self'") {
            return Some(Self::SelfOrigin);
        }
        if let Some(scheme) = expression.strip_suffix(':')
            && is_scheme(scheme)
        {
            return Some(Self::Scheme(scheme));
        }
        HostSource::parse(expression).map(Self::Host)
    }
}

impl<'a> HostSource<'a> {
    fn parse(expression: &'a str) -> Option<Self> {
        let (scheme_part, rest) = match expression.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            _ => (None, expression),
        };
        let (authority, path_part) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let port_part = match port {
            None => PortPart::Default,
            Some("*") => PortPart::Any,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()) => {
                // A larger number is the port of no URL.
                PortPart::Number(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        let host_part = HostPart::parse(host)?;
        is_path(path_part).then_some(Self { scheme_part, host_part, port_part, path_part })
    }
}

impl<'a> HostPart<'a> {
    fn parse(host: &'a str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Any);
        }
        let (domain, part): (_, fn(&'a str) -> Self) = match host.strip_prefix("*.") {
            Some(domain) => (domain, Self::SubdomainsOf),
            None => (host, Self::Domain),
        };
        let is_host_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_host_char);
        domain.strip_suffix('.').unwrap_or(domain).split('.').all(is_label).then(|| part(domain))
    }
}

/// Whether the text is a scheme of RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'-' | b'.'))
}

/// Whether the text is empty or a path-absolute of RFC 3986, section 3.3.
fn is_path(text: &str) -> bool {
    let is_path_char =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/:@%!$&'()*+,;=-._~".contains(&byte);
    !text.starts_with("//") && text.bytes().all(is_path_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(expression: &str) -> Option<(Option<&str>, HostPart<'_>, PortPart, &str)> {
        match SourceExpression::parse(expression)? {
            SourceExpression::Host(it) => {
                Some((it.scheme_part, it.host_part, it.port_part, it.path_part))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_expression_is_a_keyword_a_scheme_or_a_host() {
        for (expression, expected) in [
            ("*", Some(SourceExpression::Any)),
            ("'SELF'", Some(SourceExpression::SelfOrigin)),
            ("data:", Some(SourceExpression::Scheme("data"))),
            ("X-y.z+1:", Some(SourceExpression::Scheme("X-y.z+1"))),
            ("'none'", None),
            ("'unsafe-inline'", None),
            ("'nonce-abc'", None),
            ("1data:", None),
            ("", None),
        ] {
            assert_eq!(SourceExpression::parse(expression), expected, "{expression}");
        }
    }

    #[test]
    fn a_host_source_has_four_parts() {
        use HostPart::{Any, Domain, SubdomainsOf};
        let (none, default) = (None, PortPart::Default);
        for (expression, expected) in [
            ("a.test", (none, Domain("a.test"), default, "")),
            ("A.test.", (none, Domain("A.test."), default, "")),
            ("localhost:80", (none, Domain("localhost"), PortPart::Number(80), "")),
            (
                "https://*.a.test:*/x/",
                (Some("https"), SubdomainsOf("a.test"), PortPart::Any, "/x/"),
            ),
            ("ws://*", (Some("ws"), Any, default, "")),
            ("*:8080", (none, Any, PortPart::Number(8080), "")),
            ("127.0.0.1/%20;", (none, Domain("127.0.0.1"), default, "/%20;")),
        ] {
            assert_eq!(host(expression), Some(expected), "{expression}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_have_matches_nothing() {
        for expression in [
            "a.test:65536",
            "a.test:8o",
            "a..test",
            ".a.test",
            "*a.test",
            "*.*.test",
            "a.*",
            "[::1]",
            "a_b.test",
            "https://",
            "http://u@a.test",
            "//a.test",
            "a.test//x",
            "a.test?q",
            "a.test/x?q",
            "a.test/x#f",
            "\u{fc}.test",
        ] {
            assert_eq!(host(expression), None, "{expression}");
        }
    }
}
