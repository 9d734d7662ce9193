//! The network, and the builder of its settings.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use rustls::crypto::{CryptoProvider, ring};
use rustls_pki_types::CertificateDer;
use sendbeacon_fetch::{
    AddressSpace, NetworkError,
    host::{BoxFuture, LocalNetworkAccess, Network, NetworkRequest, NetworkResponse, RefuseAll},
};

use crate::{
    address_space::AddressSpaces,
    connect::Connector,
    error::{AddressesError, LimitError, RootCertificateError},
    pool::{lease::Pool, state::Limits},
    proxy::{
        authorizations::ProxyAuthorizations,
        routes::{NoProxies, Proxies},
    },
    resend::ResendPolicy,
    resolve::Names,
    resolver::{Resolver, SystemResolver},
    route::Router,
    send_queue::SendQueues,
    sender::RequestSender,
    targets::Targets,
    tls::{Tls, TlsSettings, parse_root_certificates},
};

/// A [`Network`] that speaks HTTP/1.1 and HTTP/2, with a partitioned connection pool.
///
/// Dropping it closes the idle connections. A connection in use is closed when its requests are done.
///
/// [`HttpNetwork::default`] has the default settings. [`HttpNetwork::builder`] takes others:
///
/// ```
/// use std::time::Duration;
///
/// use sendbeacon_net::HttpNetwork;
///
/// let network = HttpNetwork::builder()
///     .connect_timeout(Duration::from_secs(10))
///     .max_connections(64)
///     .build()?;
/// # Ok::<(), sendbeacon_net::LimitError>(())
/// ```
pub struct HttpNetwork {
    router: Router,
}

impl HttpNetwork {
    /// A builder with the default settings.
    #[must_use]
    pub fn builder() -> HttpNetworkBuilder {
        HttpNetworkBuilder::default()
    }
}

/// A network with the default settings.
impl Default for HttpNetwork {
    fn default() -> Self {
        HttpNetworkBuilder::default().assemble()
    }
}

impl Network for HttpNetwork {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        self.router.fetch_on_any_route(request)
    }

    fn network_changed(&self) {
        self.router.network_changed();
    }

    fn waits_before_writing(&self) -> bool {
        true
    }
}

impl fmt::Debug for HttpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpNetwork").finish_non_exhaustive()
    }
}

/// The settings of an [`HttpNetwork`].
#[derive(Clone)]
pub struct HttpNetworkBuilder {
    crypto_provider: Arc<CryptoProvider>,
    platform_roots: bool,
    root_certificates: Vec<CertificateDer<'static>>,
    host_map: HashMap<Box<str>, IpAddr>,
    resolver: Arc<dyn Resolver>,
    proxies: Arc<dyn Proxies>,
    address_spaces: AddressSpaces,
    local_network_access: Arc<dyn LocalNetworkAccess>,
    send_queues: Option<Arc<dyn SendQueues>>,
    connect_timeout: Duration,
    response_head_timeout: Duration,
    idle_timeout: Duration,
    http2_idle_timeout: Duration,
    max_connections_per_origin: usize,
    max_connections: usize,
    resend_policy: ResendPolicy,
}

impl Default for HttpNetworkBuilder {
    fn default() -> Self {
        Self {
            crypto_provider: Arc::new(ring::default_provider()),
            platform_roots: true,
            root_certificates: Vec::new(),
            host_map: HashMap::new(),
            resolver: Arc::new(SystemResolver::default()),
            proxies: Arc::new(NoProxies),
            address_spaces: AddressSpaces::default(),
            local_network_access: Arc::new(RefuseAll),
            send_queues: None,
            connect_timeout: Duration::from_secs(30),
            response_head_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(2),
            http2_idle_timeout: Duration::from_secs(60),
            max_connections_per_origin: 6,
            max_connections: 384,
            resend_policy: ResendPolicy::default(),
        }
    }
}

