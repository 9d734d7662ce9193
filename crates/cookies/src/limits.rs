//! The limits of a jar.

use std::time::Duration;

use thiserror::Error;

/// The upper bound of the [cookie age limit](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-store-and-limits).
const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// How much a [`CookieJar`](crate::CookieJar) keeps.
///
/// A site is a registrable domain, or a host that has none. When a limit is exceeded, the jar drops the
/// least recently used cookies. If it is a limit of one site, the jar drops cookies without `Secure`
/// before cookies with it.
///
/// ```
/// use std::time::Duration;
/// use sendbeacon_cookies::{CookieJar, Limits};
///
/// let limits = Limits::default().with_cookies_per_site(50);
/// let jar = CookieJar::new(limits)?;
///
/// let two_years = Duration::from_secs(2 * 365 * 24 * 60 * 60);
/// assert!(CookieJar::new(limits.with_max_age(two_years)).is_err());
/// # Ok::<(), sendbeacon_cookies::InvalidLimits>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The number of unpartitioned cookies of one site. Default: 180, as in Chromium and Firefox.
    pub cookies_per_site: usize,
    /// The number of unpartitioned cookies of all sites. Default: 3300, as in Chromium.
    pub cookies: usize,
    /// The number of cookies of one site in one partition. Default: 180.
    pub partitioned_cookies_per_site: usize,
    /// The number of bytes in the names and values of one site's cookies in one partition.
    /// Default: 10,240, as CHIPS suggests.
    pub partitioned_bytes_per_site: usize,
    /// The number of partitioned cookies of all sites in all partitions. Default: 3300.
    pub partitioned_cookies: usize,
    /// The longest time for which a cookie is kept: the "cookie age limit", at most 400 days.
    /// Default: 400 days.
    pub max_age: Duration,
}

impl Limits {
    /// Sets [`cookies_per_site`](Self::cookies_per_site).
    #[must_use]
    pub fn with_cookies_per_site(self, cookies_per_site: usize) -> Self {
        Self { cookies_per_site, ..self }
    }

    /// Sets [`cookies`](Self::cookies).
    #[must_use]
    pub fn with_cookies(self, cookies: usize) -> Self {
        Self { cookies, ..self }
    }

    /// Sets [`partitioned_cookies_per_site`](Self::partitioned_cookies_per_site).
    #[must_use]
    pub fn with_partitioned_cookies_per_site(self, partitioned_cookies_per_site: usize) -> Self {
        Self { partitioned_cookies_per_site, ..self }
    }

    /// Sets [`partitioned_bytes_per_site`](Self::partitioned_bytes_per_site).
    #[must_use]
    pub fn with_partitioned_bytes_per_site(self, partitioned_bytes_per_site: usize) -> Self {
        Self { partitioned_bytes_per_site, ..self }
    }

    /// Sets [`partitioned_cookies`](Self::partitioned_cookies).
    #[must_use]
    pub fn with_partitioned_cookies(self, partitioned_cookies: usize) -> Self {
        Self { partitioned_cookies, ..self }
    }

    /// Sets [`max_age`](Self::max_age).
    #[must_use]
    pub fn with_max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidLimits> {
        if self.max_age > MAX_AGE { Err(InvalidLimits::MaxAge) } else { Ok(()) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cookies_per_site: 180,
            cookies: 3300,
            partitioned_cookies_per_site: 180,
            partitioned_bytes_per_site: 10 * 1024,
            partitioned_cookies: 3300,
            max_age: MAX_AGE,
        }
    }
}

/// Why a jar cannot have these [`Limits`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidLimits {
    /// [`max_age`](Limits::max_age) is over 400 days, the longest time that the drafts allow.
    #[error("set max_age to 400 days or less")]
    MaxAge,
}
