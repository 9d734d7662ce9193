//! The keepalive ledger of a [fetch group](https://fetch.spec.whatwg.org/#concept-fetch-group).

#[cfg(not(sendbeacon_loom))]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::{any::Any, sync::Arc};

#[cfg(sendbeacon_loom)]
use loom::sync::atomic::AtomicU64;

/// How much one fetch group may have unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepaliveLimits {
    /// Bytes of request bodies. The standard's 65,536; at most 2,097,151.
    pub body_bytes: u32,
    /// Number of requests. The standard has no limit, so a page could queue bodiless beacons
    /// without end; default 4,096, at most 65,535.
    pub requests: u16,
    /// Bytes of URLs, for the same reason: default 4 MiB, at most 64 MiB − 1.
    pub url_bytes: u32,
}

impl KeepaliveLimits {
    /// The default limits.
    pub const DEFAULT: Self = Self { body_bytes: 65_536, requests: 4_096, url_bytes: 4 << 20 };

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
}

impl Default for KeepaliveLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One fetch group's ledger of unfinished keepalive requests.
#[derive(Debug)]
pub struct Ledger {
    account: Account,
    limits: KeepaliveLimits,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(limits: KeepaliveLimits) -> Arc<Self> {
        Arc::new(Self { account: Account::default(), limits })
    }

    /// Reserves room for one request, or says no without having changed anything.
    ///
    /// Takes no lock; a few nanoseconds. Any thread.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, body_bytes: u64, url_bytes: u64) -> Option<Reservation> {
        let entry = Inflight { body_bytes, requests: 1, url_bytes };
        let is_entered = self.account.enter(entry, &self.limits);
        is_entered.then(|| Reservation { ledger: Arc::clone(self), entry, guard: None })
    }

    /// Reserves room for what was accepted already, whether there is any or not. Beyond what the account
    /// can count, nothing more is counted.
    pub fn reserve_accepted(self: &Arc<Self>, body_bytes: u64, url_bytes: u64) -> Reservation {
        let entry = self.account.enter_anyway(Inflight { body_bytes, requests: 1, url_bytes });
        Reservation { ledger: Arc::clone(self), entry, guard: None }
    }

    /// Takes note of what is on its way to where it waits, so that it is not overlooked when the ledger is
    /// [closed](Self::close): a byte, beyond every limit. `None` if it is closed.
    #[must_use]
    pub fn hand_over(self: &Arc<Self>) -> Option<Reservation> {
        let byte = Inflight { url_bytes: 1, ..Inflight::default() };
        let entry = self.account.enter_anyway(byte);
        let reservation = Reservation { ledger: Arc::clone(self), entry, guard: None };
        // Looked at after it was entered: whoever closes sees the one, or this the other.
        (!self.is_closed()).then_some(reservation)
    }

    /// Refuses every reservation from now on. Those that stand are not touched.
    pub fn close(&self) {
        self.account.close();
    }

    /// Whether it was [closed](Self::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.account.load() & CLOSED != 0
    }

    /// What is reserved at this moment.
    #[must_use]
    pub fn inflight(&self) -> Inflight {
        Inflight::unpack(self.account.load())
    }
}

/// The whole account in one atomic word, so that to look and to reserve is one step and the script
/// thread takes no lock: from the low end 21 bits of body bytes, 16 of requests, 26 of URL bytes, and
/// the closed bit.
#[derive(Debug, Default)]
struct Account(AtomicU64);

const REQUESTS_SHIFT: u32 = 21;
const URL_BYTES_SHIFT: u32 = 37;
const BODY_BYTES_MAX: u64 = (1 << REQUESTS_SHIFT) - 1;
const REQUESTS_MAX: u64 = (1 << (URL_BYTES_SHIFT - REQUESTS_SHIFT)) - 1;
const URL_BYTES_MAX: u64 = (1 << (63 - URL_BYTES_SHIFT)) - 1;
const CLOSED: u64 = 1 << 63;

impl Account {
    fn enter(&self, entry: Inflight, limits: &KeepaliveLimits) -> bool {
        let entered = self.0.fetch_update(AcqRel, Acquire, |account| {
            let now = Inflight::unpack(account);
            let fits = account & CLOSED == 0
                && fits(now.body_bytes, entry.body_bytes, limits.body_bytes, BODY_BYTES_MAX)
                && fits(now.requests, entry.requests, limits.requests.into(), REQUESTS_MAX)
                && fits(now.url_bytes, entry.url_bytes, limits.url_bytes, URL_BYTES_MAX);
            fits.then(|| account + entry.pack())
        });
        entered.is_ok()
    }

