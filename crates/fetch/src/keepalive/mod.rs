//! The keepalive ledger of a [fetch group](https://fetch.spec.whatwg.org/#concept-fetch-group).

mod charge;

#[cfg(not(sendbeacon_loom))]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::{any::Any, sync::Arc};

#[cfg(sendbeacon_loom)]
use loom::sync::atomic::AtomicU64;

use self::charge::Charge;
use crate::client::Client;

/// How much one request counts.
///
/// [`Request::weight`](crate::Request::weight) returns it for a request. For a beacon and a ping it is known
/// before there is a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// The length of the body in bytes.
    pub body_bytes: u64,
    /// The length in bytes of the URL without its fragment, and of the further URLs that a ping has in headers.
    pub url_bytes: u64,
    /// The length in bytes of the headers and the other strings of a request of `fetch()`. They count as memory only,
    /// not in the quota of the fetch group.
    pub header_bytes: u64,
}

impl Weight {
    /// How many bytes of memory a request counts for beside its body, its URLs and its headers: what the library keeps
    /// about a request that waits for its turn.
    pub const OVERHEAD: u64 = 2_048;

    /// How many bytes of memory the request counts for. A URL counts twice: once for the text that the request and its
    /// events share, and once for the copies that the network makes.
    fn memory(self) -> u64 {
        let Self { body_bytes, url_bytes, header_bytes } = self;
        (Self::OVERHEAD + header_bytes)
            .saturating_add(url_bytes.saturating_mul(2))
            .saturating_add(body_bytes)
    }
}

/// The limits on the unfinished keepalive requests of one fetch group.
///
/// ```
/// use sendbeacon_fetch::KeepaliveLimits;
///
/// let limits = KeepaliveLimits::DEFAULT.with_requests(100);
/// assert_eq!(limits.body_bytes, 65_536);
/// assert!(limits.fit());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepaliveLimits {
    /// How many bytes the bodies may have. At most 2,097,151. Default: 65,536, the limit of the standard.
    pub body_bytes: u32,
    /// How many requests there may be. The standard does not limit their number, so a page could queue beacons
    /// without a body for ever. Default: 4,096.
    pub requests: u16,
    /// How many bytes the URLs may have, for the same reason. At most 64 MiB − 1. Default: 4 MiB.
    pub url_bytes: u32,
}

impl KeepaliveLimits {
    /// The default limits.
    pub const DEFAULT: Self = Self { body_bytes: 65_536, requests: 4_096, url_bytes: 4 << 20 };

    /// The largest limits that a ledger can count to.
    pub const MAX: Self =
        Self { body_bytes: (1 << 21) - 1, requests: u16::MAX, url_bytes: (1 << 26) - 1 };

    /// Sets the limit on bytes of request bodies.
    #[must_use]
    pub const fn with_body_bytes(mut self, bytes: u32) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// Sets the limit on the number of requests.
    #[must_use]
    pub const fn with_requests(mut self, requests: u16) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the limit on bytes of URLs.
    #[must_use]
    pub const fn with_url_bytes(mut self, bytes: u32) -> Self {
        self.url_bytes = bytes;
        self
    }

    /// Whether a ledger can count to each of the limits.
    #[must_use]
    pub fn fit(&self) -> bool {
        self.body_bytes <= Self::MAX.body_bytes && self.url_bytes <= Self::MAX.url_bytes
    }
}

impl Default for KeepaliveLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The ledger of the unfinished keepalive requests of one fetch group.
///
/// ```
/// use sendbeacon_fetch::{KeepaliveLimits, Ledger, Weight};
///
/// let ledger = Ledger::new(KeepaliveLimits::default());
/// let weight = Weight { body_bytes: 40_000, url_bytes: 100, header_bytes: 0 };
/// let reservation = ledger.reserve(weight).expect("the ledger is empty");
/// assert!(ledger.reserve(weight).is_none());
///
/// // The first request is done.
/// drop(reservation);
/// assert!(ledger.reserve(weight).is_some());
/// ```
#[derive(Debug)]
pub struct Ledger {
    account: Account,
    limits: KeepaliveLimits,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(mut limits: KeepaliveLimits) -> Arc<Self> {
        limits.body_bytes = limits.body_bytes.min(KeepaliveLimits::MAX.body_bytes);
        limits.url_bytes = limits.url_bytes.min(KeepaliveLimits::MAX.url_bytes);
        Arc::new(Self { account: Account::default(), limits })
    }

