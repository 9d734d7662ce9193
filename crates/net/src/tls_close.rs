//! TLS connections that the server closes without a `close_notify`.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS stream that ends when the TCP stream ends, whether or not the server sent a `close_notify`.
///
/// Many servers do not send one, and no browser requires one. If a response gives its length, the length
/// shows whether the response was cut short. A response without a length counts as whole.
pub(crate) struct AnyClose<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for AnyClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, buffer));
        // NB: rustls uses this kind only where the `close_notify` is missing.
        let is_end = read.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof);
        Poll::Ready(if is_end { Ok(()) } else { read })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnyClose<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
