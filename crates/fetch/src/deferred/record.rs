//! The deferred fetch record, which the script side and the network side share.

use std::sync::{
    Arc,
    atomic::{
        AtomicU8, AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
};

/// A [deferred fetch record](https://fetch.spec.whatwg.org/#deferred-fetch-record), and its share of
/// the quota. The share is given back when the record is no longer pending, and when it is dropped.
///
/// The script side and the network side share the record. Either side may send or abort the request, and the first
/// one to do so decides.
#[derive(Debug)]
pub struct DeferredFetchRecord {
    /// The invoke state.
    state: AtomicU8,
    /// The total request length.
    length: u64,
    /// The sums in which it counts while it is pending: the sum of its control document, and that document's sum
    /// for the origin of its URL.
    sums: [Arc<Pending>; 2],
}

/// A sum over pending records.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: AtomicU64,
    records: AtomicU64,
}

impl Pending {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Acquire)
    }

    pub(super) fn records(&self) -> u64 {
        self.records.load(Acquire)
    }
}

// The invoke states.
const PENDING: u8 = 0;
const SENT: u8 = 1;
const ABORTED: u8 = 2;

impl DeferredFetchRecord {
    pub(super) fn new(length: u64, sums: [Arc<Pending>; 2]) -> Self {
        for sum in &sums {
            sum.bytes.fetch_add(length, AcqRel);
            sum.records.fetch_add(1, AcqRel);
        }
        Self { state: AtomicU8::new(PENDING), length, sums }
    }

    /// [Process a deferred fetch](https://fetch.spec.whatwg.org/#process-a-deferred-fetch), up to the
    /// fetch. Returns whether to fetch the request; false means that it was aborted.
    ///
    /// The side that fetches the request calls this once. The script side calls it before that, when the document
    /// ends.
    pub fn process(&self) -> bool {
        // Steps 1 and 2. Step 3 is the caller's, and the task of Step 4 is the engine's.
        self.leave_pending(SENT);
        self.state.load(Acquire) == SENT
    }

    /// The abort steps of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater): its
    /// Step 16. Returns whether the request is aborted; false means that it was sent before.
    pub fn abort(&self) -> bool {
        self.leave_pending(ABORTED);
        self.state.load(Acquire) == ABORTED
    }

    /// Whether the invoke state is "sent".
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.state.load(Acquire) == SENT
    }

    /// Whether the invoke state is "pending".
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.state.load(Acquire) == PENDING
    }

    /// Changes the state from "pending" to `state`, and gives the share of the quota back. Does nothing if the
    /// record is not pending.
    fn leave_pending(&self, state: u8) {
        if self.state.compare_exchange(PENDING, state, AcqRel, Acquire).is_ok() {
            for sum in &self.sums {
                sum.bytes.fetch_sub(self.length, AcqRel);
                sum.records.fetch_sub(1, AcqRel);
            }
        }
    }
}

impl Drop for DeferredFetchRecord {
    fn drop(&mut self) {
        self.leave_pending(ABORTED);
    }
}
