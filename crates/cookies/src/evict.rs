//! Eviction of cookies: [cookie store eviction](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-eviction).

use std::time::SystemTime;

use url::Host;

use crate::{Cookie, CookieJar, jar::Sites};

impl CookieJar {
    /// [Garbage collect cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-garbage-collect-cookies).
    // NB: the draft's algorithms return the removed cookies for a cookie change event. The jar has no
    // events, so these functions return nothing.
    pub(crate) fn garbage_collect(
        &mut self,
        site: &Host,
        partition: Option<&str>,
        now: SystemTime,
    ) {
        // Step 1.
        self.remove_expired_cookies(now);
        // Step 2. NB: for the site, not for the host. Unpartitioned and partitioned cookies have limits of
        // their own.
        let limits = self.limits;
        if let Some(cookies) = self.unpartitioned.get_mut(site) {
            remove_excess_cookies(cookies, limits.cookies_per_site, usize::MAX);
        }
        let partitioned = partition.and_then(|partition| self.partitioned.get_mut(partition));
        if let Some(cookies) = partitioned.and_then(|sites| sites.get_mut(site)) {
            remove_excess_cookies(
                cookies,
                limits.partitioned_cookies_per_site,
                limits.partitioned_bytes_per_site,
            );
        }
        // Step 3.
        remove_global_excess_cookies([&mut self.unpartitioned], limits.cookies);
        remove_global_excess_cookies(self.partitioned.values_mut(), limits.partitioned_cookies);
        self.forget_empty();
    }

    /// [Remove expired cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-remove-expired-cookies).
    pub(crate) fn remove_expired_cookies(&mut self, now: SystemTime) {
        // Steps 1, 2 and 2.1.
        self.retain(|cookie| !cookie.is_expired(now));
    }

    /// Keeps only the cookies for which `keep` returns true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Cookie) -> bool) {
        for sites in self.partitioned.values_mut().chain([&mut self.unpartitioned]) {
            for cookies in sites.values_mut() {
                cookies.retain(&mut keep);
            }
        }
        self.forget_empty();
    }

    /// Removes the sites and partitions that have no cookies.
    pub(crate) fn forget_empty(&mut self) {
        self.unpartitioned.retain(|_, cookies| !cookies.is_empty());
        self.partitioned.retain(|_, sites| {
            sites.retain(|_, cookies| !cookies.is_empty());
            !sites.is_empty()
        });
    }
}

/// [Remove excess cookies for a host](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-remove-excess-cookies-for-a),
/// applied to a site. It removes insecure cookies before secure ones, and in each group the least
/// recently used cookies first.
fn remove_excess_cookies(cookies: &mut Vec<Cookie>, max_count: usize, max_bytes: usize) {
    let mut bytes: usize = cookies.iter().map(Cookie::size).sum();
    // Step 6.
    while cookies.len() > max_count || bytes > max_bytes {
        // Steps 1 to 4, 6.1, 6.1.1, 6.2 and 6.2.1: the least recently used cookie, one without `Secure`
        // before any with it.
        let first = (0..cookies.len()).min_by_key(|&index| {
            let cookie = &cookies[index];
            (cookie.secure, cookie.last_access_time, cookie.sequence)
        });
        let Some(first) = first else { return };
        // Steps 6.1.2, 6.1.3, 6.2.2 and 6.2.3.
        bytes -= cookies.remove(first).size();
    }
}

/// [Remove global excess cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-remove-global-excess-cookies).
fn remove_global_excess_cookies<'a>(
    stores: impl IntoIterator<Item = &'a mut Sites>,
    max_count: usize,
) {
    let mut lists: Vec<&mut Vec<Cookie>> = stores.into_iter().flat_map(Sites::values_mut).collect();
    let mut count: usize = lists.iter().map(|cookies| cookies.len()).sum();
    // Step 3.
    while count > max_count {
        // Steps 1 and 3.1.
        let first = lists
            .iter()
            .enumerate()
            .flat_map(|(list, cookies)| {
                cookies.iter().enumerate().map(move |(index, cookie)| {
                    (cookie.last_access_time, cookie.sequence, list, index)
                })
            })
            .min();
        let Some((_, _, list, index)) = first else { return };
        // Steps 3.2 and 3.3.
        lists[list].remove(index);
        count -= 1;
    }
}
