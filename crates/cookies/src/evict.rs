//! Eviction of cookies: [cookie store eviction](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-eviction).

use std::time::SystemTime;

use url::Host;

use crate::{
    Cookie, CookieJar,
    jar::UNPARTITIONED,
    section::{Place, Section},
};

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
        let place =
            |section: &Section, key| Place { partition: section.key(key), site: site.clone() };
        let unpartitioned = place(&self.unpartitioned, UNPARTITIONED);
        self.unpartitioned.change(&unpartitioned, |cookies| {
            remove_excess_cookies(cookies, limits.cookies_per_site, usize::MAX);
        });
        if let Some(key) = partition {
            let partitioned = place(&self.partitioned, key);
            self.partitioned.change(&partitioned, |cookies| {
                remove_excess_cookies(
                    cookies,
                    limits.partitioned_cookies_per_site,
                    limits.partitioned_bytes_per_site,
                );
            });
        }
        // Step 3.
        remove_global_excess_cookies(&mut self.unpartitioned, limits.cookies);
        remove_global_excess_cookies(&mut self.partitioned, limits.partitioned_cookies);
    }

    /// [Remove expired cookies](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-remove-expired-cookies).
    pub(crate) fn remove_expired_cookies(&mut self, now: SystemTime) {
        // Steps 1, 2 and 2.1.
        self.unpartitioned.remove_expired(now);
        self.partitioned.remove_expired(now);
    }

    /// Keeps only the cookies for which `keep` returns true.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Cookie) -> bool) {
        self.unpartitioned.retain(&keep);
        self.partitioned.retain(&keep);
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
fn remove_global_excess_cookies(section: &mut Section, max_count: usize) {
    // Step 3.
    while section.len() > max_count {
        // Steps 1 and 3.1 to 3.3.
        section.remove_least_recently_used();
    }
}
