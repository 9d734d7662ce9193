//! An open connection of either protocol.

use std::sync::Arc;

use sendbeacon_fetch::host::{ConnectionTiming, ResponseInfo};

use crate::{http1::Http1Connection, http2::Http2Connection, send_queue::SendQueue};

/// An open connection. Dropping it closes it at once, whatever is still under way.
pub(crate) enum OpenConnection {
    Http1(Box<Http1Connection>),
    Http2(Http2Connection),
}

impl OpenConnection {
    /// Keeps when the connection was made, for the timing of each of its requests.
    pub(crate) fn with_timing(mut self, timing: ConnectionTiming) -> Self {
        let mut info = ResponseInfo::default();
        info.connection_timing = Some(Arc::new(timing));
        match &mut self {
            Self::Http1(connection) => connection.info = Arc::new(info),
            Self::Http2(connection) => connection.info = Arc::new(info),
        }
        self
    }

    /// Keeps where to ask what the peer has acknowledged.
    pub(crate) fn with_send_queue(mut self, queue: Option<SendQueue>) -> Self {
        match &mut self {
            Self::Http1(connection) => connection.send_queue = queue.map(Box::new),
            Self::Http2(connection) => connection.send_queue = queue.map(Box::new),
        }
        self
    }
}
