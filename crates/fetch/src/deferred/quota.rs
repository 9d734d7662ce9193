//! The [deferred-fetch quota](https://fetch.spec.whatwg.org/#deferred-fetch-quota) of a tree of
//! navigables.
//!
//! The standard walks the tree. Here each [control document](ControlDocument) keeps the sums that the
//! walk would find, so that a call costs the same in any tree.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire},
        },
    },
    time::Duration,
};

use super::{
    error::FetchLaterError,
    queued::QueuedDeferredFetch,
    record::{DeferredFetchRecord, Pending},
    request_length::total_request_length,
};
use crate::{Client, ContainerPolicy, Ledger, Nonce, Origin, PolicyFeature, Pruning, Request};

const KIBIBYTE: u64 = 1024;

/// What a top-level traversable has.
const TOP_LEVEL_QUOTA: u64 = 640 * KIBIBYTE;

/// Of that, the [quota reserved for `deferred-fetch-minimal`](https://fetch.spec.whatwg.org/#quota-reserved-for-deferred-fetch-minimal).
const RESERVED_FOR_MINIMAL: u64 = 128 * KIBIBYTE;

/// What may be pending for one origin of URLs.
const ORIGIN_QUOTA: u64 = 64 * KIBIBYTE;

/// How many records may be pending under a control document. The standard has no limit, but each costs
/// more memory than the bytes it counts for.
const MAX_RECORDS: u64 = 4_096;

/// A container's [reserved deferred-fetch quota](https://fetch.spec.whatwg.org/#reserved-deferred-fetch-quota).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReservedQuota {
    /// 0.
    #[default]
    None,
    /// Minimal quota, 8 KiB.
    Minimal,
    /// Normal quota, 64 KiB.
    Normal,
}

impl ReservedQuota {
    /// How many bytes it is.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal => 8 * KIBIBYTE,
            Self::Normal => 64 * KIBIBYTE,
        }
    }
}

/// A container's, seen from the document in it as well.
#[derive(Debug, Default)]
struct Reserved(AtomicU8);

impl Reserved {
    fn get(&self) -> ReservedQuota {
        Self::decode(self.0.load(Acquire))
    }

    fn replace(&self, quota: ReservedQuota) -> ReservedQuota {
        Self::decode(self.0.swap(quota as u8, AcqRel))
    }

    fn decode(value: u8) -> ReservedQuota {
        match value {
            1 => ReservedQuota::Minimal,
            2 => ReservedQuota::Normal,
            _ => ReservedQuota::None,
        }
    }
}

/// A [deferred-fetch control document](https://fetch.spec.whatwg.org/#deferred-fetch-control-document):
/// what the documents share that have it.
#[derive(Debug)]
struct ControlDocument {
    grant: Grant,
    pending: Arc<Pending>,
    /// Locked by calls of these documents only. They are same origin, so one script thread's, and the
    /// network side never takes it: nobody waits for it.
    books: Mutex<Books>,
}

/// How much there is to share.
#[derive(Debug)]
enum Grant {
    TopLevel(u64),
    Nested { is_allowed: bool, is_minimal_allowed: bool, reserved: Arc<Reserved> },
}

#[derive(Debug, Default)]
struct Books {
    /// Of the pending records, those for each origin.
    origins: HashMap<Origin, Arc<Pending>>,
    pruning: Pruning,
    /// How many containers have reserved normal quota.
    normal: u64,
    /// And how many minimal quota.
    minimal: u64,
}

impl ControlDocument {
    fn new(grant: Grant) -> Arc<Self> {
        let (pending, books) = Default::default();
        Arc::new(Self { grant, pending, books })
    }

    /// Get the [available deferred-fetch quota](https://fetch.spec.whatwg.org/#available-deferred-fetch-quota)
    /// for URLs of an origin, by what is pending for that.
    fn available_deferred_fetch_quota(&self, books: &Books, for_origin: u64) -> u64 {
        // Steps 1 to 5 were made with the document. Step 6.
        let quota = match &self.grant {
            Grant::TopLevel(quota) => *quota,
            Grant::Nested { is_allowed, is_minimal_allowed, reserved } => match reserved.get() {
                ReservedQuota::Normal if *is_allowed => ReservedQuota::Normal.bytes(),
                ReservedQuota::Minimal if *is_minimal_allowed => ReservedQuota::Minimal.bytes(),
                _ => 0,
            },
        };
        // Steps 8 and 9: the sums. NB: by the letter of Step 8.1 minimal quota is subtracted, too, though
        // Step 6 has set it aside. The standard's own example counts it once, and so do we.
        let reserved = books.normal * ReservedQuota::Normal.bytes();
        let quota = quota.saturating_sub(reserved).saturating_sub(self.pending.bytes());
        // Steps 7, 10 and 11.
        quota.min(ORIGIN_QUOTA.saturating_sub(for_origin))
    }

