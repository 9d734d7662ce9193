//! An HTTP/1.1 connection, by hyper.

use std::sync::Arc;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use sendbeacon_fetch::{AddressSpace, NetworkError, host::ConnectionTiming};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
};

use crate::{error::http1_error, request_body::RequestBody};

/// The largest head of a response, in bytes.
///
/// hyper's own limit is 100 headers. Setting that limit, even to the same number, makes hyper allocate
/// for every response.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;

/// How many bytes hyper buffers in each direction before it waits. A read may exceed this once.
///
/// The head of a request with the longest URL must fit. hyper then takes the body behind the head at once,
/// so the connection is ready for the next request as soon as the response was read.
pub(crate) const MAX_BUFFER: usize = 2 * MAX_RESPONSE_HEAD;

/// An open HTTP/1.1 connection, for one request at a time.
///
/// It is boxed, because every layer of a request's future has room for the lease that holds it.
pub(crate) struct Http1Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    /// The address space of the server, if it is known.
    pub(crate) address_space: Option<AddressSpace>,
    /// When the connection was made, if that is known.
    pub(crate) timing: Option<Arc<ConnectionTiming>>,
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
            // Head and body go out as one buffer: a list of two costs the kernel more than the copy.
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(http1_error)?;
        let task = tokio::spawn(async move {
            // The request that waits for a response gets the error. On an idle connection no request waits.
            let _: hyper::Result<()> = connection.await;
        })
        .abort_handle();
        Ok(Box::new(Self { sender, address_space, timing: None, task }))
    }
}

impl Drop for Http1Connection {
    fn drop(&mut self) {
        // Without this, hyper would first finish the read or the write that it has begun.
        self.task.abort();
    }
}
