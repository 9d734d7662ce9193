//! TLS by rustls, with sessions partitioned like the connections.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls_platform_verifier::Verifier;
use sendbeacon_fetch::{ErrorDetail, NetworkError, host::ConnectionKey};
use tokio::sync::OnceCell;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use crate::{
    error::RootCertificateError, pool::key::PoolKey, proxy::server::Proxy, stream::BoxedStream,
};

/// The name of HTTP/2 in the ALPN extension.
pub(crate) const HTTP2: &[u8] = b"h2";

/// The name of HTTP/1.1 in the ALPN extension.
const HTTP1: &[u8] = b"http/1.1";

/// For how many keys TLS sessions are remembered.
const MAX_PARTITIONS: usize = 64;

/// For how many servers TLS sessions are remembered under each key.
const MAX_SESSIONS: usize = 32;

/// Makes TLS connections. Sessions are partitioned like the connections, because a session ticket also tells
/// a server that it has seen this user agent before.
pub(crate) struct Tls {
    settings: TlsSettings,
    /// The configuration that all partitions share. The first connection makes it.
    base: OnceCell<ClientConfig>,
    /// The most recently used partition is at the back.
    partitions: Mutex<VecDeque<(SessionKey, Arc<ClientConfig>)>>,
}

/// What two connections must have in common to share TLS sessions: the pool's key without the host.
/// rustls itself keeps the hosts apart.
#[derive(Clone, PartialEq, Eq)]
struct SessionKey {
    connection: ConnectionKey,
    port: u16,
    proxy: Option<Arc<Proxy>>,
    /// Whether the handshake is with the proxy itself.
    is_to_proxy: bool,
    /// Whether the connection has to speak HTTP/1.1, as every connection to a proxy does.
    needs_http1: bool,
}

impl SessionKey {
    fn of(key: &PoolKey) -> Self {
        let PoolKey { connection, port, proxy, needs_http1, .. } = key;
        let (connection, proxy) = (connection.clone(), proxy.clone());
        Self { connection, port: *port, proxy, is_to_proxy: false, needs_http1: *needs_http1 }
    }
}

/// The embedder's settings for TLS.
#[derive(Clone)]
pub(crate) struct TlsSettings {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) platform_roots: bool,
    pub(crate) extra_roots: Vec<CertificateDer<'static>>,
}

impl Tls {
    pub(crate) fn new(settings: TlsSettings) -> Self {
        Self { settings, base: OnceCell::new(), partitions: Mutex::default() }
    }

    /// Makes a handshake with the server of `key`.
    pub(crate) async fn handshake(
        &self,
        key: &PoolKey,
        stream: BoxedStream,
    ) -> Result<TlsStream<BoxedStream>, NetworkError> {
        let done = self.handshake_with(&key.host, SessionKey::of(key), stream).await;
        done.map_err(|detail| NetworkError::Tls(detail.with_context(key)))
    }

    /// Makes a handshake with the proxy through which the request goes to the server of `key`.
    pub(crate) async fn handshake_with_proxy(
        &self,
        proxy: &Arc<Proxy>,
        key: &PoolKey,
        stream: BoxedStream,
    ) -> Result<TlsStream<BoxedStream>, NetworkError> {
        let port = proxy.port;
        let (is_to_proxy, needs_http1) = (true, true);
        let session = SessionKey { port, is_to_proxy, needs_http1, ..SessionKey::of(key) };
        let done = self.handshake_with(&proxy.host, session, stream).await;
        done.map_err(|detail| NetworkError::Proxy(detail.with_context(proxy)))
    }

    async fn handshake_with(
        &self,
        host: &Host,
        session: SessionKey,
        stream: BoxedStream,
    ) -> Result<TlsStream<BoxedStream>, ErrorDetail> {
        let base = self.base.get_or_try_init(|| client_config(self.settings.clone())).await?;
        let name = server_name(host)?;
        let connector = TlsConnector::from(self.partition(session, base));
        Ok(connector.connect(name, stream).await?)
    }

