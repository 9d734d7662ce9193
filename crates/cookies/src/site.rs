//! Public suffixes, registrable domains and sites of hosts.
//!
//! The [Public Suffix List](https://publicsuffix.org/) is compiled into this crate. Cookies, Fetch and
//! HSTS all ask these functions, so that they agree on what a site is.
//!
//! A host comes from the URL parser or the host parser: a domain is in lower case and ASCII, with its
//! IDNA labels encoded. For example, it is the result of [`Url::host`](url::Url::host).

use url::Host;

/// The [registrable domain](https://url.spec.whatwg.org/#host-registrable-domain) of a host: its public
/// suffix and one more label.
///
/// Returns `None` for an IP address, and for a domain that is itself a public suffix. The result is a
/// part of the host, and keeps a trailing dot: `example.com.` and `example.com` are two domains.
///
/// ```
/// use sendbeacon_cookies::site::registrable_domain;
/// use url::Host;
///
/// let of = |domain| registrable_domain(&Host::Domain(domain));
/// assert_eq!(of("www.example.co.uk"), Some("example.co.uk"));
/// assert_eq!(of("www.example.co.uk."), Some("example.co.uk."));
/// assert_eq!(of("co.uk"), None);
/// ```
#[must_use]
pub fn registrable_domain<'a>(host: &Host<&'a str>) -> Option<&'a str> {
    let Host::Domain(domain) = host else { return None };
    // Steps 1 to 5. The list's algorithm keeps the trailing dot.
    let length = psl::domain(domain.as_bytes())?.as_bytes().len();
    let registrable_domain = domain.get(domain.len() - length..)?;
    // NB: the list does not say what to do with an empty label, as in `example..com`. Nobody can
    // register a domain with one.
    let has_empty_label = registrable_domain.starts_with('.') || registrable_domain.contains("..");
    (!has_empty_label).then_some(registrable_domain)
}

/// Whether a host is a domain and equals its own
/// [public suffix](https://url.spec.whatwg.org/#host-public-suffix).
///
/// A single label that is not in the list, such as `localhost`, is a public suffix too.
#[must_use]
pub fn is_public_suffix(host: &Host<&str>) -> bool {
    matches!(host, Host::Domain(_)) && registrable_domain(host).is_none()
}

/// The host of the [site](https://html.spec.whatwg.org/multipage/browsers.html#obtain-a-site) that a
/// host is in: its registrable domain, or the host itself if it has none.
///
/// ```
/// use sendbeacon_cookies::site::site_host;
/// use url::Host;
///
/// assert_eq!(site_host(&Host::Domain("www.example.com")), Host::Domain("example.com"));
/// assert_eq!(site_host(&Host::Domain("localhost")), Host::Domain("localhost"));
/// ```
#[must_use]
pub fn site_host<'a>(host: &Host<&'a str>) -> Host<&'a str> {
    registrable_domain(host).map_or_else(|| host.clone(), Host::Domain)
}

/// Whether two hosts are
/// [schemelessly same site](https://html.spec.whatwg.org/multipage/browsers.html#schemelessly-same-site).
#[must_use]
pub fn is_schemelessly_same_site(a: &Host<&str>, b: &Host<&str>) -> bool {
    // NB: the end of `b` is compared before it is looked up in the list, which takes longer.
    let may_be_of = |domain: &str| matches!(b, Host::Domain(b) if b.ends_with(domain));
    a == b
        || registrable_domain(a)
            .is_some_and(|domain| may_be_of(domain) && registrable_domain(b) == Some(domain))
}

