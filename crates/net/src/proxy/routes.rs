//! The service that chooses the proxies for each request.

use std::io;

use http::HeaderValue;
use sendbeacon_fetch::{PartitionKey, host::Answer};
use url::Url;

use crate::proxy::server::Proxy;

/// Chooses the proxies for each request: from the environment ([`ProxyRules`](crate::ProxyRules)), a PAC
/// script, or an administrator's settings.
///
/// The network calls it inside the tokio runtime that polls the fetch, so it must not block.
///
/// ```
/// use std::{io, sync::Arc};
///
/// use sendbeacon_fetch::{PartitionKey, host::Answer};
/// use sendbeacon_net::{HttpNetwork, Proxies, Proxy, Route};
/// use url::Url;
///
/// /// Takes the proxy for everything outside the company, and connects directly if it is down.
/// struct Company(Proxy);
///
/// impl Proxies for Company {
///     fn routes(&self, url: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
///         let is_inside = url.domain().is_some_and(|name| name.ends_with(".corp.example"));
///         let proxy = Route::Proxy(self.0.clone());
///         let routes = if is_inside { vec![] } else { vec![proxy, Route::Direct] };
///         Answer::Ready(Ok(routes))
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proxies = Arc::new(Company("http://proxy.corp.example:3128".parse()?));
/// let network = HttpNetwork::builder().proxies(proxies).build()?;
/// # Ok(())
/// # }
/// ```
pub trait Proxies: Send + Sync {
    /// The routes to `url`, in the order in which the network tries them.
    ///
    /// The network tries the next route if it cannot connect to a proxy. It does not try the next route
    /// if the proxy refuses the request. An empty list means [`Route::Direct`]. An error fails the fetch
    /// with [`NetworkError::Proxy`](sendbeacon_fetch::NetworkError::Proxy).
    ///
    /// The network asks for every request, including those to `localhost` and to loopback addresses. A
    /// PAC script should not see the path and the query of an https URL, but this method does.
    /// `partition` is the network partition of the request, for a service that gives each partition its
    /// own credentials. Requests through proxies that differ in any respect share no connection.
    fn routes(&self, url: &Url, partition: &PartitionKey) -> Answer<io::Result<Vec<Route>>>;

    /// The value of `Proxy-Authorization` for an HTTP proxy that answered 407.
    ///
    /// `challenges` holds the values of the proxy's `Proxy-Authenticate` headers. `None` fails the fetch
    /// with [`NetworkError::ProxyAuthentication`](sendbeacon_fetch::NetworkError::ProxyAuthentication).
    ///
    /// The time that the answer takes does not count towards the connect timeout. The network remembers a
    /// value that the proxy accepts. It asks again for a value that the proxy does not accept, three
    /// times at most. Several requests may ask at the same time.
    fn authenticate(
        &self,
        proxy: &Proxy,
        challenges: &[HeaderValue],
    ) -> Answer<Option<HeaderValue>> {
        let _ = (proxy, challenges);
        Answer::Ready(None)
    }
}

/// One way to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// A connection to the server itself.
    Direct,
    /// A connection through a proxy.
    Proxy(Proxy),
}

/// Uses no proxy, and does not read the environment. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProxies;

impl Proxies for NoProxies {
    fn routes(&self, _: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
        Answer::Ready(Ok(Vec::new()))
    }
}
