//! Hosts, domains and sites.

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

/// Whether a host is a [public suffix](https://url.spec.whatwg.org/#host-public-suffix).
pub(crate) fn is_public_suffix(host: &Host<&str>) -> bool {
    matches!(host, Host::Domain(domain) if psl::domain_str(domain).is_none())
}

/// By what a jar keeps the cookies of a host: its registrable domain, or itself if it has none.
pub(crate) fn site(host: &Host<&str>) -> Host {
    match host {
        Host::Domain(domain) => Host::Domain(psl::domain_str(domain).unwrap_or(domain).to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => host.to_owned(),
    }
}

pub(crate) fn borrowed(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(domain) => Host::Domain(domain),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(host: &str, domain: &str) -> bool {
        let (host, domain) = (Host::parse(host).unwrap(), Host::parse(domain).unwrap());
        domain_matches(&borrowed(&host), &borrowed(&domain))
    }

    #[test]
    fn a_host_is_in_its_own_domain_and_in_those_above() {
        assert!(matches("example.org", "example.org"));
        assert!(matches("www.example.org", "example.org"));
        assert!(matches("a.b.example.org", "example.org"));
        assert!(!matches("example.org", "www.example.org"));
        assert!(!matches("badexample.org", "example.org"));
        assert!(!matches("example.org", "example.org."));
    }

    #[test]
    fn an_address_is_in_no_domain_but_itself() {
        assert!(matches("127.0.0.1", "127.0.0.1"));
        assert!(matches("[::1]", "[::1]"));
        assert!(!matches("127.0.0.1", "0.0.0.1"));
        assert!(!matches("[::1]", "[::2]"));
    }

    #[test]
    fn public_suffixes_are_those_of_the_list_in_both_forms() {
        for suffix in ["com", "co.uk", "github.io", "com.", "xn--55qx5d.cn", "localhost", "xyzzy"] {
            assert!(is_public_suffix(&Host::Domain(suffix)), "{suffix}");
        }
        for domain in ["example.com", "a.github.io", "example.com.", "x.xn--55qx5d.cn", "a.xyzzy"] {
            assert!(!is_public_suffix(&Host::Domain(domain)), "{domain}");
        }
        assert!(!is_public_suffix(&Host::Ipv4([127, 0, 0, 1].into())));
    }

    #[test]
    fn the_site_is_the_registrable_domain_or_the_host_itself() {
        let site = |host: &str| site(&borrowed(&Host::parse(host).unwrap())).to_string();
        assert_eq!(site("a.b.example.co.uk"), "example.co.uk");
        for host in ["github.io", "localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(site(host), host);
        }
    }
}
