//! The time that is left to make a connection.

use std::time::Duration;

use sendbeacon_fetch::{NetworkError, TimeoutKind};
use tokio::time::{Instant, timeout};

/// The time that is left to make a connection. It does not run while the embedder is asked.
pub(crate) struct TimeLeft {
    limit: Duration,
    left: Duration,
}

impl TimeLeft {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, left: limit }
    }

    /// Does `work`, and counts the time that it takes. Fails when no time is left.
    pub(crate) async fn spend<T>(
        &mut self,
        work: impl Future<Output = Result<T, NetworkError>>,
    ) -> Result<T, NetworkError> {
        let since = Instant::now();
        let done = timeout(self.left, work).await;
        self.left = self.left.saturating_sub(since.elapsed());
        let late = NetworkError::Timeout { kind: TimeoutKind::Connect, after: self.limit };
        done.unwrap_or(Err(late))
    }
}