    /// Enters as much of it as there is space to write down, and says how much that was.
    fn enter_anyway(&self, entry: Inflight) -> Inflight {
        let mut account = self.load();
        loop {
            let now = Inflight::unpack(account);
            let entered = Inflight {
                body_bytes: entry.body_bytes.min(BODY_BYTES_MAX - now.body_bytes),
                requests: entry.requests.min(REQUESTS_MAX - now.requests),
                url_bytes: entry.url_bytes.min(URL_BYTES_MAX - now.url_bytes),
            };
            match self.0.compare_exchange(account, account + entered.pack(), AcqRel, Acquire) {
                Ok(_) => return entered,
                Err(changed) => account = changed,
            }
        }
    }

    fn leave(&self, entry: Inflight) {
        self.0.fetch_sub(entry.pack(), AcqRel);
    }

    fn close(&self) {
        self.0.fetch_or(CLOSED, AcqRel);
    }

    fn load(&self) -> u64 {
        self.0.load(Acquire)
    }
}

fn fits(reserved: u64, more: u64, limit: u32, max: u64) -> bool {
    // `reserved` is at most `max`, so only `more` could overflow the sum. It may be over the limit, by what
    // was accepted elsewhere; who wants nothing of it does not care.
    more == 0 || more <= max && reserved + more <= u64::from(limit).min(max)
}

/// Sums over the unfinished keepalive requests of a fetch group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inflight {
    /// Bytes of their bodies.
    pub body_bytes: u64,
    /// How many they are.
    pub requests: u64,
    /// Bytes of their URLs.
    pub url_bytes: u64,
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

/// A request's share of the ledger. It moves with the request and is given back when it is dropped,
/// whichever way the request ends.
#[derive(Debug)]
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    ledger: Arc<Ledger>,
    entry: Inflight,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Reservation {
    /// The same, and `guard` is dropped just after the room was given back.
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.account.leave(self.entry);
        drop(self.guard.take());
    }
}

#[cfg(all(test, not(sendbeacon_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exactly_64_kib_fit() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let all = ledger.reserve(65_536, 10).unwrap();
        assert!(ledger.reserve(1, 10).is_none());
        let empty = ledger.reserve(0, 10).unwrap();
        drop((all, empty));
        assert_eq!(ledger.inflight(), Inflight::default());
        assert!(ledger.reserve(65_537, 10).is_none());
    }

    #[test]
    fn requests_and_url_bytes_are_bounded() {
        let ledger = Ledger::new(KeepaliveLimits { body_bytes: 10, requests: 2, url_bytes: 100 });
        let first = ledger.reserve(0, 60).unwrap();
        assert!(ledger.reserve(0, 41).is_none());
        let second = ledger.reserve(0, 40).unwrap();
        assert!(ledger.reserve(0, 0).is_none());
        drop((first, second));
    }

    #[test]
    fn absurd_sizes_and_limits_do_not_overflow() {
        let limits =
            KeepaliveLimits { body_bytes: u32::MAX, requests: u16::MAX, url_bytes: u32::MAX };
        let ledger = Ledger::new(limits);
        assert!(ledger.reserve(u64::MAX, 0).is_none());
        assert!(ledger.reserve(0, u64::MAX).is_none());
        let most = ledger.reserve(BODY_BYTES_MAX, URL_BYTES_MAX).unwrap();
        assert_eq!(ledger.inflight(), most.entry);
        assert!(ledger.reserve(1, 0).is_none());
    }

    #[test]
    fn a_closed_ledger_refuses_and_still_takes_back() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let held = ledger.reserve(5, 5).unwrap();
        ledger.close();
        assert!(ledger.reserve(0, 0).is_none());
        drop(held);
        assert_eq!(ledger.inflight(), Inflight::default());
    }

    #[test]
    fn what_was_accepted_is_counted_beyond_every_limit_and_no_further_than_it_can_be() {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let full = ledger.reserve(65_536, 0).unwrap();
        let over = ledger.reserve_accepted(70_000, 10);
        let on_its_way = ledger.hand_over().unwrap();
        assert_eq!(ledger.inflight().url_bytes, 11);
        drop(on_its_way);
        assert_eq!(ledger.inflight().body_bytes, 135_536);
        assert!(ledger.reserve(0, 0).is_some() && ledger.reserve(1, 0).is_none());
        ledger.close();
        let absurd = [(); 2].map(|()| ledger.reserve_accepted(u64::MAX, u64::MAX));
        assert_eq!(ledger.inflight().body_bytes, BODY_BYTES_MAX);
        assert_eq!(ledger.inflight().requests, 4);
        assert!(ledger.hand_over().is_none());
        assert!(ledger.is_closed());
        drop((full, over, absurd));
        assert_eq!(ledger.inflight(), Inflight::default());
        assert!(ledger.is_closed());
    }

    proptest! {
        #[test]
        fn live_reservations_sum_to_the_ledger(steps in proptest::collection::vec((any::<bool>(), 0u64..70_000, 0u64..9_000), 1..200)) {
            let ledger = Ledger::new(KeepaliveLimits::default());
            let mut live = Vec::new();
            for (give_back, body, url) in steps {
                if give_back && !live.is_empty() {
                    drop(live.pop());
                } else {
                    live.extend(ledger.reserve(body, url));
                }
                let sum = live.iter().fold(Inflight::default(), |sum, r: &Reservation| Inflight {
                    body_bytes: sum.body_bytes + r.entry.body_bytes,
                    requests: sum.requests + 1,
                    url_bytes: sum.url_bytes + r.entry.url_bytes,
                });
                prop_assert_eq!(ledger.inflight(), sum);
                prop_assert!(sum.body_bytes <= 65_536);
            }
        }
    }
}

