//! The [cookie store](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-and-limits)
//! and its limits.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use url::Host;

use crate::{ClearContext, Cookie, site::site_host};

/// The cookies of one partition by [site](site_host).
pub(crate) type Sites = BTreeMap<Host, Vec<Cookie>>;

/// A jar of cookies, kept in memory: the cookies of one profile.
///
/// See the [crate] for what it does and an example. It is `Send` and `Sync`; who shares it locks it.
pub struct CookieJar {
    pub(crate) limits: Limits,
    pub(crate) unpartitioned: Sites,
    pub(crate) partitioned: BTreeMap<Arc<str>, Sites>,
    pub(crate) next_sequence: u64,
}

impl CookieJar {
    /// An empty jar.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, unpartitioned: Sites::new(), partitioned: BTreeMap::new(), next_sequence: 0 }
    }

    /// Removes what a site has stored, and returns how many cookies that were:
    /// [clear cookies](https://w3c.github.io/webappsec-clear-site-data/#clear-cookies) for
    /// `Clear-Site-Data`, with the restriction to one partition that CHIPS asks for.
    pub fn clear(&mut self, context: &ClearContext<'_>) -> usize {
        let site = site_host(&context.host).to_owned();
        let mut removed = Vec::new();
        if context.unpartitioned_allowed {
            removed.extend(self.unpartitioned.remove(&site));
        }
        if let Some(sites) = context.partition.and_then(|key| self.partitioned.get_mut(key)) {
            removed.extend(sites.remove(&site));
        }
        self.forget_empty();
        removed.iter().map(Vec::len).sum()
    }

    /// Removes all cookies.
    pub fn clear_all(&mut self) {
        self.retain(|_| false);
    }

    /// Removes the cookies without an expiry-time, as is due when the session is over.
    pub fn end_session(&mut self) {
        self.retain(|cookie| cookie.expiry_time.is_some());
    }

    /// All cookies, in no order of use; among them may be such as have expired since the last one
    /// was stored.
    pub fn iter(&self) -> impl Iterator<Item = &Cookie> {
        self.partitioned.values().chain([&self.unpartitioned]).flat_map(Sites::values).flatten()
    }

    /// The number of cookies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are no cookies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for CookieJar {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar")
            .field("limits", &self.limits)
            .field("cookies", &self.len())
            .finish_non_exhaustive()
    }
}

/// How much a [`CookieJar`] keeps. A site is a registrable domain, or a host that has none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Unpartitioned cookies of one site; 180, as in Chromium and Firefox.
    pub cookies_per_site: usize,
    /// Unpartitioned cookies of all sites; 3300, as in Chromium.
    pub cookies: usize,
    /// Cookies of one site in one partition; 180.
    pub partitioned_cookies_per_site: usize,
    /// Bytes of the names and values of one site's cookies in one partition; 10 KiB, as CHIPS
    /// suggests.
    pub partitioned_bytes_per_site: usize,
    /// Partitioned cookies of all sites in all partitions; 3300.
    pub partitioned_cookies: usize,
    /// For how long a cookie is kept at most, the "cookie age limit"; 400 days.
    pub max_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cookies_per_site: 180,
            cookies: 3300,
            partitioned_cookies_per_site: 180,
            partitioned_bytes_per_site: 10 * 1024,
            partitioned_cookies: 3300,
            max_age: Duration::from_secs(400 * 24 * 60 * 60),
        }
    }
}
