//! The [CORS-preflight cache](https://fetch.spec.whatwg.org/#cors-preflight-cache).

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderName, header::AUTHORIZATION};
use indexmap::IndexMap;
use url::Url;

use crate::{
    origin::PartitionKey,
    request::{CredentialsMode, Request},
};

/// The [CORS-preflight cache](https://fetch.spec.whatwg.org/#concept-cache), of limited size.
///
/// To make room for a new key, a full cache drops a random key of a network partition with the most keys. So a site with
/// many keys pushes out its own. A site that uses more keys in turn than there is room for still finds a part of
/// them. A key with the full number of entries takes no new entry. The lock is held only during a look-up or a
/// change, never across an await.
#[derive(Debug, Default)]
pub(super) struct CorsPreflightCache(Mutex<Partitions>);

/// The longest max-age, in seconds. Chromium has the same limit.
const MAX_MAX_AGE: u64 = 7_200;
/// The most keys of all partitions.
const MAX_KEYS: usize = 512;
/// The most entries of one key. So it is also the most methods and the most header names of a response that count.
const MAX_ENTRIES_PER_KEY: usize = 64;
/// The longest URL of a key, in bytes. Each request to a longer URL makes a preflight.
const MAX_URL_LENGTH: usize = 8_192;

#[derive(Debug, Default)]
struct Partitions {
    by_key: HashMap<PartitionKey, IndexMap<Key<'static>, Vec<Entry>>>,
    /// How many keys all partitions have.
    keys: usize,
    /// How many keys were dropped. With the secret of `random` it decides which key is dropped next.
    dropped: u64,
    random: RandomState,
}

/// The fields of a cache entry that are the same for all entries of one preflight response, without the partition.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key<'a> {
    origin: Cow<'a, str>,
    url: Arc<Url>,
}

/// A [cache entry](https://fetch.spec.whatwg.org/#cache-entry).
#[derive(Debug)]
struct Entry {
    /// Whether the preflight was made for a request with the credentials mode "include".
    credentials: bool,
    permits: Permits,
    expires: Instant,
}

/// The method or the header name of a cache entry.
#[derive(Debug, PartialEq, Eq)]
enum Permits {
    /// A method or `*`.
    Method(Box<str>),
    /// A header name in lower case, or `*`.
    HeaderName(Box<str>),
}

impl CorsPreflightCache {
    /// Whether there is a [method cache entry match](https://fetch.spec.whatwg.org/#concept-cache-match-method) for the
    /// request's method, unless `method_is_allowed` without one, and a
    /// [header-name cache entry match](https://fetch.spec.whatwg.org/#concept-cache-match-header) for each of `names`.
    pub(super) fn permits(
        &self,
        request: &Request,
        method_is_allowed: bool,
        names: &[HeaderName],
        now: Instant,
    ) -> bool {
        let includes_credentials = request.credentials == CredentialsMode::Include;
        let partitions = self.lock();
        let partition = partitions.by_key.get(&request.client.network_partition_key);
        let entries = partition.and_then(|partition| partition.get(&Key::of(request)));
        // The entries with a [cache entry match](https://fetch.spec.whatwg.org/#concept-cache-match).
        let matches = entries
            .into_iter()
            .flatten()
            .filter(|entry| entry.expires > now && (entry.credentials || !includes_credentials));
        (method_is_allowed || matches.clone().any(|it| it.permits_method(request.method.as_str())))
            && names
                .iter()
                .all(|name| matches.clone().any(|it| it.permits_header_name(name.as_str())))
    }

