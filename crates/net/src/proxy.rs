use std::{
    collections::VecDeque,
    fmt, io,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderValue, Uri, header::PROXY_AUTHENTICATE};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use sendbeacon_fetch::{NetworkError, PartitionKey, host::Answer};
use thiserror::Error;
use url::{Host, Position, Url};

use crate::resolve::is_localhost;

/// How many proxies' authorizations are remembered.
const MAX_AUTHORIZATIONS: usize = 64;

/// Whoever knows which proxies to use: the environment ([`ProxyRules`]), a PAC script, an
/// administrator.
///
/// Called within the tokio runtime that the fetch is polled in, and must not block it.
pub trait Proxies: Send + Sync {
    /// The ways to `url`, in the order in which they are to be tried. The next one is tried when no
    /// connection can be made to a proxy, not when the proxy refuses. An empty list is
    /// [`Route::Direct`]; an error is [`NetworkError::Proxy`].
    ///
    /// Asked for every request, `localhost` and loopback addresses included. A PAC script should
    /// not see the path and query of an https URL; this method does. `partition` is for those who
    /// keep partitions apart at the proxy as well, by credentials of their own: connections through
    /// proxies that differ in anything are not shared.
    fn routes(&self, url: &Url, partition: &PartitionKey) -> Answer<io::Result<Vec<Route>>>;

    /// The value of `Proxy-Authorization` for an HTTP proxy that answered with 407; `challenges`
    /// are the values of its `Proxy-Authenticate`. `None` is [`NetworkError::ProxyAuthentication`].
    ///
    /// How long it takes is no part of the connect timeout. A value that the proxy accepts is
    /// remembered; one that it does not is asked for again, three times at most. Several
    /// requests may ask at the same time.
    fn authenticate(
        &self,
        proxy: &Proxy,
        challenges: &[HeaderValue],
    ) -> Answer<Option<HeaderValue>> {
        let _ = (proxy, challenges);
        Answer::Ready(None)
    }
}

/// The default: there are no proxies, whatever the environment says.
impl Proxies for () {
    fn routes(&self, _: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
        Answer::Ready(Ok(Vec::new()))
    }
}

/// A way to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Without a proxy.
    Direct,
    /// Through a proxy.
    Proxy(Proxy),
}

/// A proxy: `http://host:port`, for http URLs as such and for https URLs by CONNECT, `https://host:port`,
/// which is the same over TLS, or `socks5://host:port`, which also resolves the names. All may have
/// `user:password@`, percent-encoded. SOCKS5 has 255 bytes for each of them, and hyper-util's has 249 for
/// both and the name of the server; a request for which that is not enough fails.
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

/// How many bytes a user and a password of SOCKS5 may have: their lengths are one byte each
/// ([RFC 1929](https://www.rfc-editor.org/rfc/rfc1929#section-2)), and hyper-util does not look.
const MAX_SOCKS5_CREDENTIAL: usize = 255;

/// How one speaks to a proxy, and who one is to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum ProxyProtocol {
    Http { is_over_tls: bool, authorization: Option<HeaderValue> },
    Socks5 { user_and_password: Option<(String, String)> },
}

impl Proxy {
    fn of(intercept: &Intercept) -> Result<Self, ProxyError> {
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

    /// Without a scheme it is an HTTP proxy. A path is passed over.
    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let everything = Matcher::builder().all(text).build();
        let proxy = everything.intercept(&Uri::from_static("http://a.invalid/"));
        proxy.ok_or(ProxyError(())).and_then(|proxy| Self::of(&proxy))
    }
}

/// Without the credentials.
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

/// Without the credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The text is no proxy. It is not repeated here, as it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "not a proxy that can be used: give http://host:port, https://host:port or socks5://host:port, \
     the last with a user and a password of 255 bytes at most"
)]
pub struct ProxyError(());

