//! The [deferred-fetch quota](https://fetch.spec.whatwg.org/#deferred-fetch-quota) of a tree of
//! navigables.
//!
//! The standard walks the tree. Here each [control document](ControlDocument) keeps the sums that the
//! walk would find, so that a call costs the same in any tree.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    error::FetchLaterError,
    queued::QueuedDeferredFetch,
    record::{DeferredFetchRecord, Pending},
    request_length::total_request_length,
    reserved_quota::{KIBIBYTE, Reserved, ReservedQuota},
};
use crate::{Client, ContainerPolicy, Ledger, Nonce, Origin, PolicyFeature, Pruning, Request};

/// The quota of a top-level traversable.
const TOP_LEVEL_QUOTA: u64 = 640 * KIBIBYTE;

/// The part of it that is the [quota reserved for `deferred-fetch-minimal`](https://fetch.spec.whatwg.org/#quota-reserved-for-deferred-fetch-minimal).
const RESERVED_FOR_MINIMAL: u64 = 128 * KIBIBYTE;

/// How many bytes may be pending to URLs of one origin.
const ORIGIN_QUOTA: u64 = 64 * KIBIBYTE;

/// How many records may be pending under a control document. The standard does not limit their number. But a small
/// record takes more memory than it counts in the quota.
const MAX_RECORDS: u64 = 4_096;

/// A [deferred-fetch control document](https://fetch.spec.whatwg.org/#deferred-fetch-control-document):
/// the state that all documents with this control document share.
#[derive(Debug)]
struct ControlDocument {
    source: QuotaSource,
    /// The sum over all pending records.
    pending: Arc<Pending>,
    /// NB: no thread ever waits for this lock. Only calls of these documents take it, and the documents are same
    /// origin, so their scripts run on one thread. The network side does not take it.
    sums: Mutex<Sums>,
}

/// Where the quota that the documents share comes from.
#[derive(Debug)]
enum QuotaSource {
    /// The number of bytes.
    TopLevel(u64),
    /// The quota that the container has reserved. It counts only if the document may use the feature of that quota.
    Nested { is_allowed: bool, is_minimal_allowed: bool, reserved: Arc<Reserved> },
}

/// The sums that the standard's walk through the tree would find, except the sum over all pending records.
#[derive(Debug, Default)]
struct Sums {
    /// The sums over the pending records for each origin of URLs.
    origins: HashMap<Origin, Arc<Pending>>,
    pruning: Pruning,
    /// How many containers have reserved normal quota.
    normal: u64,
    /// How many containers have reserved minimal quota.
    minimal: u64,
}

impl ControlDocument {
    fn new(source: QuotaSource) -> Arc<Self> {
        let (pending, sums) = Default::default();
        Arc::new(Self { source, pending, sums })
    }

    /// Get the [available deferred-fetch quota](https://fetch.spec.whatwg.org/#available-deferred-fetch-quota)
    /// for URLs of an origin, to which `for_origin` bytes are pending.
    fn available_deferred_fetch_quota(&self, sums: &Sums, for_origin: u64) -> u64 {
        // Step 6. Steps 1 to 5 were done when the document was made.
        let quota = match &self.source {
            QuotaSource::TopLevel(quota) => *quota,
            QuotaSource::Nested { is_allowed, is_minimal_allowed, reserved } => {
                match reserved.get() {
                    ReservedQuota::Normal if *is_allowed => ReservedQuota::Normal.bytes(),
                    ReservedQuota::Minimal if *is_minimal_allowed => ReservedQuota::Minimal.bytes(),
                    _ => 0,
                }
            }
        };
        // Steps 8 and 9: the sums. NB: by the letter of Step 8.1 minimal quota is subtracted here, although it was
        // set aside in Step 6. The example in the standard counts it once, and so do we.
        let reserved = sums.normal * ReservedQuota::Normal.bytes();
        let quota = quota.saturating_sub(reserved).saturating_sub(self.pending.bytes());
        // Steps 7, 10 and 11.
        quota.min(ORIGIN_QUOTA.saturating_sub(for_origin))
    }

