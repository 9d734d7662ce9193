//! [Cookie store eviction](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-eviction).

use std::time::SystemTime;

use url::Host;

use crate::{Cookie, CookieJar, jar::Sites};

impl CookieJar {
    /// [Garbage collect cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-garbage-collect-cookies).
    // NB: a list of what was removed is of use to a cookie change event only; there is none here.
    pub(crate) fn garbage_collect(
        &mut self,
        site: &Host,
        partition: Option<&str>,
        now: SystemTime,
    ) {
        // Step 1.
        self.remove_expired_cookies(now);
        // Step 2.
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
        self.retain(|cookie| !cookie.is_expired(now));
    }

    /// Keeps the cookies that `keep` says yes to.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Cookie) -> bool) {
        for sites in self.partitioned.values_mut().chain([&mut self.unpartitioned]) {
            for cookies in sites.values_mut() {
                cookies.retain(&mut keep);
            }
        }
        self.forget_empty();
    }

    /// Drops sites and partitions without cookies.
    pub(crate) fn forget_empty(&mut self) {
        self.unpartitioned.retain(|_, cookies| !cookies.is_empty());
        self.partitioned.retain(|_, sites| {
            sites.retain(|_, cookies| !cookies.is_empty());
            !sites.is_empty()
        });
    }
}

/// [Remove excess cookies for a host](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-remove-excess-cookies-for-a),
/// that is, for a site: the insecure ones first, and those first that were used longest ago.
fn remove_excess_cookies(cookies: &mut Vec<Cookie>, max_count: usize, max_bytes: usize) {
    let mut bytes: usize = cookies.iter().map(Cookie::size).sum();
    while cookies.len() > max_count || bytes > max_bytes {
        let first = (0..cookies.len()).min_by_key(|&index| {
            let cookie = &cookies[index];
            (cookie.secure, cookie.last_access_time, cookie.sequence)
        });
        let Some(first) = first else { return };
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
    while count > max_count {
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
        lists[list].remove(index);
        count -= 1;
    }
}
