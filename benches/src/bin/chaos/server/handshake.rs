//! The server's TLS: its certificate, and handshakes that go wrong.

use std::{io, sync::Arc};

use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{End, drain};
use crate::{BoxError, COLLECTOR, Transport, cell::Cell, faults::Fault};

/// A fatal `handshake_failure`, and a record of a handshake that ends in the middle.
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
const HALF_A_HELLO: &[u8] = &[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 0, 0, 0, 0, 0, 0];

/// The certificate of all servers of a run, which the clients trust.
pub(crate) struct Identity {
    pub(crate) pem: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn new() -> Result<Self, BoxError> {
        let names = ["localhost", "127.0.0.1", COLLECTOR].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names)?;
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        Ok(Self {
            pem: certified.cert.pem(),
            certificate: certified.cert.der().clone(),
            key: key.into(),
        })
    }
}

/// Makes the TLS side of connections.
pub(super) struct Acceptors {
    usual: TlsAcceptor,
    /// Demands a certificate of the client.
    demanding: TlsAcceptor,
}

impl Acceptors {
    pub(super) fn new(identity: &Identity, cell: &Cell) -> Result<Self, BoxError> {
        let provider = Arc::new(ring::default_provider());
        let protocols: &[&[u8]] = match (cell.transport, cell.fault()) {
            (Transport::Http2, Fault::Http1Required) => &[b"h2", b"http/1.1"],
            (Transport::Http2, _) => &[b"h2"],
            _ => &[b"http/1.1"],
        };
        let mut roots = RootCertStore::empty();
        roots.add(identity.certificate.clone())?;
        let known =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let [usual, demanding] = [WebPkiClientVerifier::no_client_auth(), known.build()?].map(
            |clients| -> Result<TlsAcceptor, rustls::Error> {
                let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                    .with_safe_default_protocol_versions()?
                    .with_client_cert_verifier(clients)
                    .with_single_cert(
                        vec![identity.certificate.clone()],
                        identity.key.clone_key(),
                    )?;
                config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
                Ok(Arc::new(config).into())
            },
        );
        Ok(Self { usual: usual?, demanding: demanding? })
    }

    pub(super) async fn accept(
        &self,
        cell: &Cell,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let demands = cell.strike_by(Fault::ClientCertificate).is_some();
        let acceptor = if demands { &self.demanding } else { &self.usual };
        acceptor.accept(tcp).await
    }
}

/// Breaks the handshake off, if the fault asks for that at this connection. Returns how the connection then ends.
pub(super) async fn cut(cell: &Cell, tcp: &mut TcpStream) -> io::Result<Option<End>> {
    let answer: &[u8] = match cell.fault() {
        Fault::HelloCut => {
            let end = |strike| [End::Drop, End::Reset, End::Finish][strike % 3];
            return Ok(cell.strike().map(end));
        }
        Fault::HandshakeSilence => b"",
        Fault::HandshakeCut => HALF_A_HELLO,
        Fault::Alert => ALERT,
        Fault::NoTls => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        _ => return Ok(None),
    };
    if cell.strike().is_none() {
        return Ok(None);
    }
    let mut record = [0; 5];
    tcp.read_exact(&mut record).await?;
    let mut hello = vec![0; usize::from(u16::from_be_bytes([record[3], record[4]]))];
    tcp.read_exact(&mut hello).await?;
    tcp.write_all(answer).await?;
    if cell.fault() == Fault::HandshakeSilence {
        drain(tcp).await?;
    }
    Ok(Some(End::Drop))
}
