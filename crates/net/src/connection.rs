//! An open connection of either protocol.

use crate::{http1::Http1Connection, http2::Http2Connection};

/// An open connection. Dropping it closes it at once, whatever is still under way.
pub(crate) enum OpenConnection {
    Http1(Box<Http1Connection>),
    Http2(Http2Connection),
}
