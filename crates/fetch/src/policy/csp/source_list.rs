//! [Source lists](https://w3c.github.io/webappsec-csp/#framework-directive-source-list): parsed once, and
//! indexed so that a match costs the same whatever number of expressions there is.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use percent_encoding::percent_decode;
use url::{Host, Url};

use super::{
    source_expression::{HostPart, HostSource, PortPart, SourceExpression},
    trie::Trie,
};
use crate::{http_url::is_http, origin::Origin};

/// A source list, indexed by what its expressions look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceList {
    /// It has `*`.
    has_any: bool,
    /// It has `'self'`.
    has_self: bool,
    /// The scheme-parts of its scheme-sources.
    schemes: HashSet<SchemePart>,
    /// Its host-sources, by the labels of their host-parts from the right.
    hosts: Trie<HostSources>,
    /// Its host-sources with the host-part `*`.
    any_host: Endpoints,
}

/// The host-sources whose host-part ends with certain labels.
#[derive(Clone, Debug, Default)]
struct HostSources {
    /// The host-part is these labels.
    domain: Endpoints,
    /// The host-part is `*.` and these labels.
    subdomains: Endpoints,
}

/// What host-sources with the same host-part allow.
#[derive(Clone, Debug, Default)]
struct Endpoints(HashMap<(Option<SchemePart>, PortPart), Paths>);

/// The path-parts of host-sources that differ in nothing else.
#[derive(Clone, Debug, Default)]
struct Paths {
    /// One of them has no path-part.
    has_any: bool,
    /// By decoded pieces.
    parts: Trie<PathParts>,
}

/// The path-parts that end at a piece.
#[derive(Clone, Copy, Debug, Default)]
struct PathParts {
    /// One ends with this piece.
    exact: bool,
    /// One ends with this piece and a `/`: whatever follows matches.
    directory: bool,
}

/// A scheme-part, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SchemePart {
    Http,
    Https,
    Ws,
    Wss,
    Other(Box<str>),
}

impl SchemePart {
    /// The scheme-part of a scheme in lower case.
    fn new(scheme: &str) -> Self {
        match scheme {
            "http" => Self::Http,
            "https" => Self::Https,
            "ws" => Self::Ws,
            "wss" => Self::Wss,
            other => Self::Other(other.into()),
        }
    }

    /// Every scheme-part that [matches](https://w3c.github.io/webappsec-csp/#match-schemes) a URL's scheme.
    fn matching(scheme: &str) -> Cow<'static, [Self]> {
        // Step 1.
        Cow::Borrowed(match scheme {
            "http" => &[Self::Http, Self::Ws],
            "https" => &[Self::Https, Self::Http, Self::Ws, Self::Wss],
            "ws" => &[Self::Ws],
            "wss" => &[Self::Wss, Self::Ws],
            _ => return Cow::Owned(vec![Self::new(scheme)]),
        })
    }
}

impl SourceList {
    /// About how many bytes of memory a source expression takes in a list. Each label of a host and each piece of a path may
    /// be a node of its own.
    pub(crate) fn held_bytes(expression: &str) -> usize {
        let separators = expression.bytes().filter(|byte| matches!(byte, b'.' | b'/')).count();
        512 + 192 * separators
    }

    /// Parses the tokens of a directive's value.
    pub(crate) fn new<'a>(value: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for expression in value.into_iter().filter_map(SourceExpression::parse) {
            match expression {
                SourceExpression::Any => list.has_any = true,
                SourceExpression::SelfOrigin => list.has_self = true,
                SourceExpression::Scheme(scheme) => {
                    list.schemes.insert(SchemePart::new(&scheme.to_ascii_lowercase()));
                }
                SourceExpression::Host(source) => list.add(&source),
            }
        }
        list
    }

    fn add(&mut self, source: &HostSource<'_>) {
        let endpoints = match source.host_part {
            HostPart::Any => &mut self.any_host,
            HostPart::SubdomainsOf(domain) => &mut self.host_sources(domain).subdomains,
            HostPart::Domain(domain) => &mut self.host_sources(domain).domain,
        };
        let scheme_part = source.scheme_part.map(|it| SchemePart::new(&it.to_ascii_lowercase()));
        let key = (scheme_part, source.port_part);
        endpoints.0.entry(key).or_default().add(source.path_part);
    }

    fn host_sources(&mut self, domain: &str) -> &mut HostSources {
        let domain = domain.to_ascii_lowercase();
        self.hosts.entry(domain.rsplit('.').map(str::as_bytes))
    }

    /// [Does url match source list in origin with redirect count?](https://w3c.github.io/webappsec-csp/#match-url-to-source-list)
    ///
    /// A list without an expression that can match a URL, such as `'none'` or the empty list, matches nothing.
    pub(crate) fn matches(&self, url: &Url, origin: &Origin, is_redirected: bool) -> bool {
        // Steps 1 to 3: no URL matches the index of an empty list. Step 4.
        self.has_any && any_matches(url, origin)
            || self.has_self && self_matches(url, origin)
            || self.matches_scheme(url.scheme())
            || self.matches_host(url, origin, is_redirected)
    }

    /// Match a URL to an expression, Step 2, of every scheme-source.
    fn matches_scheme(&self, scheme: &str) -> bool {
        // Steps 2.1 and 2.2.
        !self.schemes.is_empty()
            && SchemePart::matching(scheme).iter().any(|it| self.schemes.contains(it))
    }

    /// Match a URL to an expression, Steps 2 and 3, of every host-source.
    fn matches_host(&self, url: &Url, origin: &Origin, is_redirected: bool) -> bool {
        // Step 3.1, and host-part matching's Step 1: only a domain is matched.
        let Some(Host::Domain(host)) = url.host() else { return false };
        let asked = Asked::new(url, origin, is_redirected);
        // Step 3.3 is host-part matching. Its Step 2: the host-part `*`.
        if self.any_host.match_url(&asked) {
            return true;
        }
        let host = host.to_ascii_lowercase();
        // Its Steps 3 and 4: a host-part `*.` with a domain, and a host-part that is a domain.
        let labels = host.rsplit('.').map(str::as_bytes);
        self.hosts.walk(labels).any(|(sources, is_whole)| {
            if is_whole {
                sources.domain.match_url(&asked)
            } else {
                sources.subdomains.match_url(&asked)
            }
        })
    }
}

