//! The memory budget of a user agent, and the shares that it gives to sites.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sendbeacon_fetch::{
    Client, Nonce, Origin, PartitionKey, Pruning, PurseLimits, Share, Site, Sums,
};

use crate::limits::MemoryLimits;

/// The memory budget of a user agent.
///
/// It is locked when a document is made or gets another settings object, and not when a beacon is sent.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: MemoryLimits,
    user_agent: Arc<Sums>,
    shares: Mutex<Shares>,
}

/// The shares in use.
#[derive(Debug, Default)]
struct Shares {
    of_partitions: HashMap<PartitionKey, Weak<Sums>>,
    of_sites: HashMap<Place, Weak<Share>>,
    pruning: Pruning,
    /// The share that was found last, and for which origin in which partition. A page makes many documents in a row.
    last: Option<(Origin, PartitionKey, Weak<Share>)>,
}

/// The documents that have a share together: those of one site in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    partition: PartitionKey,
    site: Site,
    /// Whether the site is that of the top-level document.
    is_first_party: bool,
}

impl Place {
    fn of(client: &Client) -> Self {
        let url_site = || Site::of(&Origin::of(&client.creation_url, Nonce::from_u128(0)));
        Self::new(&client.network_partition_key, Site::of(&client.origin), url_site)
    }

    /// The place of the documents of a site, whose URLs are of `url_site`.
    fn new(partition: &PartitionKey, mut site: Site, url_site: impl FnOnce() -> Site) -> Self {
        let is_first_party = site == partition.top_level_site;
        if !is_first_party && let Site::Opaque(_) = site {
            // A page could make any number of opaque origins, for example by sandboxed frames. Those whose documents
            // come from one site have one share, and all those whose documents have no site have another.
            site = url_site();
        }
        Self { partition: partition.clone(), site, is_first_party }
    }
}

impl Budget {
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        Self { limits, user_agent: Arc::default(), shares: Mutex::default() }
    }

    /// Lets the requests of a client count in the share of its site.
    pub(crate) fn count(&self, client: &Client) {
        client.count_in(|| self.share_for(client));
    }

    /// Finds the share of the documents of a site in a partition, whose URLs are of `url_site`, for a process that has no
    /// others.
    #[cfg(feature = "remote")]
    pub(crate) fn share_of(
        &self,
        partition: &PartitionKey,
        site: &Site,
        url_site: &Site,
    ) -> Arc<Share> {
        let place = Place::new(partition, site.clone(), || match url_site {
            Site::Opaque(_) => Site::Opaque(Nonce::from_u128(0)),
            site @ Site::Tuple { .. } => site.clone(),
        });
        self.share(&mut self.lock(), place)
    }

    fn share_for(&self, client: &Client) -> Arc<Share> {
        let mut shares = self.lock();
        let (origin, partition) = (&client.origin, &client.network_partition_key);
        // The origin of a document does not say where an opaque origin counts.
        let is_it = |last: &&(Origin, PartitionKey, _)| last.0 == *origin && last.1 == *partition;
        let last = shares.last.as_ref().filter(|_| matches!(origin, Origin::Tuple { .. }));
        if let Some(share) = last.filter(is_it).and_then(|(.., share)| share.upgrade()) {
            return share;
        }
        let share = self.share(&mut shares, Place::of(client));
        shares.last = Some((origin.clone(), partition.clone(), Arc::downgrade(&share)));
        share
    }

    /// Finds the share of a site. All documents of the site in the partition have the same share.
    fn share(&self, shares: &mut Shares, place: Place) -> Arc<Share> {
        shares.prune();
        if let Some(share) = shares.of_sites.get(&place).and_then(Weak::upgrade) {
            return share;
        }
        let of_partition = shares.of_partitions.entry(place.partition.clone()).or_default();
        let partition = of_partition.upgrade().unwrap_or_else(|| {
            let sums = Arc::default();
            *of_partition = Arc::downgrade(&sums);
            sums
        });
        let [common, floor] = self.limits.of_purses(place.is_first_party);
        let share = Share::new(partition, Arc::clone(&self.user_agent), common, floor);
        let share = Arc::new(share);
        shares.of_sites.insert(place, Arc::downgrade(&share));
        share
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    /// Removes the shares that nobody has any more, now and then.
    fn prune(&mut self) {
        if self.pruning.is_due(self.of_sites.len()) {
            self.of_sites.retain(|_, share| share.strong_count() > 0);
            self.of_partitions.retain(|_, sums| sums.strong_count() > 0);
            self.pruning.done(self.of_sites.len());
        }
    }
}

impl MemoryLimits {
    /// The limits of the common purse and of the floor's purse, for the share of a site.
    ///
    /// The last quarter of each partition is for the first party, so that no number of frames takes its room. The last
    /// quarter of the user agent is for the floors.
    fn of_purses(&self, is_first_party: bool) -> [PurseLimits; 2] {
        let floors = self.user_agent / 4;
        let limits = |all: u64, user_agent| {
            let (site, partition) =
                if is_first_party { (all / 2, all) } else { (all / 4, all - all / 4) };
            PurseLimits { site, partition, user_agent }
        };
        [limits(self.partition, self.user_agent - floors), limits(self.floor, floors)]
    }
}

#[cfg(test)]
mod tests;
