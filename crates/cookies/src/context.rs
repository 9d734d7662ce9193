//! What the algorithms have to know about a request, a response or a script.

use url::{Host, Url};

use crate::SameSiteMode;

/// The circumstances in which a cookie is [stored](crate::CookieJar::store) or cookies are
/// [retrieved](crate::CookieJar::retrieve).
///
/// ```
/// use sendbeacon_cookies::{AccessContext, SameSiteMode};
/// use url::Url;
///
/// let url = Url::parse("https://shop.example/cart")?;
/// // A script in a document that has no cross-site ancestor.
/// let context = AccessContext::for_url(&url)
///     .expect("an https URL has a host")
///     .with_http_only_allowed(false)
///     .with_same_site(SameSiteMode::StrictOrLess);
/// assert!(context.is_secure);
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessContext<'a> {
    /// The host of the URL, as the URL parser returns it: in lower case and ASCII.
    pub host: Host<&'a str>,
    /// The serialized path of the URL.
    pub path: &'a str,
    /// Whether the scheme of the URL is `https`.
    pub is_secure: bool,
    /// Whether `HttpOnly` cookies take part: true for `Set-Cookie` and `Cookie`, false for script.
    /// Default: true.
    pub http_only_allowed: bool,
    /// The same-site mode of the request. Default: `UnsetOrLess`.
    pub same_site: SameSiteMode,
    /// The cookie partition key: the top-level site, and whether there is a cross-site ancestor. The
    /// caller chooses the form. The jar compares it byte for byte, and keeps it with each partitioned
    /// cookie. Default: `None`, in which case no partitioned cookies are stored or retrieved.
    pub partition: Option<&'a str>,
    /// Whether unpartitioned cookies take part: false where third-party cookies are blocked.
    /// Default: true.
    pub unpartitioned_allowed: bool,
}

impl<'a> AccessContext<'a> {
    /// A cross-site request to `url`, or its response, without a partition; `None` if the URL has no
    /// host.
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

    /// Sets [`http_only_allowed`](Self::http_only_allowed).
    #[must_use]
    pub fn with_http_only_allowed(self, http_only_allowed: bool) -> Self {
        Self { http_only_allowed, ..self }
    }

    /// Sets [`same_site`](Self::same_site).
    #[must_use]
    pub fn with_same_site(self, same_site: SameSiteMode) -> Self {
        Self { same_site, ..self }
    }

    /// Sets [`partition`](Self::partition).
    #[must_use]
    pub fn with_partition(self, partition: Option<&'a str>) -> Self {
        Self { partition, ..self }
    }

    /// Sets [`unpartitioned_allowed`](Self::unpartitioned_allowed).
    #[must_use]
    pub fn with_unpartitioned_allowed(self, unpartitioned_allowed: bool) -> Self {
        Self { unpartitioned_allowed, ..self }
    }
}

/// The cookies that a site [clears](crate::CookieJar::clear).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClearContext<'a> {
    /// A host of the site.
    pub host: Host<&'a str>,
    /// The cookie partition key in which the site loses its partitioned cookies, as in
    /// [`AccessContext::partition`]. Those in other partitions stay. Otherwise the site could use their
    /// loss to recognise a user elsewhere. Default: `None`.
    pub partition: Option<&'a str>,
    /// Whether the site loses its unpartitioned cookies too: false where it has no access to them.
    /// Default: true.
    pub unpartitioned_allowed: bool,
}

impl<'a> ClearContext<'a> {
    /// The unpartitioned cookies of the site that `host` is in.
    #[must_use]
    pub fn new(host: Host<&'a str>) -> Self {
        Self { host, partition: None, unpartitioned_allowed: true }
    }

    /// Sets [`partition`](Self::partition).
    #[must_use]
    pub fn with_partition(self, partition: Option<&'a str>) -> Self {
        Self { partition, ..self }
    }

    /// Sets [`unpartitioned_allowed`](Self::unpartitioned_allowed).
    #[must_use]
    pub fn with_unpartitioned_allowed(self, unpartitioned_allowed: bool) -> Self {
        Self { unpartitioned_allowed, ..self }
    }
}
