//! [HTTP Strict Transport Security](https://www.rfc-editor.org/rfc/rfc6797): learns HSTS hosts, upgrades requests to them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::STRICT_TRANSPORT_SECURITY};
use sendbeacon_cookies::site::registrable_domain;
use url::{Host, Url};

use super::{secure_contexts::is_localhost, upgrade_insecure_requests::set_scheme_to_https};
use crate::host::{HstsEntry, HstsStore};

/// Main fetch, step 10: changes the scheme of an `http` URL to `https` if its host is a
/// [known HSTS host](https://www.rfc-editor.org/rfc/rfc6797#section-8.2).
///
/// `now` reads the clock. It is called only for an `http` URL with a domain. Returns whether the URL was upgraded.
pub(crate) fn upgrade(
    store: &dyn HstsStore,
    current_url: &mut Arc<Url>,
    now: impl FnOnce() -> SystemTime,
) -> bool {
    if current_url.scheme() != "http" {
        return false;
    }
    let Some(Host::Domain(domain)) = current_url.host() else { return false };
    let is_upgraded = !is_localhost(domain) && is_known(store, domain, now());
    if is_upgraded {
        set_scheme_to_https(Arc::make_mut(current_url));
    }
    is_upgraded
}

/// The longest name of DNS, in bytes.
const MAX_DOMAIN: usize = 253;

/// Whether `domain` has a congruent match, or a superdomain match that asserts `includeSubDomains`.
fn is_known(store: &dyn HstsStore, domain: &str, now: SystemTime) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    // NB: DNS has no longer names. The store is asked about each superdomain, and a long name may have thousands.
    if domain.len() > MAX_DOMAIN {
        return false;
    }
    let is_fresh = |entry: &HstsEntry| entry.expires > now;
    if store.get(domain).as_ref().is_some_and(is_fresh) {
        return true;
    }
    let mut superdomain = domain;
    while let Some((_, parent)) = superdomain.split_once('.') {
        superdomain = parent;
        let entry = store.get(superdomain);
        if entry.is_some_and(|entry| entry.include_subdomains && is_fresh(&entry)) {
            return true;
        }
    }
    false
}

/// Processes a [`Strict-Transport-Security`](https://www.rfc-editor.org/rfc/rfc6797#section-8.1) header that `url`'s
/// host sent over a secure transport.
///
/// Only the first header counts. It is ignored if it does not parse.
pub(crate) fn learn(store: &dyn HstsStore, url: &Url, headers: &HeaderMap, now: SystemTime) {
    let Some(Host::Domain(domain)) = url.host() else { return };
    let Some(value) = headers.get(STRICT_TRANSPORT_SECURITY) else { return };
    let Some((max_age, include_subdomains)) = value.to_str().ok().and_then(parse) else { return };
    let expires = now + Duration::from_secs(max_age.min(MAX_MAX_AGE));
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let entry = (max_age > 0).then_some(HstsEntry { expires, include_subdomains });
    store.set(domain, entry);
}

/// Parses the directives [`max-age` and `includeSubDomains`](https://www.rfc-editor.org/rfc/rfc6797#section-6.1) of a
/// header's value.
///
/// Returns `None` if `max-age` is missing, or if one of the two is malformed or appears twice. `max-age` is in seconds.
fn parse(value: &str) -> Option<(u64, bool)> {
    let mut max_age = None;
    let mut include_subdomains = None;
    for directive in split_outside_quotes(value) {
        let (name, argument) = match directive.split_once('=') {
            Some((name, argument)) => (name.trim_end(), Some(argument.trim_start())),
            None => (directive, None),
        };
        if name.eq_ignore_ascii_case("max-age") {
            let digits = argument?;
            let digits =
                digits.strip_prefix('"').map_or(Some(digits), |quoted| quoted.strip_suffix('"'))?;
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            set_once(&mut max_age, digits.parse().unwrap_or(u64::MAX))?;
        } else if name.eq_ignore_ascii_case("includeSubDomains") {
            if argument.is_some() {
                return None;
            }
            set_once(&mut include_subdomains, true)?;
        }
    }
    Some((max_age?, include_subdomains.unwrap_or(false)))
}

/// Fills an empty slot. `None` if the slot is full already.
fn set_once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// The non-empty directives of a value: it is split at each semicolon that is not in a quoted string.
fn split_outside_quotes(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    value
        .split(move |c| {
            is_quoted ^= c == '"';
            c == ';' && !is_quoted
        })
        .map(|directive| directive.trim_matches([' ', '\t']))
        .filter(|directive| !directive.is_empty())
}