    fn is_top_level(&self) -> bool {
        matches!(self.grant, Grant::TopLevel(_))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn of_origin(&mut self, origin: Origin) -> &Arc<Pending> {
        if self.pruning.is_due(self.origins.len()) {
            self.origins.retain(|_, pending| pending.records() > 0);
            self.pruning.done(self.origins.len());
        }
        self.origins.entry(origin).or_default()
    }
}

/// The deferred fetching of one document: the
/// [deferred fetch records](https://fetch.spec.whatwg.org/#fetch-group-deferred-fetch-records) of its
/// fetch group, and its deferred-fetch control document.
#[derive(Debug)]
pub struct DeferredFetching {
    control: Arc<ControlDocument>,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    list: Vec<Arc<DeferredFetchRecord>>,
    pruning: Pruning,
}

impl DeferredFetching {
    /// That of a document in a top-level traversable. Its client's origin and permissions policy count.
    #[must_use]
    pub fn top_level(client: &Client) -> Self {
        let quota = match Self::features(client) {
            (false, _) => 0,
            (true, false) => TOP_LEVEL_QUOTA,
            (true, true) => TOP_LEVEL_QUOTA - RESERVED_FOR_MINIMAL,
        };
        Self::under(ControlDocument::new(Grant::TopLevel(quota)))
    }

    /// That of a new document in `container`: gets its
    /// [deferred-fetch control document](https://fetch.spec.whatwg.org/#deferred-fetch-control-document).
    #[must_use]
    pub fn nested(client: &Client, container: &NavigableContainer) -> Self {
        container.potentially_free_deferred_fetch_quota(&client.origin);
        // Step 1.
        if let Some(place) = container.place.as_ref().filter(|it| it.origin == client.origin) {
            return Self::under(Arc::clone(&place.control));
        }
        let (is_allowed, is_minimal_allowed) = Self::features(client);
        let reserved = Arc::clone(&container.reserved);
        Self::under(ControlDocument::new(Grant::Nested {
            is_allowed,
            is_minimal_allowed,
            reserved,
        }))
    }

    /// That of a settings object about which nothing is known, in another process say: at most what a
    /// top-level document has.
    #[must_use]
    pub fn unshared() -> Self {
        Self::under(ControlDocument::new(Grant::TopLevel(TOP_LEVEL_QUOTA)))
    }

    fn under(control: Arc<ControlDocument>) -> Self {
        Self { control, records: Mutex::default() }
    }

    /// Whether a document may use the two features.
    fn features(client: &Client) -> (bool, bool) {
        let is_allowed = |feature| {
            client.permissions_policy.get_feature_value_for_origin(feature, &client.origin)
        };
        (is_allowed(PolicyFeature::DeferredFetch), is_allowed(PolicyFeature::DeferredFetchMinimal))
    }

    /// A container in this document, whose origin is `origin`.
    #[must_use]
    pub fn container(&self, origin: &Origin) -> NavigableContainer {
        let place = Place { origin: origin.clone(), control: Arc::clone(&self.control) };
        NavigableContainer { reserved: Arc::default(), place: Some(place) }
    }

    /// The available deferred-fetch quota for URLs of `origin`, in bytes.
    #[must_use]
    pub fn available_quota(&self, origin: &Origin) -> u64 {
        let books = self.control.books();
        let for_origin = books.origins.get(origin).map_or(0, |pending| pending.bytes());
        self.control.available_deferred_fetch_quota(&books, for_origin)
    }

    /// [Queue a deferred fetch](https://fetch.spec.whatwg.org/#queue-a-deferred-fetch), if there is
    /// quota for it.
    ///
    /// # Errors
    /// [`QuotaExceeded`](FetchLaterError::QuotaExceeded).
    pub fn queue_a_deferred_fetch(
        &self,
        mut request: Request,
        activate_after: Option<Duration>,
        ledger: &Arc<Ledger>,
    ) -> Result<QueuedDeferredFetch, FetchLaterError> {
        // Step 1 is `Request::new`. Steps 2 and 3.
        request.use_service_workers = false;
        request.keepalive = true;
        // Step 4.
        let record = Arc::new(self.admit(&request)?);
        // Step 5.
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.pruning.is_due(records.list.len()) {
            records.list.retain(|record| record.is_pending());
            let length = records.list.len();
            records.pruning.done(length);
        }
        records.list.push(Arc::clone(&record));
        // Step 6 is the queue's. Step 7.
        Ok(QueuedDeferredFetch::new(request, record, activate_after, ledger))
    }

