use std::sync::{
    Arc,
    atomic::{
        AtomicU8, AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
};

/// A [deferred fetch record](https://fetch.spec.whatwg.org/#deferred-fetch-record), and its share of
/// the quota, which is given back when it is no longer pending or is dropped.
///
/// It is shared by the script's side and the network side: whoever is first decides what becomes of it.
#[derive(Debug)]
pub struct DeferredFetchRecord {
    state: AtomicU8,
    length: u64,
    /// The sums it is counted in: its control document's, and of those its URL's origin's.
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

/// The invoke state.
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
    /// fetch: false means that it is not to be fetched, as it was aborted.
    ///
    /// To be called by whoever fetches it, once; a document that goes has called it before.
    pub fn process(&self) -> bool {
        // Steps 1 and 2. Step 3 is the caller's, and Step 4's task the engine's.
        self.leave_pending(SENT);
        self.state.load(Acquire) == SENT
    }

    /// The abort steps of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater), its
    /// Step 16. Says whether it is aborted: what was sent stays sent.
    pub fn abort(&self) -> bool {
        self.leave_pending(ABORTED);
        self.state.load(Acquire) == ABORTED
    }

    /// Whether its invoke state is "sent".
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.state.load(Acquire) == SENT
    }

    /// Whether its invoke state is "pending".
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.state.load(Acquire) == PENDING
    }

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
