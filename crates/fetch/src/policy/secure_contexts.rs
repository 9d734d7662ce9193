//! [Secure Contexts](https://w3c.github.io/webappsec-secure-contexts/#algorithms): which URLs are potentially trustworthy.

use url::{Host, Url};

/// [Is url potentially trustworthy?](https://w3c.github.io/webappsec-secure-contexts/#is-url-trustworthy)
///
/// True for URLs that the network cannot read or change:
///
/// * `https`, `wss`, `data`, `about:blank` and `about:srcdoc`;
/// * `http`, `ws` and `ftp` if the host is a loopback address or `localhost`;
/// * `blob` if the URL of its origin is `https`, or is `http` with such a host.
///
/// False for every other scheme, also for an engine's own: see
/// [`Client::with_origin`](crate::Client::with_origin).
#[must_use]
pub fn is_potentially_trustworthy(url: &Url) -> bool {
    match url.scheme() {
        // Step 1.
        "about" => matches!(url.path(), "blank" | "srcdoc"),
        // Step 2, and Step 3, which asks "is origin potentially trustworthy?". Of that algorithm this does Steps 3
        // to 5. Its Steps 6 to 8 are about `file` and the user agent's own schemes and origins, not about HTTP(S).
        "data" | "https" | "wss" => true,
        // NB: the origin of a blob URL is that of the URL in its path, if that one is http(s).
        "blob" => Url::parse(url.path()).is_ok_and(|inner| {
            matches!(inner.scheme(), "http" | "https") && is_potentially_trustworthy(&inner)
        }),
        "ftp" | "http" | "ws" => match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        },
        _ => false,
    }
}

/// Whether `domain` is `localhost` or ends in `.localhost`, with or without a final dot.
///
/// `domain` is in lower case, as the URL parser makes it.
#[must_use]
pub fn is_localhost(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain == "localhost" || domain.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_names_below_it_are_localhost() {
        for domain in ["localhost", "localhost.", "a.localhost", "a.b.localhost."] {
            assert!(is_localhost(domain), "{domain}");
        }
        for domain in ["localhost.test", "notlocalhost", "localhost..", ""] {
            assert!(!is_localhost(domain), "{domain}");
        }
    }

    #[test]
    fn loopback_and_tls_urls_are_trustworthy() {
        for (url, trustworthy) in [
            ("https://a.test/", true),
            ("http://a.test/", false),
            ("http://127.8.9.1/", true),
            ("http://[::1]/", true),
            ("http://[::2]/", false),
            ("http://localhost:8000/", true),
            ("http://x.localhost./", true),
            ("http://notlocalhost/", false),
            ("about:blank", true),
            ("about:config", false),
            ("data:,x", true),
            ("ftp://localhost/", true),
            ("ftp://a.test/", false),
            ("blob:https://a.test/1", true),
            ("blob:http://localhost:8000/1", true),
            ("blob:http://a.test/1", false),
            ("blob:null/1", false),
            ("blob:data:,x", false),
            ("blob:blob:https://a.test/1", false),
            ("app://localhost/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_potentially_trustworthy(&url), trustworthy, "{url}");
        }
    }
}
