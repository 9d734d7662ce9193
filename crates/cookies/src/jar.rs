//! The [cookie store](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-and-limits).

use std::fmt;

use crate::{
    ClearContext, Cookie, InvalidLimits, Limits,
    remembered::RememberedHeaders,
    section::{Place, Section},
    site::site_host,
};

/// The key under which the section of unpartitioned cookies has them.
pub(crate) const UNPARTITIONED: &str = "";

/// A jar of cookies, kept in memory: the cookies of one profile.
///
/// See the [crate] for an overview and an example. The jar is `Send` and `Sync`. Its methods take
/// `&mut self`, so threads that share a jar need a lock.
pub struct CookieJar {
    pub(crate) limits: Limits,
    pub(crate) unpartitioned: Section,
    /// The partitioned cookies by their cookie partition key. Each cookie shares the key's text.
    pub(crate) partitioned: Section,
    /// The [`Cookie::sequence`] of the next cookie that replaces no other.
    pub(crate) next_sequence: u64,
    /// The latest headers, for requests like those that got them.
    pub(crate) remembered: RememberedHeaders,
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
        let partition = context.partition.map(|key| (&mut self.partitioned, key));
        let unpartitioned = context.unpartitioned_allowed.then_some(());
        let unpartitioned = unpartitioned.map(|()| (&mut self.unpartitioned, UNPARTITIONED));
        let sections = partition.into_iter().chain(unpartitioned);
        let removed = sections.map(|(section, key)| {
            let place = Place { partition: section.key(key), site: site.clone() };
            section.change(&place, std::mem::take).len()
        });
        removed.sum()
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
        self.partitioned.iter().chain(self.unpartitioned.iter())
    }

    /// The number of cookies that [`iter`](Self::iter) returns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitioned.len() + self.unpartitioned.len()
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
            unpartitioned: Section::default(),
            partitioned: Section::default(),
            next_sequence: 0,
            remembered: RememberedHeaders::default(),
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