    /// `fetchLater()`'s Steps 11 to 13: a record, if there is quota for it.
    fn admit(&self, request: &Request) -> Result<DeferredFetchRecord, FetchLaterError> {
        let control = &self.control;
        let mut books = control.books();
        let of_origin = Arc::clone(books.of_origin(Origin::of(request.url(), Nonce::from_u128(0))));
        let quota = if control.pending.records() < MAX_RECORDS {
            control.available_deferred_fetch_quota(&books, of_origin.bytes())
        } else {
            0
        };
        let requested = total_request_length(request);
        if quota < requested {
            return Err(FetchLaterError::QuotaExceeded { quota, requested });
        }
        // Counted before the books are closed.
        let sums = [Arc::clone(&control.pending), of_origin];
        Ok(DeferredFetchRecord::new(requested, sums))
    }

    /// [Process deferred fetches](https://fetch.spec.whatwg.org/#process-deferred-fetches): none is
    /// pending any more. Whoever has the requests fetches them.
    pub fn process_deferred_fetches(&self) {
        // Step 1.
        for record in self.take_records() {
            record.process();
        }
    }

    /// Aborts every pending one.
    pub fn abort(&self) {
        for record in self.take_records() {
            record.abort();
        }
    }

    fn take_records(&self) -> Vec<Arc<DeferredFetchRecord>> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner)).list
    }
}

/// A [navigable container](https://html.spec.whatwg.org/multipage/document-sequences.html#navigable-container),
/// an `iframe` say, as far as the deferred-fetch quota of the documents in it goes.
///
/// The engine keeps one beside each, and drops it when the element is removed or its document is
/// unloaded, which gives its reserved quota back.
#[derive(Debug)]
pub struct NavigableContainer {
    reserved: Arc<Reserved>,
    /// `None` if it is in another process.
    place: Option<Place>,
}

/// The container's node document.
#[derive(Debug)]
struct Place {
    origin: Origin,
    control: Arc<ControlDocument>,
}

impl NavigableContainer {
    /// A container whose node document is in another process, which says what it has
    /// [reserved](Self::reserved_quota). The document in it is not same origin with that one.
    #[must_use]
    pub fn in_another_process(reserved: ReservedQuota) -> Self {
        let container = Self { reserved: Arc::default(), place: None };
        container.set_reserved_quota(reserved);
        container
    }

    /// [Reserve deferred-fetch quota](https://fetch.spec.whatwg.org/#reserve-deferred-fetch-quota).
    ///
    /// To be called when the container's navigable is navigated to `origin` by its node document.
    /// `policy` is the container's at this moment. For a container that is sandboxed without
    /// `allow-same-origin`, `origin` is an opaque one, as that of the document in it will be.
    pub fn reserve_deferred_fetch_quota(&self, policy: &ContainerPolicy, origin: &Origin) {
        // Step 1.
        self.set_reserved_quota(ReservedQuota::None);
        // Step 2.
        let Some(Place { control, .. }) = &self.place else { return };
        let inherits = |feature| policy.define_an_inherited_policy(feature, origin);
        let (available, minimal) = {
            let books = control.books();
            (control.available_deferred_fetch_quota(&books, 0), books.minimal)
        };
        if inherits(PolicyFeature::DeferredFetch) && available >= ReservedQuota::Normal.bytes() {
            // Step 3.
            self.set_reserved_quota(ReservedQuota::Normal);
        } else if control.is_top_level()
            && inherits(PolicyFeature::DeferredFetchMinimal)
            && minimal < RESERVED_FOR_MINIMAL / ReservedQuota::Minimal.bytes()
        {
            // Step 4.
            self.set_reserved_quota(ReservedQuota::Minimal);
        }
    }

    /// [Potentially free deferred-fetch quota](https://fetch.spec.whatwg.org/#potentially-free-deferred-fetch-quota)
    /// for a new document of `origin`.
    fn potentially_free_deferred_fetch_quota(&self, origin: &Origin) {
        if self.place.as_ref().is_some_and(|place| place.origin == *origin) {
            self.set_reserved_quota(ReservedQuota::None);
        }
    }

    /// What is reserved now, for the process of the document in it.
    #[must_use]
    pub fn reserved_quota(&self) -> ReservedQuota {
        self.reserved.get()
    }

    /// Takes over what a container [in another process](Self::in_another_process) has reserved since.
    pub fn set_reserved_quota(&self, quota: ReservedQuota) {
        let Some(Place { control, .. }) = &self.place else {
            self.reserved.replace(quota);
            return;
        };
        let books = &mut *control.books();
        let before = self.reserved.replace(quota);
        for (reserved, count) in [
            (ReservedQuota::Normal, &mut books.normal),
            (ReservedQuota::Minimal, &mut books.minimal),
        ] {
            *count = *count + u64::from(quota == reserved) - u64::from(before == reserved);
        }
    }
}

impl Drop for NavigableContainer {
    fn drop(&mut self) {
        self.set_reserved_quota(ReservedQuota::None);
    }
}
