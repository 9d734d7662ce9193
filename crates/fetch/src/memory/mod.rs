//! The memory that unfinished requests may hold: the shares of a site, of its network partition and of the user agent.

#[cfg(not(sendbeacon_loom))]
use std::sync::atomic::AtomicU64;
use std::sync::{
    Arc, OnceLock,
    atomic::Ordering::{AcqRel, Acquire},
};

#[cfg(sendbeacon_loom)]
use loom::sync::atomic::AtomicU64;

/// How many bytes the sites of a user agent, or of a partition, have drawn.
///
/// There are two purses. A site draws from the common purse. If it finds no room there, it draws from the floor's
/// purse, which has limits of its own. So every partition still has its floor when other partitions have emptied
/// the common purse.
#[derive(Debug, Default)]
pub struct Sums {
    common: Sum,
    floor: Sum,
}

impl Sums {
    /// How many bytes were drawn from both purses.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.common.0.load(Acquire) + self.floor.0.load(Acquire)
    }
}

/// The limits of one purse, in bytes. Each is at most half of `u64::MAX`.
#[derive(Clone, Copy, Debug)]
pub struct PurseLimits {
    /// How much a site may have drawn in its partition.
    pub site: u64,
    /// How much the partition may have drawn when this site draws.
    pub partition: u64,
    /// How much the user agent may have drawn.
    pub user_agent: u64,
}

/// The share of one site in one partition. All documents of the site in that partition have the same.
///
/// A request takes its bytes from what the share has in hand, by one atomic operation. The share draws more from its
/// partition and from the user agent when it has too little in hand, and gives back what it has too much. So what the
/// requests hold is never more than what was drawn.
#[derive(Debug)]
pub struct Share {
    /// The bytes that were drawn and that no request holds.
    in_hand: AtomicU64,
    /// What the site has drawn.
    site: Sums,
    partition: Arc<Sums>,
    user_agent: Arc<Sums>,
    common: PurseLimits,
    floor: PurseLimits,
    /// How many of the drawn bytes are from the floor's purse. NB: the sum of that purse may have more for a moment.
    from_floor: AtomicU64,
}

/// How many bytes a share draws at a time, if there are as many. It has up to twice as many in hand.
const CHUNK: u64 = 16 << 10;

/// A sum of bytes.
#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Sum {
    /// Adds the bytes if they fit, and says whether they did. NB: bytes that do not fit are in the sum for a moment. A
    /// request that another thread makes in that moment may be refused, although it would have fitted. The sum of
    /// what was drawn never exceeds the limit.
    fn enter(&self, bytes: u64, limit: u64) -> bool {
        let is_entered = self.0.fetch_add(bytes, AcqRel) + bytes <= limit;
        if !is_entered {
            self.leave(bytes);
        }
        is_entered
    }

    fn leave(&self, bytes: u64) {
        self.0.fetch_sub(bytes, AcqRel);
    }
}

impl Share {
    /// Makes the share of a site, which has drawn nothing yet.
    #[must_use]
    pub fn new(
        partition: Arc<Sums>,
        user_agent: Arc<Sums>,
        common: PurseLimits,
        floor: PurseLimits,
    ) -> Self {
        let (in_hand, site, from_floor) = Default::default();
        Self { in_hand, site, partition, user_agent, common, floor, from_floor }
    }

    /// The bytes that were drawn and that nobody has taken.
    #[must_use]
    pub fn in_hand(&self) -> u64 {
        self.in_hand.load(Acquire)
    }

    /// Takes bytes, and says whether there were as many. Give them back by [`give_back`](Self::give_back).
    #[must_use]
    #[inline]
    pub fn take(&self, bytes: u64) -> bool {
        let in_hand = self.in_hand.load(Acquire);
        let rest = in_hand.wrapping_sub(bytes);
        bytes <= in_hand && self.in_hand.compare_exchange(in_hand, rest, AcqRel, Acquire).is_ok()
            || self.draw_and_take(bytes)
    }

    /// Takes bytes, which are drawn if they are not in hand.
    #[cold]
    fn draw_and_take(&self, bytes: u64) -> bool {
        loop {
            let less = |in_hand: u64| in_hand.checked_sub(bytes);
            match self.in_hand.fetch_update(AcqRel, Acquire, less) {
                Ok(_) => return true,
                Err(in_hand) if self.draw(bytes - in_hand) => {}
                Err(_) => return false,
            }
        }
    }

    /// Takes bytes even if there are not as many. The share, the partition and the user agent may have drawn more than
    /// their limits then, and refuse everything until enough was given back.
    pub fn take_anyway(&self, bytes: u64) {
        if !self.draw_and_take(bytes) {
            for sums in [&self.site, &*self.partition, &*self.user_agent] {
                sums.common.0.fetch_add(bytes, AcqRel);
            }
        }
    }

    /// Gives bytes back.
    pub fn give_back(&self, bytes: u64) {
        let in_hand = self.in_hand.fetch_add(bytes, AcqRel) + bytes;
        if in_hand > 2 * CHUNK {
            self.return_drawn();
        }
    }

