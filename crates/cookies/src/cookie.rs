//! The [cookie struct](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-struct).

use std::{fmt, sync::Arc, time::SystemTime};

use url::Host;

/// A [cookie](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-struct)
/// in a jar.
///
/// Its value is a secret, so `Debug` shows its length only.
#[derive(Clone, Eq, PartialEq)]
pub struct Cookie {
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) host_only: bool,
    pub(crate) path: Box<str>,
    pub(crate) same_site: SameSite,
    pub(crate) http_only: bool,
    pub(crate) partition: Option<Arc<str>>,
    pub(crate) creation_time: SystemTime,
    pub(crate) expiry_time: Option<SystemTime>,
    pub(crate) last_access_time: SystemTime,
    /// Decides between cookies of one creation time: those of one response mostly have the same.
    pub(crate) sequence: u64,
}

impl Cookie {
    /// The name; empty for a nameless cookie. No control characters but tabs within.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The value. No control characters but tabs within.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether it is sent over secure connections only.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The host that set it or, unless it is [host-only](Self::host_only), the domain it is for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether it is sent to its host only, and not to the hosts below.
    #[must_use]
    pub fn host_only(&self) -> bool {
        self.host_only
    }

    /// The path, which begins with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What its `SameSite` attribute says.
    #[must_use]
    pub fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// Whether it is hidden from script.
    #[must_use]
    pub fn http_only(&self) -> bool {
        self.http_only
    }

    /// The cookie partition key of a partitioned cookie.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        self.partition.as_deref()
    }

    /// When it was first set.
    #[must_use]
    pub fn creation_time(&self) -> SystemTime {
        self.creation_time
    }

    /// When it expires; `None` at the end of the session.
    #[must_use]
    pub fn expiry_time(&self) -> Option<SystemTime> {
        self.expiry_time
    }

    /// When it was last set or retrieved.
    #[must_use]
    pub fn last_access_time(&self) -> SystemTime {
        self.last_access_time
    }

    /// Whether it is [expired](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-struct-miscellaneous).
    // NB: an expiry-time that is now counts as past, so that `Max-Age=0` works on a clock that
    // stands at the earliest time.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.expiry_time.is_some_and(|expiry_time| expiry_time <= now)
    }

    /// The bytes that CHIPS counts against the limit of a partition.
    pub(crate) fn size(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &String::from_utf8_lossy(&self.name))
            .field("value", &format_args!("({} bytes)", self.value.len()))
            .field("secure", &self.secure)
            .field("host", &self.host)
            .field("host_only", &self.host_only)
            .field("path", &self.path)
            .field("same_site", &self.same_site)
            .field("http_only", &self.http_only)
            .field("partition", &self.partition)
            .field("expiry_time", &self.expiry_time)
            .finish_non_exhaustive()
    }
}

/// What the [`SameSite` attribute](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-the-samesite-attribute)
/// of a cookie says.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SameSite {
    /// Sent with same-site requests only.
    Strict,
    /// Sent with same-site requests and cross-site navigations.
    Lax,
    /// There is no such attribute, or one with an unknown value: enforced as `Lax`.
    #[default]
    Unset,
    /// Sent with all requests.
    None,
}
