//! The [cookie struct](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-struct).

use std::{fmt, sync::Arc, time::SystemTime};

use url::Host;

/// A [cookie](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-struct)
/// in a jar.
///
/// Its value is a secret, so `Debug` shows only the length of the value.
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
    /// Orders cookies that have the same creation-time, as the cookies of one response do. A cookie
    /// that replaces another takes over its number, as it takes over its creation-time.
    pub(crate) sequence: u64,
}

impl Cookie {
    /// The name; empty for a nameless cookie. It has no control characters except tabs.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The value. It has no control characters except tabs.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether the cookie is sent only over secure connections: it has the `Secure` attribute.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The domain in the `Domain` attribute. A [host-only](Self::host_only) cookie has the host that set
    /// the cookie instead.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether the cookie is sent only to its host, and not to the hosts below that host.
    #[must_use]
    pub fn host_only(&self) -> bool {
        self.host_only
    }

    /// The path. It begins with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of the `SameSite` attribute.
    #[must_use]
    pub fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// Whether the cookie is hidden from script: it has the `HttpOnly` attribute.
    #[must_use]
    pub fn http_only(&self) -> bool {
        self.http_only
    }

    /// The cookie partition key of a partitioned cookie; `None` for any other cookie.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        self.partition.as_deref()
    }

    /// The time at which the cookie was set. A cookie that replaces another keeps the older time.
    #[must_use]
    pub fn creation_time(&self) -> SystemTime {
        self.creation_time
    }

    /// The time at which the cookie expires; `None` for a cookie that ends with the session.
    #[must_use]
    pub fn expiry_time(&self) -> Option<SystemTime> {
        self.expiry_time
    }

    /// The time at which the cookie was last set or retrieved.
    #[must_use]
    pub fn last_access_time(&self) -> SystemTime {
        self.last_access_time
    }

    /// Whether the cookie is [expired](https://httpwg.org/http-extensions/draft-ietf-httpbis-layered-cookies.html#name-cookie-struct-miscellaneous).
    // NB: an expiry-time that equals `now` counts as past. So `Max-Age=0` works even if the clock is
    // at the earliest representable time.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.expiry_time.is_some_and(|expiry_time| expiry_time <= now)
    }

    /// The number of bytes that count against the limit of a partition: those of name and value.
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

/// The value of the [`SameSite` attribute](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-the-samesite-attribute)
/// of a cookie.
///
/// [`SameSiteMode`](crate::SameSiteMode) has the table that says which cookies go with which request.
/// The enum is exhaustive, so that the compiler finds every place that has to handle a new value.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SameSite {
    /// The cookie is sent only with same-site requests.
    Strict,
    /// The cookie is sent with same-site requests, and with cross-site top-level navigations with GET.
    Lax,
    /// The attribute is missing or has an unknown value. The jar enforces it as `Lax`. The default.
    #[default]
    Unset,
    /// The cookie is sent with all requests.
    None,
}
