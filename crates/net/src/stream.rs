//! The stream of bytes under a connection.

use tokio::io::{AsyncRead, AsyncWrite};

/// TCP, TLS, or a tunnel through a proxy.
///
/// It is boxed, so that hyper, h2 and the TLS handshake are compiled once, and not once for each way to a server.
pub(crate) type BoxedStream = Box<dyn Stream>;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}
