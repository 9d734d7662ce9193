//! What an embedder may limit: time, and what is on the wire at once.

use std::time::Duration;

/// Limits on time. Reaching one ends the fetch with
/// [`NetworkError::Timeout`](sendbeacon_fetch::NetworkError::Timeout) and gives its quota back.
///
/// ```
/// use std::time::Duration;
///
/// let timeouts = sendbeacon::Timeouts::default().with_after_document(Duration::from_secs(60));
/// assert_eq!(timeouts.offline, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// A whole keepalive fetch, from its start to the end of its response. A `fetch()` without keepalive has
    /// no such limit; its document may end it. Default: 300 seconds.
    pub fetch: Duration,
    /// A keepalive fetch after its document has gone, from the later of that moment and the fetch's start.
    /// Default: 30 seconds.
    pub after_document: Duration,
    /// Waiting for the network to come back, from the later of the moment when it went and the moment when
    /// the fetch was queued. Default: 60 seconds.
    pub offline: Duration,
}

impl Timeouts {
    /// Sets [`fetch`](Self::fetch).
    #[must_use]
    pub fn with_fetch(mut self, limit: Duration) -> Self {
        self.fetch = limit;
        self
    }

    /// Sets [`after_document`](Self::after_document).
    #[must_use]
    pub fn with_after_document(mut self, limit: Duration) -> Self {
        self.after_document = limit;
        self
    }

    /// Sets [`offline`](Self::offline).
    #[must_use]
    pub fn with_offline(mut self, limit: Duration) -> Self {
        self.offline = limit;
        self
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(300),
            after_document: Duration::from_secs(30),
            offline: Duration::from_secs(60),
        }
    }
}

/// When fetches start. A fetch for which there is no room waits; nothing is dropped.
///
/// ```
/// let scheduling = sendbeacon::Scheduling::default().with_per_origin(2);
/// assert_eq!(scheduling.overall, 256);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduling {
    /// How many keepalive fetches are on the wire at once to one origin from one network partition. Of
    /// other fetches there is one less, which leaves a connection to the keepalive fetches. At least 1.
    /// Default: 6, the number of connections that browsers have over HTTP/1.1.
    pub per_origin: usize,
    /// How many keepalive fetches are on the wire from one network partition, so that no site can take the
    /// wire from the others. Of other fetches there are four times as many. At least 1. Default: 32.
    pub per_partition: usize,
    /// How many keepalive fetches are on the wire altogether, and half as many others: the number of
    /// connections is finite, and another fetch may keep one as long as its document likes. At least 1.
    /// Default: 256.
    pub overall: usize,
    /// How long a beacon lets important loads go first: see
    /// [`UserAgent::important_loads`](crate::UserAgent::important_loads). Default: 2 seconds.
    pub max_delay: Duration,
}

impl Scheduling {
    /// Sets [`per_origin`](Self::per_origin).
    #[must_use]
    pub fn with_per_origin(mut self, limit: usize) -> Self {
        self.per_origin = limit;
        self
    }

    /// Sets [`per_partition`](Self::per_partition).
    #[must_use]
    pub fn with_per_partition(mut self, limit: usize) -> Self {
        self.per_partition = limit;
        self
    }

    /// Sets [`overall`](Self::overall).
    #[must_use]
    pub fn with_overall(mut self, limit: usize) -> Self {
        self.overall = limit;
        self
    }

    /// Sets [`max_delay`](Self::max_delay).
    #[must_use]
    pub fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Whether every fetch gets its turn: no limit is 0.
    pub(crate) fn is_possible(&self) -> bool {
        [self.per_origin, self.per_partition, self.overall].iter().all(|limit| *limit > 0)
    }
}

impl Default for Scheduling {
    fn default() -> Self {
        Self { per_origin: 6, per_partition: 32, overall: 256, max_delay: Duration::from_secs(2) }
    }
}
