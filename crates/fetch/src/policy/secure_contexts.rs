//! [Secure Contexts](https://w3c.github.io/webappsec-secure-contexts/#algorithms).

use url::{Host, Url};

/// [Is url potentially trustworthy?](https://w3c.github.io/webappsec-secure-contexts/#is-url-trustworthy)
#[must_use]
pub fn is_potentially_trustworthy(url: &Url) -> bool {
    match url.scheme() {
        // Step 1.
        "about" => matches!(url.path(), "blank" | "srcdoc"),
        // Step 2. Step 3 asks the same of the origin, whose Steps 3 to 5 follow; Steps 6 to 8 (`file`,
        // the user agent's own schemes and origins) do not concern requests over HTTP.
        "data" | "https" | "wss" => true,
        "http" | "ws" => match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        },
        _ => false,
    }
}

/// `localhost`, and what ends in `.localhost`, with or without the root's dot.
pub(crate) fn is_localhost(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain == "localhost" || domain.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_tls_are_trustworthy() {
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
            ("ftp://localhost/", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_potentially_trustworthy(&url), trustworthy, "{url}");
        }
    }
}
