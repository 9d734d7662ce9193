//! Domain matching.

use url::Host;

/// [Domain matching](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-domain-matching).
pub(crate) fn domain_matches(host: &Host<&str>, domain: &Host<&str>) -> bool {
    match (host, domain) {
        (Host::Domain(host), Host::Domain(domain)) => {
            host.strip_suffix(domain).is_some_and(|below| below.is_empty() || below.ends_with('.'))
        }
        _ => host == domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::borrowed;

    fn matches(host: &str, domain: &str) -> bool {
        let (host, domain) = (Host::parse(host).unwrap(), Host::parse(domain).unwrap());
        domain_matches(&borrowed(&host), &borrowed(&domain))
    }

    #[test]
    fn a_host_matches_its_own_domain_and_those_above() {
        assert!(matches("example.org", "example.org"));
        assert!(matches("www.example.org", "example.org"));
        assert!(matches("a.b.example.org", "example.org"));
        assert!(matches("a.b.example.org.", "example.org."));
        assert!(!matches("example.org", "www.example.org"));
        assert!(!matches("badexample.org", "example.org"));
        assert!(!matches("example.org", "example.org."));
        assert!(!matches("www.example.org.", "example.org"));
    }

    #[test]
    fn an_address_matches_only_itself() {
        assert!(matches("127.0.0.1", "127.0.0.1"));
        assert!(matches("[::1]", "[::1]"));
        assert!(!matches("127.0.0.1", "0.0.0.1"));
        assert!(!matches("[::1]", "[::2]"));
    }
}
