//! What the algorithms have to know of a request, response or script.

use url::{Host, Url};

/// The circumstances in which a cookie is to be [stored](crate::CookieJar::store).
#[derive(Clone, Debug)]
pub struct StoreContext<'a> {
    /// The host of the URL, as the URL parser leaves it: lower case, ASCII.
    pub host: Host<&'a str>,
    /// The serialized path of the URL.
    pub path: &'a str,
    /// Whether the scheme of the URL is `https`.
    pub is_secure: bool,
    /// True for `Set-Cookie`, false for script.
    pub http_only_allowed: bool,
    /// Whether the same-site mode of the request is "strict-or-less".
    pub same_site_strict_or_lax_allowed: bool,
    /// The cookie partition key: the top-level site and whether there is a cross-site ancestor, in a
    /// form of the caller's choice. It is compared byte for byte, and kept with each cookie.
    pub partition: Option<&'a str>,
    /// False where third-party cookies are blocked: then only partitioned cookies are stored.
    pub unpartitioned_allowed: bool,
}

impl<'a> StoreContext<'a> {
    /// A `Set-Cookie` header in a cross-site response from `url`, without a partition; `None` if the
    /// URL has no host.
    #[must_use]
    pub fn for_url(url: &'a Url) -> Option<Self> {
        Some(Self {
            host: url.host()?,
            path: url.path(),
            is_secure: url.scheme() == "https",
            http_only_allowed: true,
            same_site_strict_or_lax_allowed: false,
            partition: None,
            unpartitioned_allowed: true,
        })
    }
}

/// The circumstances in which cookies are [retrieved](crate::CookieJar::retrieve).
#[derive(Clone, Debug)]
pub struct RetrieveContext<'a> {
    /// The host of the URL, as the URL parser leaves it: lower case, ASCII.
    pub host: Host<&'a str>,
    /// The serialized path of the URL.
    pub path: &'a str,
    /// Whether the scheme of the URL is `https`.
    pub is_secure: bool,
    /// True for `Cookie`, false for script.
    pub http_only_allowed: bool,
    /// The [same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
    pub same_site: SameSiteMode,
    /// The cookie partition key, as in [`StoreContext::partition`].
    pub partition: Option<&'a str>,
    /// False where third-party cookies are blocked: then only partitioned cookies are sent.
    pub unpartitioned_allowed: bool,
}

impl<'a> RetrieveContext<'a> {
    /// A `Cookie` header for a cross-site request to `url`, without a partition; `None` if the URL
    /// has no host.
    #[must_use]
    pub fn for_url(url: &'a Url) -> Option<Self> {
        Some(Self {
            host: url.host()?,
            path: url.path(),
            is_secure: url.scheme() == "https",
            http_only_allowed: true,
            same_site: SameSiteMode::UnsetOrLess,
            partition: None,
            unpartitioned_allowed: true,
        })
    }
}

/// Which cookies the relation between a request and its initiator allows; see
/// [determine the same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SameSiteMode {
    /// A same-site request: all cookies.
    StrictOrLess,
    /// A cross-site navigation with GET: all but `SameSite=Strict`.
    LaxOrLess,
    /// Any other cross-site request: `SameSite=None` only, since a cookie without the attribute is
    /// enforced as `Lax`.
    UnsetOrLess,
}

/// Whose cookies are to be [cleared](crate::CookieJar::clear).
#[derive(Clone, Debug)]
pub struct ClearContext<'a> {
    /// The host whose site loses its cookies.
    pub host: Host<&'a str>,
    /// The partition in which it loses its partitioned cookies. Those in other partitions stay, for
    /// otherwise a site could use their loss to recognise a user elsewhere.
    pub partition: Option<&'a str>,
    /// Whether it loses its unpartitioned cookies too: false where they are out of its reach.
    pub unpartitioned_allowed: bool,
}
