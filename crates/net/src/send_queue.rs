//! Finding out that the peer of a connection has acknowledged a whole request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use sendbeacon_fetch::host::{Answer, Progress, Transmission};
use tokio::time::sleep;

/// When the system is asked for the first time after a request was given to a connection. Most requests are answered
/// before that.
const FIRST_QUESTION: Duration = Duration::from_millis(100);

/// How long the network waits at most between two questions about one request.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Tells how much of what was written to a TCP connection its peer has not acknowledged.
///
/// Without this service, a request that was written and not answered counts as sent in part. With it, such a request
/// counts as [sent](Progress::Sent) once the peer's system has all of it. The network asks about a request that is not
/// answered within 100 ms, then after 200 ms and so on, and in the end every second. It asks about direct connections
/// only, and over HTTP/2 about requests with a body of at most 64 KiB.
///
/// The number is that of Linux's `SIOCOUTQ` and of `tcpi_unacked` in `TCP_INFO`, of macOS's `SO_NWRITE`, and of
/// `tx_queue` in `/proc/net/tcp`. An engine finds the connection by its two addresses.
pub trait SendQueues: Send + Sync {
    /// How many bytes that were written to the connection from `local` to `peer` are not acknowledged. `None`: the
    /// system does not tell, or the connection was closed or reset.
    ///
    /// The network calls it on the runtime that polls the fetch. It must not block.
    fn unacknowledged(&self, local: SocketAddr, peer: SocketAddr) -> Answer<Option<u64>>;
}

/// The send queue of one connection.
pub(crate) struct SendQueue {
    queues: Arc<dyn SendQueues>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl SendQueue {
    pub(crate) fn new(queues: Arc<dyn SendQueues>, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { queues, local, peer }
    }

    /// Awaits the answer to a request. Reports the request as sent once it is, if that is before the answer.
    /// `is_written` says whether all of it was given to the system.
    pub(crate) async fn report_until<T>(
        &self,
        answer: impl Future<Output = T> + Unpin,
        transmission: &Transmission,
        is_written: impl Fn() -> bool,
    ) -> T {
        let sent = Box::pin(async {
            let mut wait = FIRST_QUESTION;
            loop {
                sleep(wait).await;
                if is_written()
                    && self.queues.unacknowledged(self.local, self.peer).get().await == Some(0)
                {
                    return transmission.report(Progress::Sent);
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        });
        match select(answer, sent).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), answer)) => answer.await,
        }
    }
}