    fn is_top_level(&self) -> bool {
        matches!(self.source, QuotaSource::TopLevel(_))
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    /// The sum over the pending records for URLs of an origin.
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
///
/// ```
/// use sendbeacon_fetch::{Client, KeepaliveLimits, Ledger, Nonce, Request};
/// use sendbeacon_fetch::deferred::{DeferredFetching, DeferredRequestInit, fetch_later};
///
/// let client = Client::new("https://a.test/".parse()?, Nonce::random());
/// let document = DeferredFetching::top_level(&client);
/// let available = document.available_quota(&client.origin);
/// assert_eq!(available, 65_536);
///
/// let request = Request::new(client.clone().into(), "https://a.test/later".parse()?);
/// let ledger = Ledger::new(KeepaliveLimits::default());
/// let queued = fetch_later(&document, true, request, DeferredRequestInit::default(), &ledger)?;
/// assert!(document.available_quota(&client.origin) < available);
///
/// // The document is unloaded, and its quota is free at once.
/// document.process_deferred_fetches();
/// assert_eq!(document.available_quota(&client.origin), available);
/// let (request, _reservation) = queued.process().expect("it was not aborted");
/// assert!(request.keepalive);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DeferredFetching {
    control: Arc<ControlDocument>,
    records: Mutex<Records>,
}

/// The deferred fetch records of a document: all that are pending, and some that were.
#[derive(Debug, Default)]
struct Records {
    list: Vec<Arc<DeferredFetchRecord>>,
    pruning: Pruning,
}

impl DeferredFetching {
    /// Makes the deferred fetching of a document in a top-level traversable. The quota follows from the origin and
    /// the permissions policy of `client`.
    #[must_use]
    pub fn top_level(client: &Client) -> Self {
        let quota = match Self::features(client) {
            (false, _) => 0,
            (true, false) => TOP_LEVEL_QUOTA,
            (true, true) => TOP_LEVEL_QUOTA - RESERVED_FOR_MINIMAL,
        };
        Self::under(ControlDocument::new(QuotaSource::TopLevel(quota)))
    }

    /// Makes the deferred fetching of a new document in `container`, and finds its
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
        Self::under(ControlDocument::new(QuotaSource::Nested {
            is_allowed,
            is_minimal_allowed,
            reserved,
        }))
    }

    /// Makes the deferred fetching of a settings object whose place in the tree is not known (because it is in
    /// another process, for example). Its quota is the largest that a document can have.
    #[must_use]
    pub fn unshared() -> Self {
        Self::under(ControlDocument::new(QuotaSource::TopLevel(TOP_LEVEL_QUOTA)))
    }

    fn under(control: Arc<ControlDocument>) -> Self {
        Self { control, records: Mutex::default() }
    }

    /// Whether a document may use `deferred-fetch`, and whether it may use `deferred-fetch-minimal`.
    fn features(client: &Client) -> (bool, bool) {
        let is_allowed = |feature| {
            client.permissions_policy.get_feature_value_for_origin(feature, &client.origin)
        };
        (is_allowed(PolicyFeature::DeferredFetch), is_allowed(PolicyFeature::DeferredFetchMinimal))
    }

    /// Makes a container in this document. `origin` is the document's origin.
    #[must_use]
    pub fn container(&self, origin: &Origin) -> NavigableContainer {
        let place = Place { origin: origin.clone(), control: Arc::clone(&self.control) };
        NavigableContainer { reserved: Arc::default(), place: Some(place) }
    }

    /// The available deferred-fetch quota for URLs of `origin`, in bytes.
    #[must_use]
    pub fn available_quota(&self, origin: &Origin) -> u64 {
        let sums = self.control.sums();
        let for_origin = sums.origins.get(origin).map_or(0, |pending| pending.bytes());
        self.control.available_deferred_fetch_quota(&sums, for_origin)
    }

    /// [Queue a deferred fetch](https://fetch.spec.whatwg.org/#queue-a-deferred-fetch), if there is
    /// quota for it.
    ///
    /// # Errors
    /// [`QuotaExceeded`](FetchLaterError::QuotaExceeded), if there is not enough quota, or no memory for the request.
    pub fn queue_a_deferred_fetch(
        &self,
        mut request: Request,
        activate_after: Option<Duration>,
        ledger: &Arc<Ledger>,
    ) -> Result<QueuedDeferredFetch, FetchLaterError> {
        // Step 1 is `Request::new`. Steps 2 and 3.
        request.use_service_workers = false;
        request.keepalive = true;
        // Step 4. NB: a pending request takes memory, which the text does not bound.
        let record = Arc::new(self.admit(&request)?);
        let weight = request.weight();
        let reservation = ledger.reserve_later(&request.client, weight);
        let reservation = reservation.ok_or_else(|| FetchLaterError::QuotaExceeded {
            quota: 0,
            requested: total_request_length(&request),
        })?;
        // Step 5.
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.pruning.is_due(records.list.len()) {
            records.list.retain(|record| record.is_pending());
            let length = records.list.len();
            records.pruning.done(length);
        }
        records.list.push(Arc::clone(&record));
        // Step 7. The queue does Step 6.
        Ok(QueuedDeferredFetch::new(request, record, activate_after, weight, reservation))
    }

