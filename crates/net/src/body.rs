use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use sendbeacon_fetch::{NetworkError, host::BodyStream};

use crate::{pool::Lease, protocol_error};

/// A response body, which holds its connection until the end of the body gives it back.
///
/// Dropped earlier, it takes the connection with it: what is left of the body would have to be
/// read before the connection is of use again, and may never come.
pub(crate) struct Body {
    incoming: Incoming,
    /// `None` once the body is over.
    lease: Option<Lease>,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, lease: Lease) -> Self {
        Self { incoming, lease: Some(lease) }
    }
}

impl BodyStream for Body {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        while self.lease.is_some() {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                // Trailers are passed over: Fetch has no use for them.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(error)) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(protocol_error(&error))));
                }
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.give_back();
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}