    /// Draws a chunk, or at least `missing` bytes.
    fn draw(&self, missing: u64) -> bool {
        let chunk = missing.max(CHUNK);
        let is_drawn = |bytes| {
            let is_common = self.draw_from(|sums| &sums.common, &self.common, bytes);
            let is_drawn = is_common || self.draw_from(|sums| &sums.floor, &self.floor, bytes);
            if is_drawn {
                if !is_common {
                    self.from_floor.fetch_add(bytes, AcqRel);
                }
                self.in_hand.fetch_add(bytes, AcqRel);
            }
            is_drawn
        };
        is_drawn(chunk) || is_drawn(missing)
    }

    /// Draws bytes from one purse, and says whether there were as many.
    fn draw_from(&self, purse: impl Fn(&Sums) -> &Sum, limits: &PurseLimits, bytes: u64) -> bool {
        // NB: no sum can overflow, because each is at most its limit and the bytes of some requests that fit the site.
        if bytes > limits.site || !purse(&self.site).enter(bytes, limits.site) {
            return false;
        }
        if purse(&self.partition).enter(bytes, limits.partition) {
            if purse(&self.user_agent).enter(bytes, limits.user_agent) {
                return true;
            }
            purse(&self.partition).leave(bytes);
        }
        purse(&self.site).leave(bytes);
        false
    }

    /// If more than two chunks are in hand, returns all but one chunk.
    #[cold]
    fn return_drawn(&self) {
        let beyond = |in_hand: u64| (in_hand > 2 * CHUNK).then_some(CHUNK);
        if let Ok(in_hand) = self.in_hand.fetch_update(AcqRel, Acquire, beyond) {
            self.leave(in_hand - CHUNK);
        }
    }

    /// Returns bytes that are no longer in hand, first to the floor's purse.
    fn leave(&self, bytes: u64) {
        let less = |from_floor: u64| Some(from_floor.saturating_sub(bytes));
        let from_floor = self.from_floor.fetch_update(AcqRel, Acquire, less);
        let to_floor = from_floor.unwrap_or_default().min(bytes);
        for sums in [&self.site, &*self.partition, &*self.user_agent] {
            sums.floor.leave(to_floor);
            sums.common.leave(bytes - to_floor);
        }
    }
}

/// Returns everything. No request has anything any more.
impl Drop for Share {
    fn drop(&mut self) {
        self.leave(self.in_hand.load(Acquire));
    }
}

/// Where the requests of a client count, and the client itself while a request of it is unfinished.
///
/// A clone counts nowhere until it is [opened](Self::open).
#[derive(Debug, Default)]
pub(crate) struct ClientAccount(OnceLock<Counted>);

impl Clone for ClientAccount {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl ClientAccount {
    /// Lets requests count in a share, and the client as `bytes`. Does nothing after the first time.
    pub(crate) fn open(&self, share: impl FnOnce() -> Arc<Share>, bytes: impl FnOnce() -> u64) {
        self.0.get_or_init(|| Counted { share: share(), bytes: bytes(), uses: AtomicU64::new(0) });
    }

    /// Where the requests count. `None` if they count nowhere.
    pub(crate) fn counted(&self) -> Option<&Counted> {
        self.0.get()
    }
}

/// A client whose requests count in a share.
#[derive(Debug)]
pub(crate) struct Counted {
    share: Arc<Share>,
    /// How much the client itself counts, once for all its requests.
    bytes: u64,
    /// The number of its unfinished requests.
    uses: AtomicU64,
}

impl Counted {
    /// Takes the bytes of a request, and those of the client if this is its only unfinished request. If there are not
    /// as many, nothing has changed.
    #[inline]
    pub(crate) fn take(&self, bytes: u64) -> bool {
        if !self.take_client() {
            return false;
        }
        let is_taken = self.share.take(bytes);
        if !is_taken {
            self.give_client_back();
        }
        is_taken
    }

    /// Gives the bytes of a request back, and those of the client if this was its last unfinished request.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.share.give_back(bytes);
        self.give_client_back();
    }

    #[inline]
    fn take_client(&self) -> bool {
        let uses = self.uses.load(Acquire);
        uses > 0 && self.uses.compare_exchange(uses, uses + 1, AcqRel, Acquire).is_ok()
            || self.take_client_anew()
    }

    /// Takes the bytes of the client, unless another thread does so at the same time.
    #[cold]
    fn take_client_anew(&self) -> bool {
        if !self.share.take(self.bytes) {
            return false;
        }
        if self.uses.fetch_add(1, AcqRel) > 0 {
            self.share.give_back(self.bytes);
        }
        true
    }

    fn give_client_back(&self) {
        if self.uses.fetch_sub(1, AcqRel) == 1 {
            self.share.give_back(self.bytes);
        }
    }
}

#[cfg(all(test, sendbeacon_loom))]
mod interleavings;
#[cfg(all(test, not(sendbeacon_loom)))]
mod tests;