/// What a host-source is compared with: the URL and its context, except the host, by which the index finds it.
struct Asked<'a> {
    url: &'a Url,
    /// The scheme-parts that match.
    schemes: Cow<'static, [SchemePart]>,
    /// Whether a host-source without a scheme-part matches.
    matches_without_scheme: bool,
    ports: [Option<PortPart>; 3],
    is_redirected: bool,
}

impl<'a> Asked<'a> {
    fn new(url: &'a Url, origin: &Origin, is_redirected: bool) -> Self {
        // Step 2.1 of matching an expression.
        let schemes = SchemePart::matching(url.scheme());
        // Step 3.2.
        let matches_without_scheme = match origin {
            Origin::Tuple { scheme, .. } => schemes.contains(&SchemePart::new(scheme)),
            Origin::Opaque(_) => false,
        };
        // Steps 3.4 and 3.5, which is port-part matching.
        let default = url.port().is_none().then_some(PortPart::Default);
        let number = url.port_or_known_default().map(PortPart::Number);
        let ports = [Some(PortPart::Any), default, number];
        Self { url, schemes, matches_without_scheme, ports, is_redirected }
    }
}

impl Endpoints {
    fn match_url(&self, asked: &Asked<'_>) -> bool {
        let without_scheme = asked.matches_without_scheme.then_some(None);
        let mut schemes = asked.schemes.iter().cloned().map(Some).chain(without_scheme);
        !self.0.is_empty()
            && schemes.any(|scheme| {
                asked.ports.iter().flatten().any(|port| {
                    let paths = self.0.get(&(scheme.clone(), *port));
                    // Step 3.6.
                    paths
                        .is_some_and(|paths| asked.is_redirected || paths.matches(asked.url.path()))
                })
            })
    }
}

impl Paths {
    fn add(&mut self, path_part: &str) {
        if path_part.is_empty() {
            self.has_any = true;
            return;
        }
        let (pieces, is_directory) = match path_part.strip_suffix('/') {
            Some(directory) => (directory, true),
            None => (path_part, false),
        };
        let pieces: Vec<_> = decoded_pieces(pieces).collect();
        let parts = self.parts.entry(pieces.iter().map(AsRef::as_ref));
        if is_directory {
            parts.directory = true;
        } else {
            parts.exact = true;
        }
    }

    /// Whether one of the path-parts
    /// [matches](https://w3c.github.io/webappsec-csp/#match-paths) the path of a URL.
    fn matches(&self, path: &str) -> bool {
        // Steps 1 and 2. NB: a URL with a host and without a path is matched by "/" alone.
        if self.has_any {
            return true;
        }
        let path = if path.is_empty() { "/" } else { path };
        // Steps 3 to 8.
        let mut walk = self.parts.walk(decoded_pieces(path));
        walk.any(|(parts, is_whole)| if is_whole { parts.exact } else { parts.directory })
    }
}

/// The pieces between slashes, percent-decoded.
fn decoded_pieces(path: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    path.split('/').map(|piece| percent_decode(piece.as_bytes()).into())
}

/// Match a URL to an expression, Step 1: `*`.
fn any_matches(url: &Url, origin: &Origin) -> bool {
    // Step 1.1.
    is_http(url)
        // Step 1.2.
        || matches!(origin, Origin::Tuple { scheme, .. } if **scheme == *url.scheme())
}

/// Match a URL to an expression, Step 4: `'self'`.
///
/// NB: a `blob:` URL has the origin that made it, and browsers do not let it match.
fn self_matches(url: &Url, origin: &Origin) -> bool {
    let Origin::Tuple { scheme, host, port } = origin else { return false };
    let is_same_host = match (url.host(), host) {
        (Some(Host::Domain(of_url)), Host::Domain(of_origin)) => of_url == of_origin,
        (Some(Host::Ipv4(of_url)), Host::Ipv4(of_origin)) => of_url == *of_origin,
        (Some(Host::Ipv6(of_url)), Host::Ipv6(of_origin)) => of_url == *of_origin,
        _ => false,
    };
    if !is_same_host {
        return false;
    }
    let scheme = &**scheme;
    let is_same_port = url.port_or_known_default() == *port;
    // Step 4.1.
    if scheme == url.scheme() && is_same_port {
        return true;
    }
    // Step 4.2.
    let is_default = url.port().is_none() && *port == default_port(scheme);
    // Steps 4.2.1 and 4.2.2.
    let is_upgrade = matches!(url.scheme(), "https" | "wss")
        || scheme == "http" && matches!(url.scheme(), "http" | "ws");
    (is_same_port || is_default) && is_upgrade
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