impl HttpNetworkBuilder {
    /// Sets the cryptography of TLS: cipher suites, key exchange, signatures. Default: `ring`'s.
    ///
    /// The network neither uses nor installs the process's default provider. A provider that supports
    /// neither TLS 1.2 nor TLS 1.3 fails every `https` request.
    #[must_use]
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.crypto_provider = provider;
        self
    }

    /// Sets whether to trust the platform's root certificates. Default: true.
    ///
    /// If false, the network trusts only the certificates added here, and does not check revocation.
    #[must_use]
    pub fn platform_roots(mut self, trusted: bool) -> Self {
        self.platform_roots = trusted;
        self
    }

    /// Trusts the certificates in `pem`, in addition to the others.
    ///
    /// # Errors
    /// [`RootCertificateError`], if `pem` has no certificate or has one that cannot be a root.
    pub fn add_root_certificates_pem(mut self, pem: &[u8]) -> Result<Self, RootCertificateError> {
        self.root_certificates.extend(parse_root_certificates(pem)?);
        Ok(self)
    }

    /// Connects to `address` for the host `host`, without asking the resolver. The port is the URL's.
    ///
    /// Has no effect for `localhost`, for names under it, and for hosts that are IP addresses. A second
    /// call for the same host replaces the first.
    #[must_use]
    pub fn add_host_mapping(mut self, host: &str, address: IpAddr) -> Self {
        self.host_map.insert(host.to_ascii_lowercase().into(), address);
        self
    }

    /// Sets the service that finds the addresses of host names. Default: [`SystemResolver`].
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets the service that chooses the proxies. Default: [`NoProxies`].
    ///
    /// [`ProxyRules::from_environment`](crate::ProxyRules::from_environment) gives the proxies of the
    /// environment.
    #[must_use]
    pub fn proxies(mut self, proxies: Arc<dyn Proxies>) -> Self {
        self.proxies = proxies;
        self
    }

    /// Puts `addresses` into the address space `space`, whatever
    /// [the standard's table](https://wicg.github.io/local-network-access/#non-public-ip-address-blocks)
    /// says.
    ///
    /// `addresses` is an address (`2001:db8::1`), a range (`10.0.0.0/8`), or an address and a port
    /// (`127.0.0.1:8080`, for tests). If two calls name the same address, the later call counts.
    ///
    /// ```
    /// use sendbeacon_fetch::AddressSpace;
    /// use sendbeacon_net::HttpNetwork;
    ///
    /// let network = HttpNetwork::builder()
    ///     .add_address_space("203.0.113.0/24", AddressSpace::Local)?
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AddressesError`], if `addresses` has another form.
    pub fn add_address_space(
        mut self,
        addresses: &str,
        space: AddressSpace,
    ) -> Result<Self, AddressesError> {
        self.address_spaces.add(addresses, space)?;
        Ok(self)
    }

    /// Sets the service that permits a client whose address space is known to reach a less public one.
    /// Default: [`RefuseAll`].
    ///
    /// The time that its answer takes does not count towards the connect timeout. Meanwhile, the request
    /// holds neither a connection nor room for one.
    #[must_use]
    pub fn local_network_access(mut self, permission: Arc<dyn LocalNetworkAccess>) -> Self {
        self.local_network_access = permission;
        self
    }

    /// Sets the service that tells what the peers of connections have acknowledged. Default: none, and no request counts
    /// as sent before it is answered.
    #[must_use]
    pub fn send_queues(mut self, queues: Arc<dyn SendQueues>) -> Self {
        self.send_queues = Some(queues);
        self
    }

    /// Sets how long name resolution, connecting and the TLS handshake may take together. Default: 30
    /// seconds.
    ///
    /// Requests that wait for the same connection share its failure. Zero is an error at
    /// [`build`](Self::build).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a server may be silent between the request and the head of its response. Default:
    /// 120 seconds.
    ///
    /// The network writes a long body in parts: over HTTP/1.1 in parts of 16 KiB, over HTTP/2 if the body has
    /// more than 64 KiB or the connection still holds earlier bodies. The time begins again with each part,
    /// so an upload may take any time as long as it makes progress. An HTTP/2 server that has answered has
    /// 30 seconds more for the rest; then the network resets the stream. Zero is an error at
    /// [`build`](Self::build).
    #[must_use]
    pub fn response_head_timeout(mut self, timeout: Duration) -> Self {
        self.response_head_timeout = timeout;
        self
    }

    /// Sets how long an HTTP/1.1 connection may be idle and still be reused. Default: 2 seconds. Zero
    /// turns reuse off.
    ///
    /// A server can shorten this time by `Keep-Alive: timeout=N`, but not lengthen it. The longer a
    /// connection is idle, the likelier the server closes it just as the next request is written. That
    /// request is lost, unless the [`ResendPolicy`] lets it be sent again.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets how long an HTTP/2 connection may be idle and still be reused. Default: 60 seconds.
    ///
    /// A server that closes an HTTP/2 connection first says which requests it has not processed, and the
    /// network sends those again. A server that has vanished says nothing. So after 10 idle seconds, the
    /// network sends a PING before the next request, and closes the connection if the answer takes more
    /// than 5 seconds. It does not write the request earlier, because it could not send it again.
    #[must_use]
    pub fn http2_idle_timeout(mut self, timeout: Duration) -> Self {
        self.http2_idle_timeout = timeout;
        self
    }

    /// Sets how many connections may be open to one origin, for requests of the same network partition
    /// and credentials flag that take the same proxy. Default: 6.
    ///
    /// Further requests wait for one of these connections. Zero is an error at [`build`](Self::build).
    #[must_use]
    pub fn max_connections_per_origin(mut self, max: usize) -> Self {
        self.max_connections_per_origin = max;
        self
    }

    /// Sets how many connections may be open in all. Default: 384, which is how many requests
    /// `sendbeacon` has under way by default.
    ///
    /// To open one more, the network closes the connection that has been idle for longest. If no
    /// connection is idle, requests wait. Zero is an error at [`build`](Self::build).
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max;
        self
    }

    /// Sets which requests are sent again after a server has closed their connection. Default:
    /// [`ResendPolicy::Unawaited`].
    ///
    /// ```
    /// use sendbeacon_net::{HttpNetwork, ResendPolicy};
    ///
    /// let network = HttpNetwork::builder().resend_policy(ResendPolicy::Strict).build()?;
    /// # Ok::<(), sendbeacon_net::LimitError>(())
    /// ```
    #[must_use]
    pub fn resend_policy(mut self, policy: ResendPolicy) -> Self {
        self.resend_policy = policy;
        self
    }

    /// Builds the network.
    ///
    /// It needs no runtime and does no I/O: the first `https` request reads the platform's root certificates.
    ///
    /// # Errors
    /// [`LimitError`], if a limit is zero, and every request would fail.
    pub fn build(self) -> Result<HttpNetwork, LimitError> {
        for (setting, max) in [
            ("max_connections_per_origin", self.max_connections_per_origin),
            ("max_connections", self.max_connections),
        ] {
            if max == 0 {
                return Err(LimitError::ZeroConnections { setting });
            }
        }
        for (setting, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("response_head_timeout", self.response_head_timeout),
        ] {
            if timeout.is_zero() {
                return Err(LimitError::ZeroTimeout { setting });
            }
        }
        Ok(self.assemble())
    }

    fn assemble(self) -> HttpNetwork {
        let sender = RequestSender {
            connector: Connector {
                names: Names::new(self.host_map, self.resolver),
                address_spaces: self.address_spaces,
                authorizations: ProxyAuthorizations::new(self.proxies),
                send_queues: self.send_queues,
                timeout: self.connect_timeout,
                tls: Tls::new(TlsSettings {
                    provider: self.crypto_provider,
                    platform_roots: self.platform_roots,
                    extra_roots: self.root_certificates,
                }),
            },
            pool: Arc::new(Pool::new(Limits {
                http1_idle: self.idle_timeout,
                http2_idle: self.http2_idle_timeout,
                per_group: self.max_connections_per_origin,
                overall: self.max_connections,
            })),
            targets: Targets::default(),
            local_network_access: self.local_network_access,
            response_head_timeout: self.response_head_timeout,
            resend_policy: self.resend_policy,
        };
        HttpNetwork { router: Router { sender } }
    }
}

impl fmt::Debug for HttpNetworkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpNetworkBuilder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_that_no_request_could_keep_is_an_error() {
        type Set = fn(HttpNetworkBuilder) -> HttpNetworkBuilder;
        let cases: [(&str, Set); 4] = [
            ("max_connections_per_origin", |it| it.max_connections_per_origin(0)),
            ("max_connections", |it| it.max_connections(0)),
            ("connect_timeout", |it| it.connect_timeout(Duration::ZERO)),
            ("response_head_timeout", |it| it.response_head_timeout(Duration::ZERO)),
        ];
        for (name, set) in cases {
            match set(HttpNetwork::builder()).build().unwrap_err() {
                LimitError::ZeroConnections { setting } | LimitError::ZeroTimeout { setting } => {
                    assert_eq!(setting, name);
                }
            }
        }
        assert!(HttpNetwork::builder().idle_timeout(Duration::ZERO).build().is_ok());
    }
}