/// Every interleaving, by `RUSTFLAGS="--cfg sendbeacon_loom" cargo test -p sendbeacon-fetch --lib`.
#[cfg(all(test, sendbeacon_loom))]
mod interleavings {
    use loom::{sync::Arc, thread};

    use super::*;

    const LIMITS: KeepaliveLimits = KeepaliveLimits { body_bytes: 10, requests: 3, url_bytes: 9 };
    const ENTRY: Inflight = Inflight { body_bytes: 5, requests: 1, url_bytes: 3 };

    #[test]
    fn two_threads_never_reserve_more_than_there_is() {
        loom::model(|| {
            let account = Arc::new(Account::default());
            assert!(account.enter(ENTRY, &LIMITS));
            let other = {
                let account = Arc::clone(&account);
                thread::spawn(move || account.enter(ENTRY, &LIMITS))
            };
            let mine = account.enter(ENTRY, &LIMITS);
            let theirs = other.join().unwrap();
            // There was room for exactly one of them.
            assert!(mine != theirs);
            assert_eq!(Inflight::unpack(account.load()).body_bytes, 10);
        });
    }

    #[test]
    fn what_is_given_back_meanwhile_is_neither_lost_nor_counted_twice() {
        loom::model(|| {
            let account = Arc::new(Account::default());
            assert!(account.enter(ENTRY, &LIMITS) && account.enter(ENTRY, &LIMITS));
            let other = {
                let account = Arc::clone(&account);
                thread::spawn(move || account.leave(ENTRY))
            };
            let entered = account.enter(ENTRY, &LIMITS);
            other.join().unwrap();
            let left = if entered { 10 } else { 5 };
            assert_eq!(Inflight::unpack(account.load()).body_bytes, left);
        });
    }

    #[test]
    fn what_is_handed_over_is_seen_by_who_closes_or_sees_that() {
        loom::model(|| {
            let account = Arc::new(Account::default());
            let other = {
                let account = Arc::clone(&account);
                thread::spawn(move || {
                    account.enter_anyway(ENTRY);
                    account.load() & CLOSED != 0
                })
            };
            account.close();
            let is_seen = Inflight::unpack(account.load()).requests == 1;
            assert!(other.join().unwrap() || is_seen);
        });
    }

    #[test]
    fn a_closed_account_admits_nothing_and_what_it_admitted_before_is_seen() {
        loom::model(|| {
            let account = Arc::new(Account::default());
            let other = {
                let account = Arc::clone(&account);
                thread::spawn(move || account.enter(ENTRY, &LIMITS))
            };
            account.close();
            // Whoever closes and then looks sees every reservation that will ever stand.
            let seen = Inflight::unpack(account.load()).requests;
            assert_eq!(other.join().unwrap(), seen == 1);
            assert!(!account.enter(ENTRY, &LIMITS));
        });
    }
}