/// A view of a host, as the functions of this module take it.
#[must_use]
pub fn borrowed(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(domain) => Host::Domain(domain),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(host: &str) -> Host {
        Host::parse(host).unwrap()
    }

    #[test]
    fn the_registrable_domain_is_the_public_suffix_and_one_more_label() {
        for (host, expected) in [
            ("com", None),
            ("example.com", Some("example.com")),
            ("www.example.com", Some("example.com")),
            ("sub.www.example.com", Some("example.com")),
            ("EXAMPLE.COM", Some("example.com")),
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("github.io", None),
            ("whatwg.github.io", Some("whatwg.github.io")),
            // Every name below this one is a public suffix, with one exception.
            ("ck", None),
            ("shop.ck", None),
            ("a.b.shop.ck", Some("b.shop.ck")),
            ("www.ck", Some("www.ck")),
        ] {
            assert_eq!(registrable_domain(&borrowed(&parsed(host))), expected, "{host}");
        }
    }

    proptest! {
        #[test]
        fn hosts_are_same_site_if_they_are_equal_or_have_equal_registrable_domains(
            [a, b] in [host(), host()],
        ) {
            let (a, b) = (parsed(&a), parsed(&b));
            let (a, b) = (borrowed(&a), borrowed(&b));
            let of = |host| registrable_domain(host);
            let expected = a == b || (of(&a).is_some() && of(&a) == of(&b));
            prop_assert_eq!(is_schemelessly_same_site(&a, &b), expected, "{} {}", a, b);
        }
    }

    /// Hosts that often have the same ends.
    fn host() -> impl Strategy<Value = String> {
        prop_oneof![
            "(a\\.|ba?\\.|\\.){0,3}(com|co\\.uk|github\\.io|ck|test)\\.?",
            "127\\.0\\.0\\.[12]",
            "\\[::[12]\\]"
        ]
    }

    #[test]
    fn a_trailing_dot_belongs_to_the_registrable_domain() {
        for (host, expected) in [
            ("com.", None),
            ("co.uk.", None),
            ("localhost.", None),
            ("example.com.", Some("example.com.")),
            ("a.b.example.co.uk.", Some("example.co.uk.")),
            ("whatwg.github.io.", Some("whatwg.github.io.")),
        ] {
            let host = parsed(host);
            assert_eq!(registrable_domain(&borrowed(&host)), expected, "{host}");
            assert_eq!(is_public_suffix(&borrowed(&host)), expected.is_none(), "{host}");
        }
    }

    #[test]
    fn a_host_with_an_empty_label_has_no_registrable_domain() {
        for host in ["", ".", "..", ".com", "..com", "a..com", "a..ck", "example.com.."] {
            assert_eq!(registrable_domain(&Host::Domain(host)), None, "{host:?}");
        }
    }

    #[test]
    fn an_ip_address_has_no_registrable_domain_and_is_no_public_suffix() {
        for host in ["127.0.0.1", "[2001:db8:85a3::8a2e:370:7334]", "0x7f.1"] {
            let host = parsed(host);
            assert_eq!(registrable_domain(&borrowed(&host)), None, "{host}");
            assert!(!is_public_suffix(&borrowed(&host)), "{host}");
            assert_eq!(site_host(&borrowed(&host)), host);
        }
    }

    #[test]
    fn idna_labels_are_compared_in_their_encoded_form() {
        for (host, expected) in [
            ("إختبار", None),
            ("example.إختبار", Some("example.xn--kgbechtv")),
            ("sub.example.إختبار", Some("example.xn--kgbechtv")),
            ("www.bücher.example.de", Some("example.de")),
            ("www.bücher.de", Some("xn--bcher-kva.de")),
            ("公司.cn", None),
            ("www.食狮.公司.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ] {
            assert_eq!(registrable_domain(&borrowed(&parsed(host))), expected, "{host}");
        }
    }

    #[test]
    fn a_single_label_is_a_public_suffix_and_a_site_of_its_own() {
        for host in ["com", "localhost", "xyzzy"] {
            assert!(is_public_suffix(&Host::Domain(host)), "{host}");
            assert_eq!(site_host(&Host::Domain(host)), Host::Domain(host));
        }
        assert_eq!(site_host(&Host::Domain("a.xyzzy")), Host::Domain("a.xyzzy"));
        assert_eq!(site_host(&Host::Domain("b.a.xyzzy")), Host::Domain("a.xyzzy"));
    }

    #[test]
    fn hosts_are_same_site_if_they_are_equal_or_share_a_registrable_domain() {
        let same = |a: &str, b: &str| {
            let (a, b) = (parsed(a), parsed(b));
            is_schemelessly_same_site(&borrowed(&a), &borrowed(&b))
        };
        for host in ["a.example.com", "com", "localhost", "127.0.0.1", "[::1]"] {
            assert!(same(host, host), "{host}");
        }
        assert!(same("a.example.com", "b.example.com"));
        assert!(same("a.example.com.", "b.example.com."));
        assert!(!same("a.example.com", "a.example.com."));
        assert!(!same("a.github.io", "b.github.io"));
        assert!(!same("localhost", "xyzzy"));
        assert!(!same("127.0.0.1", "127.0.0.2"));
    }
}
