//! A proxy: its protocol, its address, and the credentials for it.

use std::{fmt, str::FromStr};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Host;

use crate::error::ProxyError;

/// How many bytes a SOCKS5 user name or password may have: SOCKS5 gives each length in one byte
/// ([RFC 1929](https://www.rfc-editor.org/rfc/rfc1929#section-2)). hyper-util does not check this.
const MAX_SOCKS5_CREDENTIAL: usize = 255;

/// A proxy, parsed from its URL.
///
/// | URL | http URLs | https URLs |
/// |---|---|---|
/// | `http://host:port` | the proxy gets the whole request | a tunnel by CONNECT |
/// | `https://host:port` | the same over TLS | the same over TLS |
/// | `socks5://host:port` | a SOCKS5 connection | a SOCKS5 connection |
///
/// A text without a scheme is an HTTP proxy. A SOCKS5 proxy also resolves the host names. Each URL may
/// have percent-encoded credentials in front of the host (`user:password@`). The user name and the
/// password of a SOCKS5 proxy have at most 255 bytes each. hyper-util has room for 249 bytes for both and
/// the server's name together; a request that needs more fails.
///
/// ```
/// use sendbeacon_net::Proxy;
///
/// let proxy: Proxy = "http://user:secret@proxy.example:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// assert!("ftp://proxy.example".parse::<Proxy>().is_err());
/// # Ok::<(), sendbeacon_net::ProxyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    pub(crate) protocol: ProxyProtocol,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// The protocol that a proxy speaks, and the credentials for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum ProxyProtocol {
    Http { is_over_tls: bool, authorization: Option<HeaderValue> },
    Socks5 { user_and_password: Option<(String, String)> },
}

impl Proxy {
    /// The proxy that a rule of hyper-util's chose.
    pub(crate) fn of(intercept: &Intercept) -> Result<Self, ProxyError> {
        let uri = intercept.uri();
        let (protocol, default_port) = match uri.scheme_str() {
            Some(scheme @ ("http" | "https")) => {
                let is_over_tls = scheme == "https";
                let authorization = intercept.basic_auth().cloned();
                let default_port = if is_over_tls { 443 } else { 80 };
                (ProxyProtocol::Http { is_over_tls, authorization }, default_port)
            }
            Some("socks5" | "socks5h") => {
                let owned = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
                let user_and_password = intercept.raw_auth().map(owned);
                let fits = user_and_password.as_ref().is_none_or(|(user, password)| {
                    user.len().max(password.len()) <= MAX_SOCKS5_CREDENTIAL
                });
                if !fits {
                    return Err(ProxyError(()));
                }
                (ProxyProtocol::Socks5 { user_and_password }, 1080)
            }
            _ => return Err(ProxyError(())),
        };
        let host = Host::parse(uri.host().unwrap_or_default()).map_err(|_| ProxyError(()))?;
        Ok(Self { protocol, host, port: uri.port_u16().unwrap_or(default_port) })
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    /// Parses a proxy's URL. Ignores a path.
    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let everything = Matcher::builder().all(text).build();
        let proxy = everything.intercept(&Uri::from_static("http://a.invalid/"));
        proxy.ok_or(ProxyError(())).and_then(|proxy| Self::of(&proxy))
    }
}

/// Shows the URL without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            ProxyProtocol::Http { is_over_tls: false, .. } => "http",
            ProxyProtocol::Http { is_over_tls: true, .. } => "https",
            ProxyProtocol::Socks5 { .. } => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Shows the URL without the credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn proxy_is_http_https_or_socks5_with_its_port() {
        for (text, proxy) in [
            ("http://p.test", Some("http://p.test:80")),
            ("P.test:3128", Some("http://p.test:3128")),
            ("http://user:secret@[::1]:1/path", Some("http://[::1]:1")),
            ("socks5://user@p.test", Some("socks5://p.test:1080")),
            ("socks5h://10.0.0.1:9050", Some("socks5://10.0.0.1:9050")),
            ("https://p.test", Some("https://p.test:443")),
            ("socks4://p.test", None),
            ("ftp://p.test", None),
            ("http://", None),
            ("a b", None),
            ("", None),
        ] {
            let parsed = text.parse::<Proxy>().map(|proxy| proxy.to_string());
            assert_eq!(parsed.ok().as_deref(), proxy, "{text}");
        }
    }

    #[test]
    fn credentials_that_socks5_has_no_room_for_are_an_error() {
        for (user, password, fits) in [(255, 255, true), (256, 0, false), (0, 256, false)] {
            let credentials = format!("{}:{}", "u".repeat(user), "p".repeat(password));
            let socks5 = format!("socks5://{credentials}@p.test").parse::<Proxy>();
            assert_eq!(socks5.is_ok(), fits, "{user} and {password} bytes");
            assert!(format!("http://{credentials}@p.test").parse::<Proxy>().is_ok());
        }
    }

    #[test]
    fn credentials_are_kept_and_not_shown() {
        let proxy: Proxy = "http://user:secret@p.test".parse().unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://p.test:80 Proxy(http://p.test:80)");
        assert_ne!(proxy, "http://p.test".parse().unwrap());
    }

    proptest! {
        #[test]
        fn any_text_is_a_proxy_or_an_error(text in "([a-z0-9]{0,7}://)?([^@]{0,5}:?[^@]{0,5}@)?.{0,12}") {
            let _ = text.parse::<Proxy>();
        }
    }
}