/// One proxy for http URLs and one for https URLs, and the hosts that need none.
///
/// `localhost`, names under it and loopback addresses never go through a proxy.
pub struct ProxyRules {
    matcher: Matcher,
}

impl ProxyRules {
    /// Rules of these texts, each of which may be empty. The proxies are written as for [`Proxy`];
    /// a text that is none at all is no proxy, and one that cannot be used fails the requests it
    /// would be used for. `no_proxy` is a list of hosts (with their subdomains), addresses and
    /// ranges of addresses, with commas between them; `*` is every name.
    #[must_use]
    pub fn new(http: &str, https: &str, no_proxy: &str) -> Self {
        Self { matcher: Matcher::builder().http(http).https(https).no(no_proxy).build() }
    }

    /// The rules in the variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` of this
    /// process's environment, or the same in capitals, as curl takes them.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { matcher: Matcher::from_env() }
    }
}

impl Proxies for ProxyRules {
    fn routes(&self, url: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
        if url.host().is_some_and(|host| is_loopback(&host)) {
            return Answer::Ready(Ok(vec![Route::Direct]));
        }
        let host = &url[Position::BeforeHost..Position::AfterHost];
        // A URL's host may be what a `Uri` cannot have. It is not in any list then.
        let uri = Uri::try_from(format!("{}://{host}/", url.scheme()))
            .or_else(|_| Uri::try_from(format!("{}://a.invalid/", url.scheme())));
        let proxy = uri.ok().and_then(|uri| self.matcher.intercept(&uri));
        let route = proxy.map_or(Ok(Route::Direct), |proxy| Proxy::of(&proxy).map(Route::Proxy));
        Answer::Ready(route.map(|route| vec![route]).map_err(io::Error::other))
    }
}

impl fmt::Debug for ProxyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.matcher.fmt(f)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(domain) => is_localhost(domain),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.to_canonical().is_loopback(),
    }
}

/// Who we are to the proxies: what they came with, and what [`Proxies::authenticate`] said since.
pub(crate) struct ProxyAuthorizations {
    pub(crate) proxies: Arc<dyn Proxies>,
    /// The one learnt last is at the back.
    known: Mutex<VecDeque<(Arc<Proxy>, HeaderValue)>>,
}

impl ProxyAuthorizations {
    pub(crate) fn new(proxies: Arc<dyn Proxies>) -> Self {
        Self { proxies, known: Mutex::default() }
    }

    /// What to send to an HTTP proxy.
    pub(crate) fn get(&self, proxy: &Proxy) -> Option<HeaderValue> {
        // Whatever panicked, the queue still holds proxies with their values.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let value = known.iter().find(|(other, _)| **other == *proxy).map(|(_, value)| value);
        match &proxy.protocol {
            ProxyProtocol::Http { authorization, .. } => value.or(authorization.as_ref()).cloned(),
            ProxyProtocol::Socks5 { .. } => None,
        }
    }

