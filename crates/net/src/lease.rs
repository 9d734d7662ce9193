//! What a request holds while it uses a connection, or makes one. Each tells the pool when it is
//! dropped.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use sendbeacon_fetch::NetworkError;
use tokio::time::{Instant, timeout};

use crate::{
    connection::{Connection, Http1Connection},
    destination::Idle,
    http2::Http2Connection,
    pool::{Pool, PoolKey},
};

/// How long an idle HTTP/1.1 connection may take to be ready. It takes no time at all, unless the
/// server has answered without reading the last request's body, and still reads nothing.
const READY_TIMEOUT: Duration = Duration::from_millis(250);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Use of an open connection.
pub(crate) enum Lease {
    Http1(Http1Lease),
    Http2(Http2Lease),
}

/// Use of an HTTP/1.1 connection. Dropped, it closes the connection.
pub(crate) struct Http1Lease {
    pub(crate) connection: Box<Http1Connection>,
    /// How long the connection may be idle; until it is used, what is left of that.
    reusable_for: Duration,
    in_use: Http1InUse,
}

struct Http1InUse {
    /// Where the connection goes, if there still is a pool by then.
    pool: Weak<Pool>,
    key: Arc<PoolKey>,
    /// Which of the machine's networks the connection is on.
    network: u64,
    /// The connection, once it is idle, and for how long it may be.
    idle: Option<(Box<Http1Connection>, Duration)>,
}

impl Http1Lease {
    pub(crate) fn new(
        pool: &Arc<Pool>,
        key: &Arc<PoolKey>,
        network: u64,
        connection: Box<Http1Connection>,
    ) -> Self {
        let in_use =
            Http1InUse { pool: Arc::downgrade(pool), key: key.clone(), network, idle: None };
        Self { connection, reusable_for: pool.limits.http1_idle, in_use }
    }

    /// Use of a connection that was idle.
    pub(crate) fn again(
        pool: &Arc<Pool>,
        key: &Arc<PoolKey>,
        network: u64,
        idle: Idle,
        now: Instant,
    ) -> Self {
        let age = now.saturating_duration_since(idle.since);
        let reusable_for = idle.reusable_for.saturating_sub(age);
        Self { reusable_for, ..Self::new(pool, key, network, idle.connection) }
    }

    /// Whether the connection takes a request: the end of a response reaches its reader a moment
    /// before hyper is ready for the next request.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let sender = &mut self.connection.sender;
        sender.is_ready() || matches!(timeout(READY_TIMEOUT, sender.ready()).await, Ok(Ok(())))
    }

    /// Heeds the headers of the response that is being read from the connection. It may be idle for
    /// `limit` anew.
    pub(crate) fn heed(&mut self, headers: &HeaderMap, limit: Duration) {
        self.reusable_for = keep_alive_timeout(headers).map_or(limit, |timeout| timeout.min(limit));
    }

    /// To be called when the response was read to its end, or nothing was sent.
    pub(crate) fn give_back(self) {
        let Self { connection, reusable_for, mut in_use } = self;
        in_use.idle = Some((connection, reusable_for));
    }

    /// Closes the connection to make another in its place.
    pub(crate) fn into_room(self, pool: &Arc<Pool>) -> Room {
        let Self { mut in_use, .. } = self;
        // It goes on being in use.
        in_use.pool = Weak::new();
        Room::new(pool, &in_use.key, in_use.network, false, false)
    }
}

impl Drop for Http1InUse {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.http1_ended(&self.key, self.network, self.idle.take());
        }
    }
}

/// Use of an HTTP/2 connection by one request.
pub(crate) struct Http2Lease {
    pool: Weak<Pool>,
    key: Arc<PoolKey>,
    pub(crate) connection: Arc<Http2Connection>,
    /// Whether the server is to be asked first if it is there.
    is_doubted: bool,
}

impl Http2Lease {
    pub(crate) fn new(
        pool: &Arc<Pool>,
        key: &Arc<PoolKey>,
        connection: Arc<Http2Connection>,
        is_doubted: bool,
    ) -> Self {
        Self { pool: Arc::downgrade(pool), key: key.clone(), connection, is_doubted }
    }

    /// Whether the connection takes a request, and somebody is there to answer it.
    pub(crate) async fn is_ready(&self) -> bool {
        if self.is_doubted {
            if !self.connection.answers().await {
                return false;
            }
            if let Some(pool) = self.pool.upgrade() {
                pool.trust(&self.key, &self.connection);
            }
        }
        self.connection.is_ready().await
    }

    /// Lets no further request use the connection.
    pub(crate) fn retire(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(&self.key, &self.connection);
        }
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.stream_ended(&self.key, &self.connection);
        }
    }
}

/// Room for a connection that a request is to make.
pub(crate) struct Room {
    pool: Arc<Pool>,
    pub(crate) key: Arc<PoolKey>,
    /// Which of the machine's networks the connection will be on.
    pub(crate) network: u64,
    /// Whether it is made in place of those there are.
    pub(crate) needs_new: bool,
    /// Whether others wait for this connection, which may do for all.
    pub(crate) is_awaited: bool,
    /// Whether the pool knows what became of it.
    is_filled: bool,
}

impl Room {
    pub(crate) fn new(
        pool: &Arc<Pool>,
        key: &Arc<PoolKey>,
        network: u64,
        needs_new: bool,
        is_awaited: bool,
    ) -> Self {
        let (pool, key) = (pool.clone(), key.clone());
        Self { pool, key, network, needs_new, is_awaited, is_filled: false }
    }

    /// Uses the connection that was made, or says why there is none.
    pub(crate) fn fill(
        mut self,
        made: Result<Connection, NetworkError>,
    ) -> Result<Lease, NetworkError> {
        self.is_filled = true;
        match made {
            Ok(connection) => Ok(self.pool.opened(&self, connection)),
            Err(reason) => {
                // Where this client may not go another may.
                let is_for_all = !matches!(reason, NetworkError::LocalNetworkAccess { .. });
                self.pool.not_opened(&self, is_for_all.then_some(&reason));
                Err(reason)
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.is_filled {
            self.pool.not_opened(self, None);
        }
    }
}

/// How long the server says it keeps an idle connection: `timeout` of `Keep-Alive`, in seconds.
fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(KEEP_ALIVE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, seconds)| seconds.trim().parse().ok())
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn timeout(values: &[&'static str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("keep-alive", HeaderValue::from_static(value));
        }
        keep_alive_timeout(&headers).map(|timeout| timeout.as_secs())
    }

    #[test]
    fn keep_alive_timeout_is_found_among_other_parameters() {
        assert_eq!(timeout(&["timeout=5"]), Some(5));
        assert_eq!(timeout(&["max=100, Timeout = 1"]), Some(1));
        assert_eq!(timeout(&["max=100", "timeout=0"]), Some(0));
    }

    #[test]
    fn keep_alive_without_a_number_of_seconds_says_nothing() {
        assert_eq!(timeout(&[]), None);
        assert_eq!(timeout(&["timeout"]), None);
        assert_eq!(timeout(&["timeout=-1"]), None);
        assert_eq!(timeout(&["timeout=99999999999999999999"]), None);
    }
}
