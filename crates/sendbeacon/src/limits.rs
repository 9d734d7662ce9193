//! The limits on the time of a fetch, on how many fetches run at once, and on the memory that they hold.

use std::time::Duration;

/// Limits on the time of a fetch. A fetch that reaches one ends with
/// [`NetworkError::Timeout`](sendbeacon_fetch::NetworkError::Timeout), and its quota is given back.
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
    /// How long a keepalive fetch may take, from its start to the end of its response. The time that it waits for a
    /// server that is away counts, too. A `fetch()` without keepalive has no such limit; its document may end it.
    /// Default: 300 seconds.
    pub fetch: Duration,
    /// How long a keepalive fetch may go on after its document has gone. The time runs from the moment when the
    /// document goes, or from the fetch's start if that is later. The fetch starts when it goes on the wire, or when it
    /// begins to wait for a server that is away. Default: 30 seconds.
    pub after_document: Duration,
    /// How long a queued beacon, ping, report or deferred fetch waits for the network to come back. The time
    /// runs from the moment when the network goes, or from the moment when the fetch is queued if that is later.
    /// Default: 60 seconds.
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

/// What a [`shutdown`](crate::UserAgent::shutdown) waits for, and for how long at most.
///
/// A [`Duration`] is a drain that waits for the answers:
///
/// ```
/// use std::time::Duration;
///
/// use sendbeacon::Drain;
///
/// let five_seconds = Duration::from_secs(5);
/// assert_eq!(Drain::from(five_seconds), Drain::until_answered(five_seconds));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drain {
    /// When the drain ends in any case, counted from the call.
    pub deadline: Duration,
    /// Whether the drain ends as soon as every request is sent.
    pub is_until_sent: bool,
}

impl Drain {
    /// Waits until every request is answered or has failed.
    #[must_use]
    pub fn until_answered(deadline: Duration) -> Self {
        Self { deadline, is_until_sent: false }
    }

    /// Waits until every request is [sent](crate::host::Progress::Sent), answered or has failed. With a network that
    /// does not report what it has sent, it waits for the head of each response, and not for the body.
    ///
    /// At the end of the drain the connections are closed. A proxy or a server may stop work on a request whose
    /// connection is closed before it has answered.
    #[must_use]
    pub fn until_sent(deadline: Duration) -> Self {
        Self { deadline, is_until_sent: true }
    }
}

impl From<Duration> for Drain {
    fn from(deadline: Duration) -> Self {
        Self::until_answered(deadline)
    }
}

/// Limits on the fetches that run at once. A fetch for which there is no room waits; no fetch is dropped.
///
/// In each number only keepalive fetches count. Fetches without keepalive have limits of their own, which follow
/// from these numbers: such a fetch may run for as long as its document likes, and must not take the room of
/// those that outlive a document.
///
/// ```
/// let scheduling = sendbeacon::Scheduling::default().with_per_origin(2);
/// assert_eq!(scheduling.overall, 256);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduling {
    /// How many keepalive fetches run at once to one origin from one network partition. The limit of other
    /// fetches is one less, which leaves a connection to the keepalive fetches. At least 1. Default: 6, because
    /// browsers have six connections over HTTP/1.1.
    pub per_origin: usize,
    /// How many keepalive fetches run at once from one network partition. So one site cannot stop the fetches of
    /// the others. The limit of other fetches is four times as high. At least 1. Default: 32.
    pub per_partition: usize,
    /// How many keepalive fetches run at once altogether. The limit of other fetches is half as high, because
    /// the number of connections is finite. At least 1. Default: 256.
    pub overall: usize,
    /// How long a beacon waits while important loads run: see
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

    /// Whether no limit is 0, so that every fetch gets its turn.
    pub(crate) fn is_possible(&self) -> bool {
        [self.per_origin, self.per_partition, self.overall].iter().all(|limit| *limit > 0)
    }
}

impl Default for Scheduling {
    fn default() -> Self {
        Self { per_origin: 6, per_partition: 32, overall: 256, max_delay: Duration::from_secs(2) }
    }
}

/// Limits on the memory that unfinished keepalive requests hold: beacons, pings, reports, `fetch()` with keepalive, and
/// deferred fetches from the call of `fetchLater()` on. A request that finds no room is refused at the call: script gets
/// `false` or an error. A request that was accepted keeps its room until its outcome is told.
///
/// A request counts its body, its URL twice, its headers, and 2 KiB for everything else. A settings object counts once
/// while a request of it is unfinished: its URLs, and about half a KiB for each source expression of its policies.
///
/// | | may hold |
/// |---|---|
/// | all requests together | `user_agent`; its last quarter is for the floors |
/// | a partition | `partition`; its last quarter is for the site of the top-level document |
/// | the site of the top-level document, in its partition | half of the partition |
/// | another site, in a partition | a quarter of the partition |
///
/// A partition that finds no room in the user agent has its floor, which no other partition can take. The sites of the
/// partition share the floor as they share the partition. There are `user_agent / 4 / floor` floors at a time, 64 by
/// default.
///
/// The quotas of a fetch group ([`KeepaliveLimits`](crate::KeepaliveLimits), and that of `fetchLater()`) hold as well.
///
/// ```
/// let memory = sendbeacon::MemoryLimits::default().with_user_agent(128 << 20);
/// assert_eq!((memory.partition, memory.floor), (16 << 20, 256 << 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// How many bytes the requests of all documents may hold. Default: 64 MiB.
    pub user_agent: u64,
    /// How many bytes the requests of one network partition may hold. At most `user_agent`. Default: 16 MiB.
    pub partition: u64,
    /// How many bytes a partition may hold when the others have filled the user agent. At most `partition`. Default:
    /// 256 KiB.
    pub floor: u64,
}

impl MemoryLimits {
    /// Sets [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn with_user_agent(mut self, bytes: u64) -> Self {
        self.user_agent = bytes;
        self
    }

    /// Sets [`partition`](Self::partition).
    #[must_use]
    pub fn with_partition(mut self, bytes: u64) -> Self {
        self.partition = bytes;
        self
    }

    /// Sets [`floor`](Self::floor).
    #[must_use]
    pub fn with_floor(mut self, bytes: u64) -> Self {
        self.floor = bytes;
        self
    }

    /// Whether each limit is within the next larger one, and a sum can count to the largest.
    pub(crate) fn fit(&self) -> bool {
        self.floor <= self.partition
            && self.partition <= self.user_agent
            && self.user_agent <= u64::MAX / 2
    }
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { user_agent: 64 << 20, partition: 16 << 20, floor: 256 << 10 }
    }
}
