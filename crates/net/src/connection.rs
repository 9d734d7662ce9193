use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use sendbeacon_fetch::{AddressSpace, NetworkError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
};

use crate::{body::RequestBody, http2::Http2Connection, protocol_error};

/// The largest head of a response, in bytes.
///
/// hyper's limit of 100 headers is left as it is: setting it, even to the same number, makes hyper
/// allocate for every response.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;

/// How many bytes hyper buffers each way before it waits. Reads may go over it by one read.
///
/// A request's head must fit, the longest URL included. Its body is then taken behind it at once,
/// so a connection whose response has been read is ready for the next request at once.
pub(crate) const MAX_BUFFER: usize = 2 * MAX_RESPONSE_HEAD;

/// An open connection. Dropping it closes it, whatever is still under way.
pub(crate) enum Connection {
    Http1(Box<Http1Connection>),
    Http2(Http2Connection),
}

/// An open HTTP/1.1 connection, for one request at a time. It stays in its box, as every layer of a
/// request's future has room of its own for the lease that holds it.
pub(crate) struct Http1Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    /// Where its other end is, if that is known.
    pub(crate) address_space: Option<AddressSpace>,
    /// The task that owns the socket.
    task: AbortHandle,
}

impl Http1Connection {
    pub(crate) async fn open<S>(
        stream: S,
        address_space: Option<AddressSpace>,
    ) -> Result<Box<Self>, NetworkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(MAX_RESPONSE_HEAD)
            .max_buf_size(MAX_BUFFER)
            // Head and body as one buffer: for the kernel a list of two is more work than the copy.
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| protocol_error(&error))?;
        let task = tokio::spawn(async move {
            // An error reaches whoever waits for a response; on an idle connection it is nobody's.
            let _: hyper::Result<()> = connection.await;
        })
        .abort_handle();
        Ok(Box::new(Self { sender, address_space, task }))
    }
}

impl Drop for Http1Connection {
    fn drop(&mut self) {
        // Without this hyper would first finish what it has begun: read on, or write on.
        self.task.abort();
    }
}