    /// Steps 7.10 to 7.15 of CORS-preflight fetch: renews the entries that match, and
    /// [creates](https://fetch.spec.whatwg.org/#concept-cache-create-entry) the others. `max_age` is in seconds.
    pub(super) fn store(
        &self,
        request: &Request,
        max_age: u64,
        methods: &[&str],
        header_names: &[&str],
        now: Instant,
    ) {
        if request.current_url().as_str().len() > MAX_URL_LENGTH {
            return;
        }
        let expires = now + Duration::from_secs(max_age.min(MAX_MAX_AGE));
        let credentials = request.credentials == CredentialsMode::Include;
        let mut partitions = self.lock();
        let entries = partitions.entries_of(request);
        entries.retain(|entry| entry.expires > now);
        let methods = methods.iter().take(MAX_ENTRIES_PER_KEY);
        let methods = methods.map(|method| Permits::Method((*method).into()));
        let header_names = header_names.iter().take(MAX_ENTRIES_PER_KEY);
        let header_names =
            header_names.map(|name| Permits::HeaderName(name.to_ascii_lowercase().into()));
        for permits in methods.chain(header_names) {
            let mut is_known = false;
            let matches = |entry: &&mut Entry| match &permits {
                Permits::Method(name) => entry.permits_method(name),
                Permits::HeaderName(name) => entry.permits_header_name(name),
            };
            let of_mode = entries.iter_mut().filter(|entry| entry.credentials || !credentials);
            for entry in of_mode.filter(matches) {
                (entry.expires, is_known) = (expires, true);
            }
            if !is_known && entries.len() < MAX_ENTRIES_PER_KEY {
                entries.push(Entry { credentials, permits, expires });
            }
        }
    }

