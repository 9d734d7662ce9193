use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use rustls::crypto::{CryptoProvider, ring};
use rustls_pki_types::CertificateDer;
use sendbeacon_fetch::{
    AddressSpace,
    host::{LocalNetworkAccess, RefuseAll},
};

use crate::{
    HttpNetwork,
    address_space::{AddressSpaces, AddressesError},
    connect::Connector,
    pool::{Limits, Pool},
    proxy::{Proxies, ProxyAuthorizations},
    resolve::{Names, Resolver},
    tls::{RootCertificateError, Tls, TlsSettings, parse_root_certificates},
};

/// Settings of a [`HttpNetwork`].
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
    connect_timeout: Duration,
    response_head_timeout: Duration,
    idle_timeout: Duration,
    http2_idle_timeout: Duration,
    max_connections_per_key: usize,
    max_connections: usize,
}

impl Default for HttpNetworkBuilder {
    fn default() -> Self {
        Self {
            crypto_provider: Arc::new(ring::default_provider()),
            platform_roots: true,
            root_certificates: Vec::new(),
            host_map: HashMap::new(),
            resolver: Arc::new(()),
            proxies: Arc::new(()),
            address_spaces: AddressSpaces::default(),
            local_network_access: Arc::new(RefuseAll),
            connect_timeout: Duration::from_secs(30),
            response_head_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(2),
            http2_idle_timeout: Duration::from_secs(60),
            max_connections_per_key: 6,
            max_connections: 384,
        }
    }
}

impl HttpNetworkBuilder {
    /// The cryptography that TLS is made with: cipher suites, key exchange, signatures. That of
    /// `ring` unless set. Nothing is taken from, or installed as, the process's default provider.
    ///
    /// One without TLS 1.2 and 1.3 fails every `https` request.
    #[must_use]
    pub fn crypto_provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.crypto_provider = provider;
        self
    }

    /// Whether what the platform trusts is trusted, as it is unless set. Without it only the
    /// certificates added here are, and revocation is not looked up.
    #[must_use]
    pub fn platform_roots(mut self, trusted: bool) -> Self {
        self.platform_roots = trusted;
        self
    }

    /// Trusts the certificates in `pem`, beside those the platform trusts.
    ///
    /// Fails when `pem` has no certificate, or one that cannot be a root.
    pub fn add_root_certificates_pem(mut self, pem: &[u8]) -> Result<Self, RootCertificateError> {
        self.root_certificates.extend(parse_root_certificates(pem)?);
        Ok(self)
    }

    /// Connects to `address` for the host `host`, without asking DNS; the port is the URL's.
    ///
    /// Not consulted for `localhost`, names under it, and hosts that are IP addresses. A second
    /// call for the same host replaces the first.
    #[must_use]
    pub fn host_map(mut self, host: &str, address: IpAddr) -> Self {
        self.host_map.insert(host.to_ascii_lowercase().into(), address);
        self
    }

    /// Whoever knows the addresses of host names. The system's resolver unless set.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Whoever knows which proxies to use. None are used unless set;
    /// [`ProxyRules::from_environment`](crate::ProxyRules::from_environment) are those of the
    /// environment.
    #[must_use]
    pub fn proxies(mut self, proxies: Arc<dyn Proxies>) -> Self {
        self.proxies = proxies;
        self
    }

    /// Takes `addresses` to be in the address space `space`, whatever
    /// [the standard's table](https://wicg.github.io/local-network-access/#non-public-ip-address-blocks)
    /// says: an address (`2001:db8::1`), a range (`10.0.0.0/8`), or an address and port
    /// (`127.0.0.1:8080`, for tests). Of two that have the same address the later one counts.
    ///
    /// Fails when `addresses` is none of them.
    pub fn address_space(
        mut self,
        addresses: &str,
        space: AddressSpace,
    ) -> Result<Self, AddressesError> {
        self.address_spaces.add(addresses, space)?;
        Ok(self)
    }

    /// Whoever permits a client whose address space is known to reach a less public one. Nobody
    /// unless set. How long they take to answer is no part of the connect timeout, and no connection,
    /// nor room for one, is held meanwhile.
    #[must_use]
    pub fn local_network_access(mut self, permission: Arc<dyn LocalNetworkAccess>) -> Self {
        self.local_network_access = permission;
        self
    }

    /// How long name resolution, connecting and the TLS handshake may take together. 30 seconds
    /// unless set. Requests that wait for the same connection share its failure.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a server may be silent: from when it is given a request to when the head of its response
    /// is there. 120 seconds unless set.
    ///
    /// A body of more than 64 KiB is written in parts, and a shorter one where an HTTP/2 connection has
    /// not taken what it was given before. Whenever a part is taken the time begins again, so that there
    /// is no limit on an upload as long as it goes on. An HTTP/2 server that has answered may take 30
    /// seconds more for the rest, and then its stream is reset.
    #[must_use]
    pub fn response_head_timeout(mut self, timeout: Duration) -> Self {
        self.response_head_timeout = timeout;
        self
    }

    /// How long an HTTP/1.1 connection may sit idle and still be reused. 2 seconds unless set; 0
    /// turns reuse off.
    ///
    /// A server that says `Keep-Alive: timeout=N` can shorten this, not lengthen it. The longer a
    /// connection has been idle, the likelier the server is closing it just as the next request
    /// is written, and such a request is lost: it cannot be sent again safely.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// The same for an HTTP/2 connection. 60 seconds unless set.
    ///
    /// A server that closes one says first which requests it has not processed, and those are sent
    /// again. One that has vanished says nothing: after 10 seconds idle a connection is used again only
    /// once the server has acknowledged a PING, and is closed if that takes more than 5 seconds. No
    /// request is written before, as it could not be sent again.
    #[must_use]
    pub fn http2_idle_timeout(mut self, timeout: Duration) -> Self {
        self.http2_idle_timeout = timeout;
        self
    }

    /// How many connections may be open for the same network partition, credentials flag and
    /// origin. 6 unless set, and at least 1. Further requests wait for one of them.
    #[must_use]
    pub fn max_connections_per_key(mut self, max: usize) -> Self {
        self.max_connections_per_key = max.max(1);
        self
    }

    /// How many connections may be open in all. 384 unless set, as many as `sendbeacon` has requests
    /// under way by default, and at least 1. For one more, the one that has been idle for longest is
    /// closed; if none is idle, requests wait.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max.max(1);
        self
    }

    /// The network. Needs no runtime yet, does no I/O and cannot fail: the platform's roots are
    /// read for the first `https` URL.
    #[must_use]
    pub fn build(self) -> HttpNetwork {
        HttpNetwork {
            connector: Connector {
                names: Names::new(self.host_map, self.resolver),
                address_spaces: self.address_spaces,
                authorizations: ProxyAuthorizations::new(self.proxies),
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
                per_key: self.max_connections_per_key,
                overall: self.max_connections,
            })),
            local_network_access: self.local_network_access,
            response_head_timeout: self.response_head_timeout,
        }
    }
}

impl fmt::Debug for HttpNetworkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpNetworkBuilder").finish_non_exhaustive()
    }
}