    /// Reserves room in the group for one request, whose memory the caller has. `None` if there is no room or the
    /// ledger is closed; nothing has changed then.
    ///
    /// It takes no lock and a few nanoseconds. May be called on any thread.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, weight: Weight) -> Option<Reservation> {
        self.reserve_with(weight, None)
    }

    /// Reserves room in the group, as [`reserve`](Self::reserve) does, and memory for a request of `client` that
    /// this library keeps. The request, and the client once for all its requests, count in the memory shares of the
    /// client's site, of its partition and of the user agent, if a user agent has given the client a share. `None`
    /// if the group or one of these three has no room.
    ///
    /// It takes no lock either. In the moment in which one thread is refused, another may be refused although there
    /// is room for it.
    #[must_use]
    pub fn reserve_for(
        self: &Arc<Self>,
        client: &Arc<Client>,
        weight: Weight,
    ) -> Option<Reservation> {
        self.reserve_with(weight, Some(client))
    }

    fn reserve_with(
        self: &Arc<Self>,
        weight: Weight,
        client: Option<&Arc<Client>>,
    ) -> Option<Reservation> {
        // NB: the memory comes first. While a request that finds no memory is in the ledger, a deferred fetch could find no
        // room there, and nobody would tell it when the request has left.
        let charge = match client {
            Some(client) => Charge::take(client, weight.memory())?,
            None => Charge::default(),
        };
        let entry = self.account.enter(weight.into(), &self.limits)?;
        Some(self.reservation(entry, charge))
    }

    /// Reserves memory for a deferred request of `client`, which counts in the group once it is sent: see
    /// [`Reservation::enter`]. `None` if there is no memory.
    #[must_use]
    pub fn reserve_later(
        self: &Arc<Self>,
        client: &Arc<Client>,
        weight: Weight,
    ) -> Option<Reservation> {
        Some(self.reservation(0, Charge::take(client, weight.memory())?))
    }

    /// Reserves room in the group for a request that was accepted already, even if there is no room. If a sum in the
    /// ledger would become too large to be counted, the request counts less.
    pub fn reserve_accepted(self: &Arc<Self>, weight: Weight) -> Reservation {
        let entry = self.account.enter_anyway(weight.into());
        self.reservation(entry, Charge::default())
    }

    fn reservation(self: &Arc<Self>, entry: u64, charge: Charge) -> Reservation {
        Reservation { ledger: Arc::clone(self), entry, charge, guard: None }
    }

    /// Makes the ledger non-empty while a deferred request is on its way to the network side. A shutdown, which
    /// [closes](Self::close) the ledger and waits until it is empty, then waits for the request to arrive.
    ///
    /// The reservation is one byte of URLs, which may exceed the limit. `None` if the ledger is closed.
    #[must_use]
    pub fn hold_open(self: &Arc<Self>) -> Option<Reservation> {
        let byte = Inflight { url_bytes: 1, ..Inflight::default() };
        let reservation = self.reservation(self.account.enter_anyway(byte), Charge::default());
        // NB: the reservation is made before the check. If the check does not see that the ledger is closed, then
        // the thread that closes it sees the reservation.
        (!self.is_closed()).then_some(reservation)
    }

    /// Refuses every reservation from now on. Existing reservations remain.
    pub fn close(&self) {
        self.account.close();
    }

    /// Whether the ledger was [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.account.load() & CLOSED != 0
    }

    /// The sums over the reservations at this moment.
    #[must_use]
    pub fn inflight(&self) -> Inflight {
        Inflight::unpack(self.account.load())
    }
}

/// The sums of a ledger in one atomic word, so that a reservation is one atomic step and the script thread takes
/// no lock. From the low end the word has 21 bits for body bytes, 16 for requests, 26 for URL bytes, and the
/// closed bit.
#[derive(Debug, Default)]
struct Account(AtomicU64);

const REQUESTS_SHIFT: u32 = 21;
const URL_BYTES_SHIFT: u32 = 37;
const BODY_BYTES_MAX: u64 = KeepaliveLimits::MAX.body_bytes as u64;
const REQUESTS_MAX: u64 = KeepaliveLimits::MAX.requests as u64;
const URL_BYTES_MAX: u64 = KeepaliveLimits::MAX.url_bytes as u64;
const CLOSED: u64 = 1 << 63;

// The three sums and the closed bit fill the word.
const _: () = assert!(
    BODY_BYTES_MAX | REQUESTS_MAX << REQUESTS_SHIFT | URL_BYTES_MAX << URL_BYTES_SHIFT
        == CLOSED - 1
);

impl Account {
    /// Adds an entry if it fits, and returns it packed.
    fn enter(&self, entry: Inflight, limits: &KeepaliveLimits) -> Option<u64> {
        let mut account = self.load();
        loop {
            let now = Inflight::unpack(account);
            let fits = account & CLOSED == 0
                && fits(now.body_bytes, entry.body_bytes, limits.body_bytes)
                && fits(now.requests, entry.requests, limits.requests.into())
                && fits(now.url_bytes, entry.url_bytes, limits.url_bytes);
            if !fits {
                return None;
            }
            let entry = entry.pack();
            match self.0.compare_exchange_weak(account, account + entry, AcqRel, Acquire) {
                Ok(_) => return Some(entry),
                Err(changed) => account = changed,
            }
        }
    }

