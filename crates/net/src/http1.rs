//! An HTTP/1.1 connection, by hyper.

use std::{borrow::Cow, sync::Arc, time::Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use sendbeacon_fetch::{AddressSpace, NetworkError, host::ResponseInfo};
use tokio::task::AbortHandle;

use crate::{
    error::http1_error, exchange::Exchange, lenient_stream::LenientStream,
    request_body::RequestBody, response_head::MAX_RESPONSE_HEAD, send_queue::SendQueue,
    stream::BoxedStream,
};

/// How many bytes hyper buffers in each direction before it waits. A read may exceed this once.
///
/// The head of a request with the longest URL must fit, and the largest head of a response. hyper then takes
/// the body of a request at once, so the connection is ready for the next request as soon as the response was
/// read.
const MAX_BUFFER: usize = MAX_RESPONSE_HEAD + 64 * 1024;

/// hyper, set to read responses as browsers do, and to write requests as they do.
pub(crate) fn hyper() -> http1::Builder {
    let mut hyper = http1::Builder::new();
    hyper
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_header_size(MAX_RESPONSE_HEAD)
        .max_buf_size(MAX_BUFFER)
        .title_case_headers(true)
        // Head and body go out as one buffer: a list of two costs the kernel more than the copy.
        .writev(false);
    hyper
}

/// An open HTTP/1.1 connection, for one request at a time.
///
/// `open` returns it in a box, because each of the nested futures of a request has room for it.
pub(crate) struct Http1Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    /// The address space of the server, if it is known.
    pub(crate) address_space: Option<AddressSpace>,
    /// What was told of the last response with a usual reason phrase.
    pub(crate) info: Arc<ResponseInfo>,
    /// Whether an earlier request has used the connection.
    pub(crate) is_used: bool,
    /// Where to ask what the server has acknowledged, if that is known.
    pub(crate) send_queue: Option<Box<SendQueue>>,
    pub(crate) exchange: Arc<Exchange>,
    /// The task that owns the socket.
    task: AbortHandle,
}

impl Http1Connection {
    /// Makes an HTTP/1.1 connection of a stream. `is_secure` says whether the stream is behind TLS.
    pub(crate) async fn open(
        stream: BoxedStream,
        is_secure: bool,
        address_space: Option<AddressSpace>,
    ) -> Result<Box<Self>, NetworkError> {
        let stream = LenientStream::new(stream, is_secure);
        let exchange = stream.exchange();
        let handshake = hyper().handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(http1_error)?;
        let task = tokio::spawn(async move {
            // The request that waits for a response gets the error. On an idle connection no request waits.
            let _: hyper::Result<()> = connection.await;
        })
        .abort_handle();
        Ok(Box::new(Self {
            sender,
            address_space,
            info: Arc::default(),
            is_used: false,
            send_queue: None,
            exchange,
            task,
        }))
    }

    /// What is told of a response. Most responses of a connection share it.
    pub(crate) fn response_info(
        &mut self,
        status_message: Cow<'static, [u8]>,
        first_interim_response_start: Option<Instant>,
    ) -> Arc<ResponseInfo> {
        let is_same = self.info.status_message == status_message
            && self.info.first_interim_response_start == first_interim_response_start;
        if is_same {
            return Arc::clone(&self.info);
        }
        let mut info = Arc::clone(&self.info);
        let of_response = Arc::make_mut(&mut info);
        of_response.status_message = status_message;
        of_response.first_interim_response_start = first_interim_response_start;
        // NB: an idle connection does not keep a text of the server, which may be long.
        if matches!(info.status_message, Cow::Borrowed(_)) {
            self.info = Arc::clone(&info);
        }
        info
    }
}

impl Drop for Http1Connection {
    fn drop(&mut self) {
        // Without this, hyper would first finish the read or the write that it has begun.
        self.task.abort();
    }
}