/// The default [`HstsStore`]: keeps at most 10,000 sites, and at most 100 hosts of each site, in memory.
///
/// A full store forgets the site or host that expires first. Hosts of one site never push out another site. Only the
/// owner of more than 10,000 registrable domains could push out the sites of others.
#[derive(Debug, Default)]
pub struct MemoryHstsStore(Mutex<Sites>);

#[derive(Debug, Default)]
struct Sites {
    hosts: HashMap<Arc<str>, HostsOfSite>,
    /// The sites by the time when their last host expires, so that a full store finds the first at once.
    by_expiry: BTreeSet<(SystemTime, Arc<str>)>,
}

type HostsOfSite = HashMap<Box<str>, HstsEntry>;

const MAX_SITES: usize = 10_000;
const MAX_HOSTS_OF_SITE: usize = 100;
/// In seconds: one year, which is also Chromium's limit.
const MAX_MAX_AGE: u64 = 365 * 24 * 60 * 60;

/// The registrable domain, or the domain itself if it has none.
fn site(domain: &str) -> &str {
    registrable_domain(&Host::Domain(domain)).unwrap_or(domain)
}

/// When the last of a site's hosts expires. `None` if there is no host.
fn last_expiry(hosts: &HostsOfSite) -> Option<SystemTime> {
    hosts.values().map(|entry| entry.expires).max()
}

impl HstsStore for MemoryHstsStore {
    fn get(&self, domain: &str) -> Option<HstsEntry> {
        let sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sites.hosts.get(site(domain))?.get(domain).copied()
    }

    fn set(&self, domain: &str, entry: Option<HstsEntry>) {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sites.set(site(domain), domain, entry);
    }
}

