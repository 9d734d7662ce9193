//! Proxies by fixed rules, such as those in the environment's variables.

use std::{fmt, io};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use sendbeacon_fetch::{PartitionKey, host::Answer, is_localhost};
use url::{Host, Position, Url};

use crate::proxy::{
    routes::{Proxies, Route},
    server::Proxy,
};

/// One proxy for http URLs, one for https URLs, and a list of hosts that need no proxy.
///
/// `localhost`, names under it and loopback addresses never go through a proxy.
///
/// ```
/// use std::sync::Arc;
///
/// use sendbeacon_net::{HttpNetwork, ProxyRules};
///
/// let proxy = "http://proxy.example:3128";
/// let rules = ProxyRules::new(proxy, proxy, "intranet.example, 10.0.0.0/8");
/// let network = HttpNetwork::builder().proxies(Arc::new(rules)).build()?;
/// # Ok::<(), sendbeacon_net::LimitError>(())
/// ```
pub struct ProxyRules {
    matcher: Matcher,
}

impl ProxyRules {
    /// Makes rules from three texts. Each text may be empty.
    ///
    /// `http` and `https` are written like a [`Proxy`]. A text that is not a URL means no proxy. A proxy
    /// that cannot be used fails every request that the rules send to it. `no_proxy` is a list of hosts
    /// (which include their subdomains), addresses and ranges of addresses, with commas between them;
    /// `*` stands for every name.
    #[must_use]
    pub fn new(http: &str, https: &str, no_proxy: &str) -> Self {
        Self { matcher: Matcher::builder().http(http).https(https).no(no_proxy).build() }
    }

    /// Reads the rules from the environment of this process.
    ///
    /// The variables are `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, or the same names in
    /// capitals. They mean the same as in curl.
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
        // A `Uri` cannot hold every host of a URL. A host that it cannot hold is not in any list.
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
    fn each_scheme_has_its_proxy_and_listed_hosts_have_none() {
        let rules = ProxyRules::new("http://h.test", "socks5://s.test", "a.test,10.0.0.0/8,::2");
        for (url, proxy) in [
            ("http://b.test/", Some("http://h.test:80")),
            ("https://b.test/", Some("socks5://s.test:1080")),
            ("http://user:p@b.test:99/", Some("http://h.test:80")),
            // A `Uri` cannot hold this host.
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

    proptest! {
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