    /// Makes a record, if there is quota for it: Steps 11 to 13 of `fetchLater()`.
    fn admit(&self, request: &Request) -> Result<DeferredFetchRecord, FetchLaterError> {
        let control = &self.control;
        let mut sums = control.sums();
        let of_origin = Arc::clone(sums.of_origin(Origin::of(request.url(), Nonce::from_u128(0))));
        let quota = if control.pending.records() < MAX_RECORDS {
            control.available_deferred_fetch_quota(&sums, of_origin.bytes())
        } else {
            0
        };
        let requested = total_request_length(request);
        if quota < requested {
            return Err(FetchLaterError::QuotaExceeded { quota, requested });
        }
        // The record counts itself while the lock is held.
        let counted_in = [Arc::clone(&control.pending), of_origin];
        Ok(DeferredFetchRecord::new(requested, counted_in))
    }

    /// [Process deferred fetches](https://fetch.spec.whatwg.org/#process-deferred-fetches): marks every pending
    /// record as sent. The owner of each [`QueuedDeferredFetch`] then fetches its request.
    pub fn process_deferred_fetches(&self) {
        // Step 1.
        for record in self.take_records() {
            record.process();
        }
    }

    /// Aborts every pending deferred fetch.
    pub fn abort(&self) {
        for record in self.take_records() {
            record.abort();
        }
    }

    fn take_records(&self) -> Vec<Arc<DeferredFetchRecord>> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner)).list
    }
}

/// The deferred-fetch quota of the documents in a
/// [navigable container](https://html.spec.whatwg.org/multipage/document-sequences.html#navigable-container)
/// (an `iframe`, for example).
///
/// The engine keeps one beside each of its containers, and drops it when the element is removed or the element's
/// document is unloaded. The drop gives the reserved quota back.
///
/// ```
/// use sendbeacon_fetch::{Client, ContainerPolicy, Nonce, Origin};
/// use sendbeacon_fetch::deferred::{DeferredFetching, ReservedQuota};
///
/// let page = Client::new("https://a.test/".parse()?, Nonce::random());
/// let document = DeferredFetching::top_level(&page);
/// // <iframe src="https://b.test/">
/// let iframe = document.container(&page.origin);
/// let origin = Origin::of(&"https://b.test/".parse()?, Nonce::random());
/// let policy = ContainerPolicy::new(&page.permissions_policy, &page.origin, "", &origin);
/// iframe.reserve_deferred_fetch_quota(&policy, &origin);
/// assert_eq!(iframe.reserved_quota(), ReservedQuota::Minimal);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NavigableContainer {
    /// The document in the container shares it.
    reserved: Arc<Reserved>,
    /// `None` if the container is in another process.
    place: Option<Place>,
}

/// The node document of a container.
#[derive(Debug)]
struct Place {
    origin: Origin,
    control: Arc<ControlDocument>,
}

impl NavigableContainer {
    /// Makes a container whose node document is in another process. That process sends the quota that the container
    /// has [reserved](Self::reserved_quota) there. NB: the document in such a container is not same origin with the
    /// node document.
    #[must_use]
    pub fn in_another_process(reserved: ReservedQuota) -> Self {
        let container = Self { reserved: Arc::default(), place: None };
        container.set_reserved_quota(reserved);
        container
    }

    /// [Reserve deferred-fetch quota](https://fetch.spec.whatwg.org/#reserve-deferred-fetch-quota).
    ///
    /// Call it when the node document navigates the container's navigable to a URL of `origin`. `policy` is the
    /// policy of the container at this moment. For a container that is sandboxed without `allow-same-origin`,
    /// pass an opaque origin, because the document in the container will have one.
    pub fn reserve_deferred_fetch_quota(&self, policy: &ContainerPolicy, origin: &Origin) {
        // Step 1.
        self.set_reserved_quota(ReservedQuota::None);
        // Step 2.
        let Some(Place { control, .. }) = &self.place else { return };
        let inherits = |feature| policy.define_an_inherited_policy(feature, origin);
        let (available, minimal) = {
            let sums = control.sums();
            (control.available_deferred_fetch_quota(&sums, 0), sums.minimal)
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

    /// The quota that is reserved now. If the document in the container is in another process, send it there.
    #[must_use]
    pub fn reserved_quota(&self) -> ReservedQuota {
        self.reserved.get()
    }

    /// Sets the reserved quota. Call it when a container [in another process](Self::in_another_process) has
    /// reserved another quota.
    pub fn set_reserved_quota(&self, quota: ReservedQuota) {
        let Some(Place { control, .. }) = &self.place else {
            self.reserved.replace(quota);
            return;
        };
        let sums = &mut *control.sums();
        let before = self.reserved.replace(quota);
        for (reserved, count) in
            [(ReservedQuota::Normal, &mut sums.normal), (ReservedQuota::Minimal, &mut sums.minimal)]
        {
            *count = *count + u64::from(quota == reserved) - u64::from(before == reserved);
        }
    }
}

impl Drop for NavigableContainer {
    fn drop(&mut self) {
        self.set_reserved_quota(ReservedQuota::None);
    }
}