impl Sites {
    fn set(&mut self, site: &str, domain: &str, entry: Option<HstsEntry>) {
        // The site is taken out and put back, with its place among the others.
        let (site, mut hosts) = match self.hosts.remove_entry(site) {
            Some((site, hosts)) => {
                if let Some(last) = last_expiry(&hosts) {
                    self.by_expiry.remove(&(last, Arc::clone(&site)));
                }
                (site, hosts)
            }
            None => (site.into(), HostsOfSite::new()),
        };
        match entry {
            None => drop(hosts.remove(domain)),
            Some(entry) => {
                if hosts.len() >= MAX_HOSTS_OF_SITE && !hosts.contains_key(domain) {
                    let soonest = hosts.iter().min_by_key(|(_, entry)| entry.expires);
                    if let Some(soonest) = soonest.map(|(domain, _)| domain.clone()) {
                        hosts.remove(&soonest);
                    }
                }
                hosts.insert(domain.into(), entry);
            }
        }
        let Some(last) = last_expiry(&hosts) else { return };
        if self.hosts.len() >= MAX_SITES
            && let Some((_, soonest)) = self.by_expiry.pop_first()
        {
            self.hosts.remove(&soonest);
        }
        self.by_expiry.insert((last, Arc::clone(&site)));
        self.hosts.insert(site, hosts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_parse_by_the_grammar() {
        for (value, expected) in [
            ("max-age=10", Some((10, false))),
            ("max-age=\"10\" ; includeSubDomains", Some((10, true))),
            ("INCLUDESUBDOMAINS;Max-Age = 0;;", Some((0, true))),
            ("max-age=99999999999999999999999", Some((u64::MAX, false))),
            ("max-age=1; preload; x=\"a;max-age=2\"", Some((1, false))),
            ("max-age=1; max-age=2", None),
            ("max-age=1; includeSubDomains=1", None),
            ("includeSubDomains", None),
            ("max-age=", None),
            ("max-age=-1", None),
            ("max-age=\"1", None),
            ("max-age=1x", None),
            ("", None),
        ] {
            assert_eq!(parse(value), expected, "{value:?}");
        }
    }

    /// A store that nobody may ask.
    struct Unasked;

    impl HstsStore for Unasked {
        fn get(&self, domain: &str) -> Option<HstsEntry> {
            panic!("{domain}")
        }

        fn set(&self, _: &str, _: Option<HstsEntry>) {}
    }

    #[test]
    fn a_name_that_dns_cannot_have_is_not_looked_up() {
        let url = Url::parse(&format!("http://{}b.test/", "a.".repeat(16_000)));
        let mut url = url.unwrap().into();
        assert!(!upgrade(&Unasked, &mut url, SystemTime::now));
    }

    fn learnt(url: &str, value: &'static str) -> (MemoryHstsStore, SystemTime) {
        let (store, now) = (MemoryHstsStore::default(), SystemTime::now());
        teach(&store, url, value, now);
        (store, now)
    }

    fn teach(store: &MemoryHstsStore, url: &str, value: &'static str, now: SystemTime) {
        let mut headers = HeaderMap::new();
        headers.insert(STRICT_TRANSPORT_SECURITY, http::HeaderValue::from_static(value));
        learn(store, &Url::parse(url).unwrap(), &headers, now);
    }

    fn upgraded(store: &MemoryHstsStore, url: &str, now: SystemTime) -> String {
        let mut url = Url::parse(url).unwrap().into();
        upgrade(store, &mut url, || now);
        Arc::unwrap_or_clone(url).into()
    }

    #[test]
    fn a_subdomain_is_upgraded_only_if_its_superdomain_includes_it() {
        let (store, now) = learnt("https://a.test/", "max-age=10; includeSubDomains");
        teach(&store, "https://b.test/", "max-age=10", now);
        assert_eq!(upgraded(&store, "http://x.y.a.test:8000/", now), "https://x.y.a.test:8000/");
        assert_eq!(upgraded(&store, "http://a.test./p", now), "https://a.test./p");
        assert_eq!(upgraded(&store, "http://b.test/", now), "https://b.test/");
        assert_eq!(upgraded(&store, "http://x.b.test/", now), "http://x.b.test/");
        assert_eq!(upgraded(&store, "http://ba.test/", now), "http://ba.test/");
    }

    #[test]
    fn an_entry_expires_and_max_age_0_removes_it() {
        let (store, now) = learnt("https://a.test/", "max-age=10");
        let later = now + Duration::from_secs(10);
        assert_eq!(upgraded(&store, "http://a.test/", later), "http://a.test/");
        teach(&store, "https://a.test/", "max-age=0", now);
        assert_eq!(upgraded(&store, "http://a.test/", now), "http://a.test/");
    }

    #[test]
    fn addresses_and_localhost_are_never_upgraded() {
        let (store, now) = learnt("https://localhost/", "max-age=10; includeSubDomains");
        teach(&store, "https://127.0.0.1/", "max-age=10", now);
        for url in ["http://localhost/", "http://x.localhost/", "http://127.0.0.1/"] {
            assert_eq!(upgraded(&store, url, now), url);
        }
    }

    #[test]
    fn hosts_of_one_site_do_not_push_out_another_site() {
        let store = MemoryHstsStore::default();
        let now = SystemTime::now();
        let entry = |seconds| {
            let expires = now + Duration::from_secs(seconds);
            Some(HstsEntry { expires, include_subdomains: false })
        };
        store.set("bank.test", entry(1));
        for n in 0..20_000 {
            store.set(&format!("{n}.evil.test"), entry(1_000 + n));
        }
        assert!(store.get("bank.test").is_some());
        assert!(store.get("0.evil.test").is_none() && store.get("19999.evil.test").is_some());
        for n in 0..MAX_SITES as u64 {
            store.set(&format!("{n}.test"), entry(1_000));
        }
        let sites = store.0.lock().unwrap();
        assert_eq!((sites.hosts.len(), sites.by_expiry.len()), (MAX_SITES, MAX_SITES));
    }

    #[test]
    fn a_site_without_hosts_is_forgotten_and_a_full_store_forgets_the_first_to_expire() {
        let store = MemoryHstsStore::default();
        let now = SystemTime::now();
        let entry = |seconds| Some(HstsEntry::new(now + Duration::from_secs(seconds), false));
        store.set("a.test", entry(1));
        store.set("x.a.test", entry(2));
        store.set("a.test", None);
        assert!(store.get("a.test").is_none() && store.get("x.a.test").is_some());
        store.set("x.a.test", None);
        assert!(store.0.lock().unwrap().by_expiry.is_empty());
        for n in 0..MAX_SITES as u64 {
            store.set(&format!("{n}.test"), entry(1_000 + n));
        }
        // The site that would expire first is renewed, so the next one is forgotten.
        store.set("0.test", entry(1_000_000));
        store.set("new.test", entry(5_000));
        assert!(store.get("0.test").is_some() && store.get("1.test").is_none());
        assert!(store.get("2.test").is_some() && store.get("new.test").is_some());
    }
}
