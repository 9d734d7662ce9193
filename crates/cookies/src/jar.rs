//! The [cookie store](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-and-limits).

use std::{collections::BTreeMap, fmt, sync::Arc};

use url::Host;

use crate::{ClearContext, Cookie, InvalidLimits, Limits, site::site_host};

/// The cookies of one partition, or the unpartitioned cookies, by the host of their [site](site_host).
pub(crate) type Sites = BTreeMap<Host, Vec<Cookie>>;

/// A jar of cookies, kept in memory: the cookies of one profile.
///
/// See the [crate] for an overview and an example. The jar is `Send` and `Sync`. Its methods take
/// `&mut self`, so threads that share a jar need a lock.
pub struct CookieJar {
    pub(crate) limits: Limits,
    pub(crate) unpartitioned: Sites,
    /// The partitioned cookies by their cookie partition key. Each cookie shares the key's text.
    pub(crate) partitioned: BTreeMap<Arc<str>, Sites>,
    /// The [`Cookie::sequence`] of the next cookie that replaces no other.
    pub(crate) next_sequence: u64,
}

impl CookieJar {
    /// Creates an empty jar.
    ///
    /// # Errors
    /// A limit is out of its bounds.
    pub fn new(limits: Limits) -> Result<Self, InvalidLimits> {
        limits.check()?;
        Ok(Self { limits, ..Self::default() })
    }

    /// Removes the cookies that a site has stored, and returns their number:
    /// [clear cookies](https://w3c.github.io/webappsec-clear-site-data/#clear-cookies) for
    /// `Clear-Site-Data`, restricted to one partition as CHIPS asks.
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

    /// Removes the cookies that have no expiry-time. Call this when the session is over.
    pub fn end_session(&mut self) {
        self.retain(|cookie| cookie.expiry_time.is_some());
    }

    /// Iterates over all cookies in unspecified order. The jar keeps an expired cookie until the next
    /// [`store`](Self::store), so the iterator may return it.
    pub fn iter(&self) -> impl Iterator<Item = &Cookie> {
        self.partitioned.values().chain([&self.unpartitioned]).flat_map(Sites::values).flatten()
    }

    /// The number of cookies that [`iter`](Self::iter) returns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether [`len`](Self::len) is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An empty jar with the default limits.
impl Default for CookieJar {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            unpartitioned: Sites::new(),
            partitioned: BTreeMap::new(),
            next_sequence: 0,
        }
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