    /// Forgets all sessions.
    pub(crate) fn forget(&self) {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn partition(&self, key: SessionKey, base: &ClientConfig) -> Arc<ClientConfig> {
        // After a panic at any point here, the queue still holds keys with their own configurations.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = partitions.iter().rposition(|(other, _)| *other == key);
        let (key, config) = known.and_then(|at| partitions.remove(at)).unwrap_or_else(|| {
            let mut config = base.clone();
            config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
            if key.needs_http1 {
                config.alpn_protocols = vec![HTTP1.to_vec()];
            }
            (key, Arc::new(config))
        });
        if partitions.len() >= MAX_PARTITIONS {
            partitions.pop_front();
        }
        partitions.push_back((key, Arc::clone(&config)));
        config
    }
}

/// Makes the configuration, without a session store. Early data stays off: a server may act on it twice.
async fn client_config(settings: TlsSettings) -> Result<ClientConfig, ErrorDetail> {
    // On some platforms, the root certificates are read from files.
    let config = tokio::task::spawn_blocking(|| {
        let provider = Arc::clone(&settings.provider);
        let verifier = verifier(settings)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // Every way to set a verifier needs this call. This verifier does verify.
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        config.resumption = Resumption::disabled();
        Ok::<_, rustls::Error>(config)
    });
    match config.await {
        Ok(Ok(config)) => Ok(config),
        Ok(Err(error)) => {
            Err(ErrorDetail::of(error).with_context("no certificate can be verified"))
        }
        Err(error) => {
            Err(ErrorDetail::of(error).with_context("the root certificates were not loaded"))
        }
    }
}

fn verifier(settings: TlsSettings) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let TlsSettings { provider, platform_roots, extra_roots } = settings;
    if platform_roots {
        return Ok(Arc::new(Verifier::new_with_extra_roots(extra_roots, provider)?));
    }
    let mut roots = RootCertStore::empty();
    for certificate in extra_roots {
        roots.add(certificate)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(verifier.map_err(|error| rustls::Error::General(error.to_string()))?)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, ErrorDetail> {
    match host {
        Host::Domain(domain) => ServerName::try_from(domain.clone()).map_err(ErrorDetail::of),
        Host::Ipv4(ip) => Ok(ServerName::from(std::net::IpAddr::V4(*ip))),
        Host::Ipv6(ip) => Ok(ServerName::from(std::net::IpAddr::V6(*ip))),
    }
}

/// Parses PEM, and checks that each certificate in it can be a root.
pub(crate) fn parse_root_certificates(
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, RootCertificateError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| RootCertificateError::Pem(ErrorDetail::of(error)))?;
    if certificates.is_empty() {
        return Err(RootCertificateError::Missing);
    }
    // The verifier does this again, but then it is too late to tell the embedder.
    let mut roots = RootCertStore::empty();
    for (certificate, number) in certificates.iter().zip(1..) {
        roots.add(certificate.clone()).map_err(|error| RootCertificateError::Certificate {
            number,
            reason: ErrorDetail::of(error),
        })?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use sendbeacon_fetch::{Nonce, PartitionKey, Site};

    use super::*;

    fn settings() -> TlsSettings {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        TlsSettings { provider, platform_roots: true, extra_roots: Vec::new() }
    }

    fn key(site: u128, credentials: bool) -> SessionKey {
        let partition =
            PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(site)), second_key: None };
        let connection = ConnectionKey::new(partition, credentials);
        SessionKey { connection, port: 443, proxy: None, is_to_proxy: false, needs_http1: false }
    }

    #[tokio::test]
    async fn partition_keeps_its_sessions_and_shares_them_with_no_other() {
        let tls = Tls::new(settings());
        let base = client_config(settings()).await.unwrap();
        let config = tls.partition(key(1, true), &base);
        assert!(Arc::ptr_eq(&config, &tls.partition(key(1, true), &base)));
        assert!(!Arc::ptr_eq(&config, &tls.partition(key(1, false), &base)));
        assert!(!Arc::ptr_eq(&config, &tls.partition(key(2, true), &base)));
        let other_port = SessionKey { port: 8443, ..key(1, true) };
        assert!(!Arc::ptr_eq(&config, &tls.partition(other_port, &base)));
        let proxy = "http://proxy.test".parse().ok().map(Arc::new);
        let through_a_proxy = SessionKey { proxy, ..key(1, true) };
        assert!(!Arc::ptr_eq(&config, &tls.partition(through_a_proxy, &base)));
        let to_a_proxy = SessionKey { is_to_proxy: true, ..key(1, true) };
        assert!(!Arc::ptr_eq(&config, &tls.partition(to_a_proxy, &base)));
        tls.forget();
        assert!(!Arc::ptr_eq(&config, &tls.partition(key(1, true), &base)));
    }

    #[tokio::test]
    async fn least_recently_used_partition_is_forgotten() {
        let tls = Tls::new(settings());
        let base = client_config(settings()).await.unwrap();
        let first = tls.partition(key(0, true), &base);
        let second = tls.partition(key(1, true), &base);
        for site in 2..=u128::try_from(MAX_PARTITIONS).unwrap() {
            tls.partition(key(0, true), &base);
            tls.partition(key(site, true), &base);
        }
        assert_eq!(tls.partitions.lock().unwrap().len(), MAX_PARTITIONS);
        assert!(Arc::ptr_eq(&first, &tls.partition(key(0, true), &base)));
        assert!(!Arc::ptr_eq(&second, &tls.partition(key(1, true), &base)));
    }

    #[test]
    fn text_without_a_root_certificate_is_refused_with_a_reason() {
        assert_eq!(parse_root_certificates(b""), Err(RootCertificateError::Missing));
        let bad = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(parse_root_certificates(bad), Err(RootCertificateError::Pem(_))));
        let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            parse_root_certificates(junk),
            Err(RootCertificateError::Certificate { number: 1, .. })
        ));
    }
}