    /// Adds as much of an entry as the bits can count, and returns that part, packed.
    fn enter_anyway(&self, entry: Inflight) -> u64 {
        let mut account = self.load();
        loop {
            let now = Inflight::unpack(account);
            let entered = Inflight {
                body_bytes: entry.body_bytes.min(BODY_BYTES_MAX - now.body_bytes),
                requests: entry.requests.min(REQUESTS_MAX - now.requests),
                url_bytes: entry.url_bytes.min(URL_BYTES_MAX - now.url_bytes),
            };
            let entered = entered.pack();
            match self.0.compare_exchange(account, account + entered, AcqRel, Acquire) {
                Ok(_) => return entered,
                Err(changed) => account = changed,
            }
        }
    }

    fn leave(&self, entry: u64) {
        self.0.fetch_sub(entry, AcqRel);
    }

    fn close(&self) {
        self.0.fetch_or(CLOSED, AcqRel);
    }

    fn load(&self) -> u64 {
        self.0.load(Acquire)
    }
}

/// Whether `more` fits beside `reserved`. Accepted requests may have brought `reserved` over the limit; a request with
/// `more` of 0 is allowed even then.
fn fits(reserved: u64, more: u64, limit: u32) -> bool {
    more == 0 || reserved.saturating_add(more) <= u64::from(limit)
}

/// Sums over the unfinished keepalive requests of a fetch group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inflight {
    /// How many bytes the bodies have.
    pub body_bytes: u64,
    /// How many requests there are.
    pub requests: u64,
    /// How many bytes the URLs have.
    pub url_bytes: u64,
}

impl From<Weight> for Inflight {
    fn from(Weight { body_bytes, url_bytes, .. }: Weight) -> Self {
        Self { body_bytes, requests: 1, url_bytes }
    }
}

impl Inflight {
    fn pack(self) -> u64 {
        self.body_bytes | self.requests << REQUESTS_SHIFT | self.url_bytes << URL_BYTES_SHIFT
    }

    fn unpack(account: u64) -> Self {
        Self {
            body_bytes: account & BODY_BYTES_MAX,
            requests: account >> REQUESTS_SHIFT & REQUESTS_MAX,
            url_bytes: account >> URL_BYTES_SHIFT & URL_BYTES_MAX,
        }
    }
}

/// What a request has reserved: its room in the ledger of its fetch group, and the memory that it counts in the shares
/// of its site, of its partition and of the user agent. It moves with the request, and dropping it gives everything
/// back. So it is given back however the request ends.
#[derive(Debug)]
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    ledger: Arc<Ledger>,
    /// How much it has reserved in the ledger, packed.
    entry: u64,
    charge: Charge,
    /// Dropped after everything else was given back.
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Reservation {
    /// Sets the guard: a value that is dropped just after everything else was given back.
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// The guard, if it has this type.
    #[must_use]
    pub fn guard<T: Any>(&self) -> Option<&T> {
        self.guard.as_deref().and_then(|guard| (guard as &dyn Any).downcast_ref())
    }

    /// Moves the reservation to another ledger, and so gives its room in this one back. Says whether it has moved: it
    /// stays if the other ledger has no room, or if it is there already. Its memory and its guard stay with it.
    pub fn move_to(&mut self, ledger: &Arc<Ledger>) -> bool {
        let entry = Inflight::unpack(self.entry);
        let moves = !Arc::ptr_eq(&self.ledger, ledger)
            && ledger.account.enter(entry, &ledger.limits).is_some();
        if moves {
            let before = std::mem::replace(&mut self.ledger, Arc::clone(ledger));
            before.account.leave(self.entry);
        }
        moves
    }

    /// The ledger of its fetch group.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Reserves room in the group for a request that has memory only, and says whether there was room.
    pub fn enter(&mut self, weight: Weight) -> bool {
        let room = self.ledger.reserve(weight);
        let is_entered = room.is_some();
        if let Some(mut room) = room {
            std::mem::swap(&mut self.entry, &mut room.entry);
        }
        is_entered
    }

    /// Reserves room in the group for such a request even if there is none: see [`Ledger::reserve_accepted`].
    pub fn enter_anyway(&mut self, weight: Weight) {
        let mut room = self.ledger.reserve_accepted(weight);
        std::mem::swap(&mut self.entry, &mut room.entry);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.account.leave(self.entry);
        drop(std::mem::take(&mut self.charge));
        drop(self.guard.take());
    }
}

#[cfg(all(test, sendbeacon_loom))]
mod interleavings;
#[cfg(all(test, not(sendbeacon_loom)))]
mod tests;
