//! The [CORS-preflight cache](https://fetch.spec.whatwg.org/#cors-preflight-cache).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use url::Url;

use crate::{
    origin::PartitionKey,
    request::{CredentialsMode, Request},
};

/// The [CORS-preflight cache](https://fetch.spec.whatwg.org/#concept-cache), of limited size.
///
/// A full cache drops the oldest key for a new one. A key with the full number of entries takes no new entry. The lock is
/// held only during a look-up or a change, never across an await.
#[derive(Debug, Default)]
pub(super) struct CorsPreflightCache(Mutex<Entries>);

/// The longest max-age, in seconds. Chromium has the same limit.
const MAX_MAX_AGE: u64 = 7_200;
/// The most keys.
const MAX_KEYS: usize = 512;
/// The most entries of one key.
const MAX_ENTRIES_PER_KEY: usize = 64;

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Key, Vec<Entry>>,
    /// All keys, the oldest first.
    order: VecDeque<Key>,
}

/// The fields of a cache entry that are the same for all entries of one preflight response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    partition: PartitionKey,
    origin: HeaderValue,
    url: Url,
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
    /// request's method.
    pub(super) fn matches_method(&self, request: &Request, now: Instant) -> bool {
        self.matches(request, now, |entry| match &entry.permits {
            Permits::Method(method) => **method == *request.method.as_str() || entry.is_wildcard(),
            Permits::HeaderName(_) => false,
        })
    }

    /// Whether there is a [header-name cache entry match](https://fetch.spec.whatwg.org/#concept-cache-match-header) for
    /// `name`.
    pub(super) fn matches_header_name(
        &self,
        request: &Request,
        name: &HeaderName,
        now: Instant,
    ) -> bool {
        self.matches(request, now, |entry| match &entry.permits {
            Permits::HeaderName(listed) => {
                **listed == *name.as_str() || (entry.is_wildcard() && name != AUTHORIZATION)
            }
            Permits::Method(_) => false,
        })
    }

    /// Whether there is a [cache entry match](https://fetch.spec.whatwg.org/#concept-cache-match) that also satisfies
    /// `permits`.
    fn matches(&self, request: &Request, now: Instant, permits: impl Fn(&Entry) -> bool) -> bool {
        let includes_credentials = request.credentials == CredentialsMode::Include;
        self.lock().by_key.get(&Key::of(request)).is_some_and(|entries| {
            entries.iter().any(|entry| {
                entry.expires > now
                    && (entry.credentials || !includes_credentials)
                    && permits(entry)
            })
        })
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
        let expires = now + Duration::from_secs(max_age.min(MAX_MAX_AGE));
        let credentials = request.credentials == CredentialsMode::Include;
        let mut guard = self.lock();
        let entries = guard.entries_of(Key::of(request));
        entries.retain(|entry| entry.expires > now);
        let methods = methods.iter().map(|method| Permits::Method((*method).into()));
        let header_names =
            header_names.iter().map(|name| Permits::HeaderName(name.to_ascii_lowercase().into()));
        let is_same = |entry: &Entry, permits: &Permits| {
            entry.credentials == credentials && entry.permits == *permits
        };
        for permits in methods.chain(header_names) {
            match entries.iter().position(|entry| is_same(entry, &permits)) {
                Some(at) => entries[at].expires = expires,
                None if entries.len() < MAX_ENTRIES_PER_KEY => {
                    entries.push(Entry { credentials, permits, expires });
                }
                None => {}
            }
        }
    }

    /// [Clear cache entries](https://fetch.spec.whatwg.org/#concept-cache-clear) for the request's origin and URL.
    pub(super) fn clear(&self, request: &Request) {
        if let Some(entries) = self.lock().by_key.get_mut(&Key::of(request)) {
            entries.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // A panic may leave the cache half changed. That does no harm: at worst a request makes another preflight.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether the entry's method or header name is a `*` that stands for every other one.
    ///
    /// NB: by the text, every `*` does. But the preflight of a request with credentials takes `*` for the name of a
    /// method or header, and so the entries of that preflight do, too.
    fn is_wildcard(&self) -> bool {
        let (Permits::Method(name) | Permits::HeaderName(name)) = &self.permits;
        **name == *"*" && !self.credentials
    }
}

impl Entries {
    /// The entries of `key`, which is added if it is new.
    fn entries_of(&mut self, key: Key) -> &mut Vec<Entry> {
        if !self.by_key.contains_key(&key) {
            if self.order.len() == MAX_KEYS
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_key.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.by_key.entry(key).or_default()
    }
}

impl Key {
    fn of(request: &Request) -> Self {
        Self {
            partition: request.client.network_partition_key.clone(),
            origin: request.serialize_origin(),
            url: request.current_url().clone(),
        }
    }
}