    /// [Clear cache entries](https://fetch.spec.whatwg.org/#concept-cache-clear) for the request's origin and URL.
    pub(super) fn clear(&self, request: &Request) {
        let mut partitions = self.lock();
        let partition = partitions.by_key.get_mut(&request.client.network_partition_key);
        if let Some(partition) = partition
            // NB: `get_mut` wants a key that lives as long as those of the map.
            && let Some(entries) = partition.get_mut(&Key::of(request).owned())
        {
            entries.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Partitions> {
        // A panic may leave the cache half changed. That does no harm: at worst a request makes another preflight.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn permits_method(&self, method: &str) -> bool {
        matches!(&self.permits, Permits::Method(it) if **it == *method || self.is_wildcard())
    }

    /// `name` has no upper-case letters.
    fn permits_header_name(&self, name: &str) -> bool {
        let Permits::HeaderName(listed) = &self.permits else { return false };
        **listed == *name || self.is_wildcard() && *name != *AUTHORIZATION.as_str()
    }

    /// Whether the entry's method or header name is a `*` that stands for every other one.
    ///
    /// NB: by the text, every `*` does. But the preflight of a request with credentials takes `*` for the name of a
    /// method or header, and so the entries of that preflight do, too.
    fn is_wildcard(&self) -> bool {
        let (Permits::Method(name) | Permits::HeaderName(name)) = &self.permits;
        **name == *"*" && !self.credentials
    }
}

impl Partitions {
    /// The entries of the request's key, which is added if it is new.
    fn entries_of(&mut self, request: &Request) -> &mut Vec<Entry> {
        let (partition, key) = (&request.client.network_partition_key, Key::of(request).owned());
        let known = self.by_key.get(partition);
        if known.is_none_or(|partition| !partition.contains_key(&key)) {
            if self.keys == MAX_KEYS {
                self.drop_a_key();
            }
            self.keys += 1;
        }
        self.by_key.entry(partition.clone()).or_default().entry(key).or_default()
    }

    /// Drops a random key of the partition that has the most.
    fn drop_a_key(&mut self) {
        let partitions = self.by_key.iter_mut();
        let Some((partition, largest)) = partitions.max_by_key(|(_, it)| it.len()) else {
            return;
        };
        let length = largest.len() as u64;
        let at = usize::try_from(self.random.hash_one(self.dropped) % length).unwrap_or(0);
        largest.swap_remove_index(at);
        if largest.is_empty() {
            let partition = partition.clone();
            self.by_key.remove(&partition);
        }
        self.dropped += 1;
        self.keys -= 1;
    }
}

impl<'a> Key<'a> {
    fn of(request: &'a Request) -> Self {
        Self { origin: request.serialize_origin(), url: Arc::clone(request.current_url()) }
    }

    fn owned(self) -> Key<'static> {
        Key { origin: self.origin.into_owned().into(), url: self.url }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Nonce};

    /// A request to URL number `n` from a page of the site `site`.
    fn request(site: &str, n: usize) -> Request {
        let page = Url::parse(&format!("https://{site}/")).unwrap();
        let url = Url::parse(&format!("https://collector.test/{n}")).unwrap();
        Request::new(Arc::new(Client::new(page, Nonce::from_u128(1))), url)
    }

    fn store(cache: &CorsPreflightCache, request: &Request, now: Instant) {
        cache.store(request, 100, &["PUT"], &[], now);
    }

    fn has(cache: &CorsPreflightCache, mut request: Request, now: Instant) -> bool {
        request.method = http::Method::PUT;
        cache.permits(&request, false, &[], now)
    }

    #[test]
    fn a_preflight_sets_the_age_of_each_entry_that_matches() {
        let (cache, now) = (CorsPreflightCache::default(), Instant::now());
        let later = now + Duration::from_secs(50);
        let mut with_credentials = request("a.test", 0);
        with_credentials.credentials = CredentialsMode::Include;
        store(&cache, &with_credentials, now);
        assert!(
            has(&cache, request("a.test", 0), later)
                && has(&cache, with_credentials.clone(), later)
        );
        cache.store(&request("a.test", 0), 0, &["PUT"], &[], now);
        assert!(!has(&cache, with_credentials.clone(), later));
        // An entry without credentials does not match a request with them.
        cache.store(&request("a.test", 0), 100, &["*"], &[], now);
        cache.store(&with_credentials, 0, &["PUT"], &[], now);
        assert!(has(&cache, request("a.test", 0), later));
    }

    #[test]
    fn a_site_with_many_keys_pushes_out_its_own() {
        let (cache, now) = (CorsPreflightCache::default(), Instant::now());
        for n in 0..10 {
            store(&cache, &request("a.test", n), now);
        }
        for n in 0..10 * MAX_KEYS {
            store(&cache, &request("evil.test", n), now);
        }
        assert!((0..10).all(|n| has(&cache, request("a.test", n), now)));
        let sites = |n: usize| format!("{n}.test");
        for n in 0..2 * MAX_KEYS {
            store(&cache, &request(&sites(n), 0), now);
            assert!(has(&cache, request(&sites(n), 0), now));
        }
        let partitions = cache.lock();
        assert_eq!(partitions.keys, MAX_KEYS);
        assert_eq!(partitions.by_key.values().map(IndexMap::len).sum::<usize>(), MAX_KEYS);
        assert!(partitions.by_key.values().all(|it| it.len() == 1));
    }

    #[test]
    fn more_keys_in_turn_than_there_is_room_for_do_not_make_each_request_preflight() {
        let (cache, now) = (CorsPreflightCache::default(), Instant::now());
        let mut found = 0;
        let turns = 20;
        for n in (0..MAX_KEYS + MAX_KEYS / 4).cycle().take(turns * MAX_KEYS) {
            let request = request("a.test", n);
            if has(&cache, request.clone(), now) {
                found += 1;
            } else {
                store(&cache, &request, now);
            }
        }
        assert!(found > turns * MAX_KEYS / 4, "{found}");
    }

    #[test]
    fn a_long_url_is_not_kept() {
        let (cache, now) = (CorsPreflightCache::default(), Instant::now());
        let mut long = request("a.test", 0);
        Arc::make_mut(long.current_url_mut()).set_path(&"x".repeat(MAX_URL_LENGTH));
        store(&cache, &long, now);
        assert!(!has(&cache, long, now));
    }
}
