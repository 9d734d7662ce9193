//! `Domain`: WPT cookies/attributes/domain, cookies/domain.

use sendbeacon_cookies::ClearContext;

use super::*;

const WWW: &str = "https://www.example.org/";

fn refused(from: &str, domain: &str) -> Option<Rejected> {
    Profile::new().set(from, &format!("a=b; Domain={domain}")).err()
}

/// Whether a request to `to` sends a cookie that `from` has set with these attributes.
fn reaches(from: &str, attributes: &str, to: &str) -> bool {
    let mut profile = Profile::new();
    profile.set(from, &format!("a=b; {attributes}")).unwrap();
    profile.sent(to) == "a=b"
}

#[test]
fn without_a_domain_only_the_host_itself_gets_the_cookie() {
    for attributes in ["", "Domain", "Domain="] {
        assert!(reaches(WWW, attributes, WWW));
        assert!(!reaches(WWW, attributes, "https://example.org/"));
        assert!(!reaches(WWW, attributes, "https://sub.www.example.org/"));
    }
}

#[test]
fn with_a_domain_the_hosts_below_it_get_the_cookie() {
    for domain in ["example.org", ".example.org", "eXaMpLe.org", " .example.org "] {
        let attributes = format!("Domain={domain}");
        for to in ["example.org", "www.example.org", "other.example.org", "a.b.example.org"] {
            assert!(reaches(WWW, &attributes, &format!("https://{to}/")), "{domain} {to}");
        }
        for to in ["badexample.org", "example.com", "org"] {
            assert!(!reaches(WWW, &attributes, &format!("https://{to}/")), "{domain} {to}");
        }
    }
    assert!(!reaches(WWW, "Domain=www.example.org", "https://example.org/"));
}

#[test]
fn a_domain_that_the_host_does_not_match_is_refused() {
    for domain in [
        "other.example.org",
        "sub.www.example.org",
        "www.example.com",
        "www.example.org.",
        "ample.org",
        "\"www.example.org\"",
    ] {
        assert_eq!(refused(WWW, domain), Some(Rejected::DomainMismatch), "{domain}");
    }
}

#[test]
fn a_domain_that_is_not_a_valid_host_is_refused() {
    for domain in
        [". www.example.org", "www.example.org .", "a:80", "ä.example", "1.2.3.4.5", "[::1", "."]
    {
        assert_eq!(refused(WWW, domain), Some(Rejected::Domain), "{domain}");
    }
    for domain in ["..", "..www.example.org", "www..example.org", "www.example.org.."] {
        assert!(refused(WWW, domain).is_some(), "{domain}");
    }
}

#[test]
fn the_last_domain_attribute_that_is_not_empty_wins() {
    let mut profile = Profile::new();
    for (attributes, expected) in [
        ("Domain=example.org; Domain=other.example", Err(Rejected::DomainMismatch)),
        ("Domain=other.example; Domain=example.org", Ok(())),
        ("Domain=.; Domain=example.org", Ok(())),
        ("Domain=example.org; Domain=", Ok(())),
        ("Domain=other.example; Domain=", Err(Rejected::DomainMismatch)),
    ] {
        assert_eq!(profile.set(WWW, &format!("a=b; {attributes}")), expected, "{attributes}");
    }
    assert!(reaches(WWW, "Domain=example.org; Domain=", "https://example.org/"));
}

#[test]
fn a_public_suffix_cannot_be_a_domain() {
    assert_eq!(refused(WWW, "org"), Some(Rejected::PublicSuffix));
    assert_eq!(refused(WWW, ".org"), Some(Rejected::PublicSuffix));
    assert_eq!(refused("https://a.example.co.uk/", "co.uk"), Some(Rejected::PublicSuffix));
    assert_eq!(refused("https://me.github.io/", "github.io"), Some(Rejected::PublicSuffix));
    assert_eq!(refused("https://me.xn--55qx5d.cn/", "xn--55qx5d.cn"), Some(Rejected::PublicSuffix));
}

#[test]
fn a_host_that_is_a_public_suffix_can_set_a_cookie_for_itself() {
    assert!(reaches("https://github.io/", "Domain=github.io", "https://github.io/"));
    assert!(!reaches("https://github.io/", "Domain=github.io", "https://me.github.io/"));
    assert!(reaches("http://localhost/", "Domain=localhost", "http://localhost:8080/"));
    assert!(!reaches("http://localhost/", "Domain=localhost", "http://a.localhost/"));
}

#[test]
fn a_host_cannot_set_cookies_above_its_public_suffix() {
    let bucket = "https://mine.s3.amazonaws.com/";
    assert_eq!(refused(bucket, "s3.amazonaws.com"), Some(Rejected::PublicSuffix));
    assert_eq!(refused(bucket, "amazonaws.com"), Some(Rejected::PublicSuffix));
    assert_eq!(refused("https://www.amazonaws.com/", "amazonaws.com"), None);
}

#[test]
fn a_trailing_dot_makes_another_domain() {
    const DOTTED: &str = "https://www.example.org./";
    assert!(reaches(DOTTED, "Domain=example.org.", "https://example.org./"));
    assert!(!reaches(DOTTED, "Domain=example.org.", "https://example.org/"));
    assert_eq!(refused(DOTTED, "example.org"), Some(Rejected::DomainMismatch));
    assert_eq!(refused(DOTTED, "org."), Some(Rejected::PublicSuffix));
    let mut profile = Profile::new();
    profile.set(WWW, "a=b").unwrap();
    profile.set(DOTTED, "c=d").unwrap();
    let dotted = url(DOTTED);
    assert_eq!(profile.jar.clear(&ClearContext::new(dotted.host().unwrap())), 1);
    assert_eq!(profile.sent(WWW), "a=b");
}

#[test]
fn an_address_can_only_name_itself() {
    assert!(reaches("http://127.0.0.1/", "Domain=127.0.0.1", "http://127.0.0.1/"));
    assert!(reaches("http://[::1]/", "Domain=[::1]", "http://[::1]/"));
    assert_eq!(refused("http://127.0.0.1/", "0.0.1"), Some(Rejected::DomainMismatch));
    assert_eq!(refused("http://127.0.0.1/", "example.org"), Some(Rejected::DomainMismatch));
    assert!(!reaches("http://127.0.0.1/", "", "http://127.0.0.2/"));
}

#[test]
fn ports_do_not_separate_cookies() {
    assert!(reaches("https://example.org:8443/", "", "https://example.org/"));
}

#[test]
fn a_leading_dot_does_not_make_another_domain() {
    assert_eq!(echo(WWW, &["a=1; Domain=example.org", "a=2; Domain=.example.org"]), "a=2");
    assert_eq!(echo(WWW, &["a=1; Domain=.example.org", "a=2; Domain=example.org"]), "a=2");
}

#[test]
fn clearing_a_site_removes_the_cookies_of_all_its_hosts() {
    let mut profile = Profile::new();
    profile.set(WWW, "a=b").unwrap();
    profile.set("https://example.org/", "c=d").unwrap();
    profile.set("https://example.com/", "e=f").unwrap();
    let other = url("https://other.example.org/");
    let context = ClearContext::new(other.host().unwrap());
    assert_eq!(profile.jar.clear(&context), 2);
    assert_eq!(profile.jar.len(), 1);
    profile.jar.clear_all();
    assert!(profile.jar.is_empty());
}
