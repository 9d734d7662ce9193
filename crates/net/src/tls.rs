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
use sendbeacon_fetch::{NetworkError, host::ConnectionKey};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;

use crate::{describe, pool::PoolKey, proxy::Proxy};

/// HTTP/2 in the ALPN extension.
pub(crate) const HTTP2: &[u8] = b"h2";

/// And HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// How many partitions' TLS sessions are remembered.
const MAX_PARTITIONS: usize = 64;

/// How many servers' TLS sessions are remembered in each partition.
const MAX_SESSIONS: usize = 32;

/// TLS, with sessions as partitioned as connections are: a session ticket, too, tells a server that
/// it has seen somebody before.
pub(crate) struct Tls {
    settings: TlsSettings,
    /// What all partitions share; made for the first connection.
    base: OnceCell<ClientConfig>,
    /// The partition used last is at the back.
    partitions: Mutex<VecDeque<(SessionKey, Arc<ClientConfig>)>>,
}

/// What two connections must share to share TLS sessions: all of the pool's key but the host, by which
/// rustls keeps them apart.
#[derive(Clone, PartialEq, Eq)]
struct SessionKey {
    connection: ConnectionKey,
    port: u16,
    proxy: Option<Arc<Proxy>>,
    /// Whether the other end is the proxy itself, with which HTTP/1.1 is spoken.
    is_to_proxy: bool,
}

impl SessionKey {
    fn of(key: &PoolKey) -> Self {
        let (connection, proxy) = (key.connection.clone(), key.proxy.clone());
        Self { connection, port: key.port, proxy, is_to_proxy: false }
    }
}

/// Whom to trust, and with what.
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

    /// A handshake with the server of `key`.
    pub(crate) async fn handshake<S>(
        &self,
        key: &PoolKey,
        stream: S,
    ) -> Result<TlsStream<S>, NetworkError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let done = self.handshake_with(&key.host, SessionKey::of(key), stream).await;
        done.map_err(|reason| NetworkError::Tls(format!("{key}: {reason}")))
    }

    /// A handshake with the proxy on the way there.
    pub(crate) async fn handshake_with_proxy<S>(
        &self,
        proxy: &Arc<Proxy>,
        key: &PoolKey,
        stream: S,
    ) -> Result<TlsStream<S>, NetworkError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let session = SessionKey { port: proxy.port, is_to_proxy: true, ..SessionKey::of(key) };
        let done = self.handshake_with(&proxy.host, session, stream).await;
        done.map_err(|reason| NetworkError::Proxy(format!("{proxy}: {reason}")))
    }

    async fn handshake_with<S>(
        &self,
        host: &Host,
        session: SessionKey,
        stream: S,
    ) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let base = self.base.get_or_try_init(|| client_config(self.settings.clone())).await?;
        let name = server_name(host)?;
        let connector = TlsConnector::from(self.partition(session, base));
        connector.connect(name, stream).await.map_err(|error| describe(&error))
    }

    /// Forgets all sessions.
    pub(crate) fn forget(&self) {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn partition(&self, key: SessionKey, base: &ClientConfig) -> Arc<ClientConfig> {
        // Whatever panicked, the queue still holds keys with their configurations.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = partitions.iter().rposition(|(other, _)| *other == key);
        let (key, config) = known.and_then(|at| partitions.remove(at)).unwrap_or_else(|| {
            let mut config = base.clone();
            config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
            if key.is_to_proxy {
                config.alpn_protocols = vec![HTTP1.to_vec()];
            }
            (key, Arc::new(config))
        });
        if partitions.len() >= MAX_PARTITIONS {
            partitions.pop_front();
        }
        partitions.push_back((key, config.clone()));
        config
    }
}

/// The configuration without a session store. Early data stays off: a server may act on it twice.
async fn client_config(settings: TlsSettings) -> Result<ClientConfig, String> {
    // Reading the platform's roots is file I/O on some platforms.
    let config = tokio::task::spawn_blocking(|| {
        let provider = settings.provider.clone();
        let verifier = verifier(settings)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // The name of every way to set a verifier. This one verifies.
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        config.resumption = Resumption::disabled();
        Ok::<_, rustls::Error>(config)
    });
    match config.await {
        Ok(Ok(config)) => Ok(config),
        Ok(Err(error)) => Err(format!("no certificate can be verified: {error}")),
        Err(error) => Err(format!("the root certificates were not loaded: {error}")),
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

fn server_name(host: &Host) -> Result<ServerName<'static>, String> {
    match host {
        Host::Domain(domain) => {
            ServerName::try_from(domain.clone()).map_err(|error| error.to_string())
        }
        Host::Ipv4(ip) => Ok(ServerName::from(std::net::IpAddr::V4(*ip))),
        Host::Ipv6(ip) => Ok(ServerName::from(std::net::IpAddr::V6(*ip))),
    }
}

/// Why root certificates were not added.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RootCertificateError {
    /// The text is not PEM.
    #[error("not PEM: {0}")]
    Pem(String),
    /// There is no `CERTIFICATE` section.
    #[error("there is no certificate in it: pass PEM with a BEGIN CERTIFICATE line")]
    Missing,
    /// A certificate cannot be a root.
    #[error("certificate {number} cannot be a root: {reason}")]
    Certificate {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

pub(crate) fn parse_root_certificates(
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, RootCertificateError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| RootCertificateError::Pem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(RootCertificateError::Missing);
    }
    // The verifier will do this again, but only once there is nobody left to tell.
    let mut roots = RootCertStore::empty();
    for (certificate, number) in certificates.iter().zip(1..) {
        roots.add(certificate.clone()).map_err(|error| RootCertificateError::Certificate {
            number,
            reason: error.to_string(),
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
        SessionKey { connection, port: 443, proxy: None, is_to_proxy: false }
    }

    #[tokio::test]
    async fn a_partition_keeps_its_sessions_and_shares_them_with_no_other() {
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
    async fn the_partition_unused_for_longest_is_forgotten() {
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
    fn what_is_not_a_root_certificate_is_refused_with_a_reason() {
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
