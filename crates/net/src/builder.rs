use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use rustls_pki_types::CertificateDer;

use crate::{
    HyperNetwork,
    connect::Connector,
    pool::{Limits, Pool},
    tls::{RootCertificateError, Tls, parse_root_certificates},
};

/// Settings of a [`HyperNetwork`].
#[derive(Clone, Debug)]
pub struct HyperNetworkBuilder {
    root_certificates: Vec<CertificateDer<'static>>,
    host_map: HashMap<Box<str>, IpAddr>,
    connect_timeout: Duration,
    response_head_timeout: Duration,
    idle_timeout: Duration,
    http2_idle_timeout: Duration,
    max_connections_per_key: usize,
    max_connections: usize,
}

impl Default for HyperNetworkBuilder {
    fn default() -> Self {
        Self {
            root_certificates: Vec::new(),
            host_map: HashMap::new(),
            connect_timeout: Duration::from_secs(30),
            response_head_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(2),
            http2_idle_timeout: Duration::from_secs(60),
            max_connections_per_key: 6,
            max_connections: 256,
        }
    }
}

impl HyperNetworkBuilder {
    /// Trusts the certificates in `pem` beside those the platform trusts.
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

    /// How long name resolution, connecting and the TLS handshake may take together. 30 seconds
    /// unless set. Requests that wait for the same connection share its failure.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a server may take from when it is given a request to when the head of its response
    /// is there. 120 seconds unless set.
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
    /// again.
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

    /// How many connections may be open in all. 256 unless set, and at least 1. For one more, the
    /// one that has been idle for longest is closed; if none is idle, requests wait.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max.max(1);
        self
    }

    /// The network. Needs no runtime yet, does no I/O and cannot fail: the platform's roots are
    /// read for the first `https` URL.
    #[must_use]
    pub fn build(self) -> HyperNetwork {
        HyperNetwork {
            connector: Connector {
                host_map: self.host_map,
                timeout: self.connect_timeout,
                tls: Tls::new(self.root_certificates),
            },
            pool: Arc::new(Pool::new(Limits {
                http1_idle: self.idle_timeout,
                http2_idle: self.http2_idle_timeout,
                per_key: self.max_connections_per_key,
                overall: self.max_connections,
            })),
            response_head_timeout: self.response_head_timeout,
        }
    }
}
