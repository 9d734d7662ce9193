//! Which requests are sent again after their connection was lost.

use std::io::ErrorKind;

use http::Method;
use sendbeacon_fetch::NetworkError;

/// Which requests the network sends again after a server has closed their connection.
///
/// A server closes a connection that was idle for too long, or when it restarts. If a request is on its way at that
/// moment, the server never reads it. The network cannot tell this case from that of a server that has read the
/// request. So it sends a request again only if all of this holds:
///
/// * The policy allows it for this request.
/// * The connection had served an earlier request. A request on a new connection is never sent again.
/// * The server has ended the connection, and not a limit on time, an error of TLS or another network of the machine.
/// * No byte of an answer had come. Over HTTP/2, if the method is not safe: no byte at all since the request was given to
///   the connection. Over HTTP/1.1 an answer with the status 408 counts as no answer, except for [`Strict`](Self::Strict):
///   it is how some servers close an idle connection.
///
/// It then goes on another connection of the same network partition, over HTTP/1.1 a new one, and the Local Network
/// Access check is made anew. A request whose method is not safe is sent again only once, and one whose method is safe is
/// sent three times in all. If the other connection cannot be made, the request fails with the reason for which the
/// first one was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResendPolicy {
    /// Requests with a safe method (GET, HEAD, OPTIONS).
    Strict,
    /// Also requests whose response nobody [awaits](sendbeacon_fetch::host::NetworkRequest::is_awaited): beacons, pings,
    /// reports and deferred fetches.
    #[default]
    Unawaited,
    /// All requests, as Chromium does it. The POST of a `fetch()` may then reach a server twice.
    LikeChromium,
}

impl ResendPolicy {
    /// Whether a request may be sent again.
    pub(crate) fn allows(self, method: &Method, is_awaited: bool) -> bool {
        method.is_safe()
            || match self {
                Self::Strict => false,
                Self::Unawaited => !is_awaited,
                Self::LikeChromium => true,
            }
    }

    /// Whether an answer with the status 408 on a connection that was idle counts as none.
    pub(crate) fn ignores_408(self) -> bool {
        self != Self::Strict
    }
}

/// Why a request has no response.
pub(crate) enum Failure {
    /// No byte of the request was written.
    Unwritten(NetworkError),
    /// The server says that it has not acted on the request.
    Unprocessed(NetworkError),
    /// The server wants the request over HTTP/1.1.
    Http1Required(NetworkError),
    /// The server has ended the connection. It may have acted on the request.
    Lost(NetworkError),
    /// The server may have acted on the request, or the request cannot be sent at all.
    Final(NetworkError),
}

impl Failure {
    pub(crate) fn into_reason(self) -> NetworkError {
        match self {
            Self::Unwritten(reason)
            | Self::Unprocessed(reason)
            | Self::Http1Required(reason)
            | Self::Lost(reason)
            | Self::Final(reason) => reason,
        }
    }
}

/// Whether a connection ended with `reason` because it was reset. The server may then not have read everything that
/// its system had acknowledged.
pub(crate) fn is_reset(reason: &NetworkError) -> bool {
    matches!(reason.io_kind(), Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

/// Whether a connection ended with `reason` because its server closed or reset it.
pub(crate) fn is_ended_by_peer(reason: &NetworkError) -> bool {
    matches!(
        reason.io_kind(),
        Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
    )
}
