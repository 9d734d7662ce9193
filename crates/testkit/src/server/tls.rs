//! The server's TLS: a certificate authority and a certificate for each server.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// The hosts in the server's certificate.
const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "a.test", "b.test"];

/// A new certificate authority, and a TLS acceptor with the only certificate that it has signed.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
    pub(super) acceptor: TlsAcceptor,
}

impl Authority {
    /// Makes an authority for a server with these ALPN protocols. If `knows_clients`, the server demands a client
    /// certificate that this authority has signed.
    pub(super) fn new(protocols: &[&str], knows_clients: bool) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "sendbeacon test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
            .expect("a certificate that signs itself");

        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(NAMES.map(String::from))
            .and_then(|params| params.signed_by(&key, &issuer))
            .expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let clients = if knows_clients {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).expect("a root");
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .build()
                .expect("a root")
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols =
            protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();

        Self {
            pem: issuer.pem(),
            der: issuer.der().to_vec(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }
}