    /// To be called when `proxy` answered 407, with `headers`, to a request with the authorization
    /// `sent`; the request may then be sent again.
    pub(crate) async fn renew(
        &self,
        proxy: &Arc<Proxy>,
        sent: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> Result<(), NetworkError> {
        // Somebody else may have asked in the meantime.
        if self.get(proxy).as_ref() != sent {
            return Ok(());
        }
        let challenges: Vec<_> = headers.get_all(PROXY_AUTHENTICATE).iter().cloned().collect();
        let answer = self.proxies.authenticate(proxy, &challenges).get().await;
        let mut value = answer.ok_or(NetworkError::ProxyAuthentication)?;
        value.set_sensitive(true);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| other != proxy);
        if known.len() >= MAX_AUTHORIZATIONS {
            known.pop_front();
        }
        known.push_back((proxy.clone(), value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sendbeacon_fetch::{Nonce, Site};

    use super::*;

    fn route_of(rules: &ProxyRules, url: &Url) -> io::Result<Route> {
        let partition =
            PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(0)), second_key: None };
        let Answer::Ready(routes) = rules.routes(url, &partition) else { panic!("not at once") };
        routes.map(|mut routes| {
            assert_eq!(routes.len(), 1);
            routes.remove(0)
        })
    }

    #[test]
    fn proxies_are_http_and_socks5_with_their_ports() {
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
    fn credentials_that_socks5_has_no_room_for_are_none() {
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
        let authorizations = ProxyAuthorizations::new(Arc::new(()));
        assert_eq!(authorizations.get(&proxy).unwrap(), "Basic dXNlcjpzZWNyZXQ=");
        assert_ne!(proxy, "http://p.test".parse().unwrap());
    }

    #[test]
    fn each_scheme_has_its_proxy_and_hosts_on_the_list_none() {
        let rules = ProxyRules::new("http://h.test", "socks5://s.test", "a.test,10.0.0.0/8,::2");
        for (url, proxy) in [
            ("http://b.test/", Some("http://h.test:80")),
            ("https://b.test/", Some("socks5://s.test:1080")),
            ("http://user:p@b.test:99/", Some("http://h.test:80")),
            // A `Uri` cannot have this host.
            ("http://b{.test/", Some("http://h.test:80")),
            ("http://11.0.0.1/", Some("http://h.test:80")),
            ("http://nota.test/", Some("http://h.test:80")),
            ("https://a.test/", None),
            ("https://x.a.test/", None),
            ("http://10.9.8.7/", None),
            ("http://[::2]/", None),
            ("http://localhost:1/", None),
            ("https://x.localhost./", None),
            ("http://127.9.9.9/", None),
            ("http://[::ffff:127.0.0.1]/", None),
        ] {
            let expected =
                proxy.map_or(Route::Direct, |proxy| Route::Proxy(proxy.parse().unwrap()));
            let url = Url::parse(url).unwrap();
            assert_eq!(route_of(&rules, &url).unwrap(), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn value_that_somebody_else_was_given_in_the_meantime_is_used_without_asking() {
        struct Once(Mutex<Option<HeaderValue>>);
        impl Proxies for Once {
            fn routes(&self, _: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
                unreachable!()
            }
            fn authenticate(&self, _: &Proxy, _: &[HeaderValue]) -> Answer<Option<HeaderValue>> {
                Answer::Ready(self.0.lock().unwrap().take())
            }
        }
        let value = HeaderValue::from_static("Basic x");
        let authorizations =
            ProxyAuthorizations::new(Arc::new(Once(Mutex::new(Some(value.clone())))));
        let proxy = Arc::new("http://p.test".parse::<Proxy>().unwrap());
        let headers = HeaderMap::new();
        for _ in 0..2 {
            assert_eq!(authorizations.renew(&proxy, None, &headers).await, Ok(()));
            assert_eq!(authorizations.get(&proxy).as_ref(), Some(&value));
        }
        let refused = authorizations.renew(&proxy, Some(&value), &headers).await;
        assert_eq!(refused, Err(NetworkError::ProxyAuthentication));
    }

    proptest! {
        #[test]
        fn any_text_is_a_proxy_or_an_error(text in "([a-z0-9]{0,7}://)?([^@]{0,5}:?[^@]{0,5}@)?.{0,12}") {
            let _ = text.parse::<Proxy>();
        }

        #[test]
        fn any_rules_have_a_route_or_an_error_for_any_url(
            proxy in "(http|socks5)://[a-z%:@.]{0,9}",
            no_proxy in "[a-z.*,:/0-9 ]{0,12}",
            host in "[a-z0-9.{!'_]{1,12}",
        ) {
            let rules = ProxyRules::new(&proxy, &proxy, &no_proxy);
            if let Ok(url) = Url::parse(&format!("https://{host}/")) {
                let _ = route_of(&rules, &url);
            }
        }
    }
}
