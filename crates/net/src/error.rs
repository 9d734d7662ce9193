//! The crate's errors, and how errors of hyper and h2 become a [`NetworkError`].

use std::io;

use sendbeacon_fetch::{ErrorDetail, NetworkError};
use thiserror::Error;

/// Why a network was not built: with one of its limits, every request would fail.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A limit on connections is zero, so that no request could ever be sent.
    #[error("{setting} is 0, and no request could be sent: set it to 1 or more")]
    ZeroConnections {
        /// The builder's method that set it.
        setting: &'static str,
    },
    /// A limit on time is zero, so that every request would fail.
    #[error("{setting} is 0, and every request would fail: set it to more, or to Duration::MAX")]
    ZeroTimeout {
        /// The builder's method that set it.
        setting: &'static str,
    },
}

/// The text is not an address, a range of addresses, or an address with a port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not an address (10.1.2.3), a range (10.0.0.0/8) or an address and port (10.1.2.3:80)"
)]
pub struct AddressesError(pub(crate) String);

/// The text does not name a usable proxy. The error does not repeat the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "not a proxy that can be used: give http://host:port, https://host:port or socks5://host:port, \
     the last with a user and a password of 255 bytes at most"
)]
pub struct ProxyError(pub(crate) ());

/// Why root certificates were not added.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RootCertificateError {
    /// The text is not PEM.
    #[error("not PEM: {0}")]
    Pem(#[source] ErrorDetail),
    /// The text has no `CERTIFICATE` section.
    #[error("there is no certificate in it: pass PEM with a BEGIN CERTIFICATE line")]
    Missing,
    /// A certificate cannot be a root.
    #[error("certificate {number} cannot be a root: {reason}")]
    Certificate {
        /// The number of the certificate in the text, counted from 1.
        number: usize,
        /// What is wrong with the certificate.
        #[source]
        reason: ErrorDetail,
    },
}

/// An HTTP/1.1 connection failed, or its server did not speak HTTP/1.1.
pub(crate) fn http1_error(error: hyper::Error) -> NetworkError {
    NetworkError::Protocol(http1_detail(error))
}

/// The detail of hyper's error. For an early end and for a malformed message, hyper has errors of its own
/// without an I/O error beneath.
pub(crate) fn http1_detail(error: hyper::Error) -> ErrorDetail {
    let kind = if error.is_incomplete_message() {
        Some(io::ErrorKind::UnexpectedEof)
    } else {
        error.is_parse().then_some(io::ErrorKind::InvalidData)
    };
    let detail = ErrorDetail::of(error);
    match kind {
        Some(kind) if detail.kind().is_none() => detail.with_kind(kind),
        _ => detail,
    }
}

/// An HTTP/2 connection or stream failed, or its server did not speak HTTP/2.
pub(crate) fn http2_error(error: h2::Error) -> NetworkError {
    // h2 does not give the I/O error as a source.
    let kind = error.get_io().map(io::Error::kind);
    let detail = ErrorDetail::of(error);
    NetworkError::Protocol(match kind {
        Some(kind) => detail.with_kind(kind),
        None => detail,
    })
}
