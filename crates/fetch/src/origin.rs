//! Origins, sites and network partition keys.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use http::HeaderValue;
use sendbeacon_cookies::site::{self, borrowed, registrable_domain};
use thiserror::Error;
use url::{Host, Url};

use crate::Nonce;

/// An [origin](https://html.spec.whatwg.org/multipage/browsers.html#concept-origin).
///
/// Unlike in `url::Origin`, an opaque origin is a value. It carries a [`Nonce`] from the embedder, so it equals
/// itself in another process.
///
/// ```
/// use sendbeacon_fetch::{Nonce, Origin};
///
/// let nonce = Nonce::random();
/// let page = Origin::of(&"https://a.test/page".parse()?, nonce);
/// assert!(page.is_same_origin_with_url(&"https://a.test:443/x".parse()?));
/// assert_eq!(page.serialize(), "https://a.test");
///
/// let data = Origin::of(&"data:,x".parse()?, nonce);
/// assert_eq!(data, Origin::Opaque(nonce));
/// assert_eq!(data.serialize(), "null");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "SerializedOrigin", try_from = "SerializedOrigin")
)]
pub enum Origin {
    /// A tuple origin: scheme, host and port (the scheme's default filled in).
    Tuple {
        /// Scheme, lower case.
        scheme: Arc<str>,
        /// Host.
        host: Host,
        /// Port; `None` for a scheme without ports, such as an engine's own scheme.
        port: Option<u16>,
    },
    /// An opaque origin, which is same origin only with itself.
    Opaque(Nonce),
}

impl Origin {
    /// The [origin of `url`](https://url.spec.whatwg.org/#concept-url-origin). If it is opaque (`data:`,
    /// `file:`, ...), it is `Opaque(nonce)`.
    #[must_use]
    pub fn of(url: &Url, nonce: Nonce) -> Self {
        match url.origin() {
            url::Origin::Tuple(scheme, host, port) => {
                Self::Tuple { scheme: scheme.into(), host, port: Some(port) }
            }
            url::Origin::Opaque(_) => Self::Opaque(nonce),
        }
    }

    /// The tuple origin of a scheme that the standards do not know, such as an engine's own
    /// (`tauri://localhost`). [`Origin::of`] calls the origin of such a URL opaque.
    ///
    /// A scheme of the standards without a port gets its default port.
    ///
    /// ```
    /// use sendbeacon_fetch::Origin;
    ///
    /// let origin = Origin::tuple("tauri", "localhost", None)?;
    /// assert_eq!(origin.to_string(), "tauri://localhost");
    /// assert!(origin.is_same_origin_with_url(&"tauri://localhost/x".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If `scheme` is not a lower-case URL scheme or `host` is not a host.
    pub fn tuple(scheme: &str, host: &str, port: Option<u16>) -> Result<Self, InvalidOrigin> {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
        let host = Host::parse(host)
            .ok()
            .filter(|_| is_scheme)
            .ok_or_else(|| InvalidOrigin { scheme: scheme.to_owned(), host: host.to_owned() })?;
        let default_port = || match scheme {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            "ftp" => Some(21),
            _ => None,
        };
        Ok(Self::Tuple { scheme: scheme.into(), host, port: port.or_else(default_port) })
    }

    /// Whether `url`'s origin is same origin with this one.
    ///
    /// Compares in place: no allocation.
    #[must_use]
    pub fn is_same_origin_with_url(&self, url: &Url) -> bool {
        match self {
            Self::Opaque(_) => false,
            Self::Tuple { scheme, host, port } => {
                **scheme == *url.scheme()
                    && *port == url.port_or_known_default()
                    && url.host().is_some_and(|other| other == borrowed(host))
            }
        }
    }

    /// Whether `url`'s origin is [same site](https://html.spec.whatwg.org/multipage/browsers.html#same-site)
    /// with this one.
    #[must_use]
    pub fn is_same_site_with_url(&self, url: &Url) -> bool {
        match self {
            Self::Opaque(_) => false,
            Self::Tuple { scheme, .. } => {
                **scheme == *url.scheme() && is_schemelessly_same_site(self, url)
            }
        }
    }

    pub(crate) fn is_https(&self) -> bool {
        matches!(self, Self::Tuple { scheme, .. } if **scheme == *"https")
    }

    /// The [ASCII serialisation](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin)
    /// as a header value: `null` for an opaque origin.
    #[must_use]
    pub fn serialize(&self) -> HeaderValue {
        if matches!(self, Self::Opaque(_)) {
            return HeaderValue::from_static("null");
        }
        // Room for most origins, so that the string does not grow.
        let mut serialized = String::with_capacity(64);
        let _ = write!(serialized, "{self}");
        // A serialised host is ASCII without controls, so this is always a header value.
        HeaderValue::try_from(serialized).unwrap_or(HeaderValue::from_static("null"))
    }
}

/// The scheme or the host given to [`Origin::tuple`] is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{scheme:?} is not a lower-case URL scheme, or {host:?} is not a host")]
#[non_exhaustive]
pub struct InvalidOrigin {
    /// The scheme.
    pub scheme: String,
    /// The host.
    pub host: String,
}

/// An [`Origin`] as it crosses a process boundary. The receiver checks it.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
enum SerializedOrigin {
    Tuple { scheme: Arc<str>, host: String, port: Option<u16> },
    Opaque(Nonce),
}

#[cfg(feature = "serde")]
impl From<Origin> for SerializedOrigin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Tuple { scheme, host, port } => {
                Self::Tuple { scheme, host: host.to_string(), port }
            }
            Origin::Opaque(nonce) => Self::Opaque(nonce),
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<SerializedOrigin> for Origin {
    type Error = String;

    fn try_from(origin: SerializedOrigin) -> Result<Self, String> {
        match origin {
            SerializedOrigin::Tuple { scheme, host: text, port } => {
                let origin =
                    Self::tuple(&scheme, &text, port).map_err(|error| error.to_string())?;
                // Accepts only the form that an origin is serialised to. A host with a slash in it would
                // look like another origin, and a sender does not leave out a default port.
                match &origin {
                    Self::Tuple { host, port: filled_in, .. }
                        if host.to_string() == text && *filled_in == port =>
                    {
                        Ok(origin)
                    }
                    _ => Err(format!("{scheme}://{text} is not what an origin is serialised to")),
                }
            }
            SerializedOrigin::Opaque(nonce) => Ok(Self::Opaque(nonce)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque(_) => f.write_str("null"),
            Self::Tuple { scheme, host, port } => {
                f.write_str(scheme)?;
                f.write_str("://")?;
                host.fmt(f)?;
                match (&**scheme, port) {
                    ("http", Some(80)) | ("https", Some(443)) | (_, None) => Ok(()),
                    (_, Some(port)) => write!(f, ":{port}"),
                }
            }
        }
    }
}

/// A [site](https://html.spec.whatwg.org/multipage/browsers.html#site): the scheme and registrable
/// domain of an origin, or an opaque origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Site {
    /// The scheme and the registrable domain. A host without a registrable domain stands for itself.
    Tuple {
        /// Scheme, lower case.
        scheme: Arc<str>,
        /// Registrable domain or host, serialised.
        host: Arc<str>,
    },
    /// The site of an opaque origin.
    Opaque(Nonce),
}

impl Site {
    /// [Obtain a site](https://html.spec.whatwg.org/multipage/browsers.html#obtain-a-site).
    #[must_use]
    pub fn of(origin: &Origin) -> Self {
        match origin {
            // Step 1.
            Origin::Opaque(nonce) => Self::Opaque(*nonce),
            // Step 2: no registrable domain, so the host itself; Step 3: the registrable domain.
            Origin::Tuple { scheme, host, .. } => Self::Tuple {
                scheme: scheme.clone(),
                host: registrable_domain(&borrowed(host))
                    .map_or_else(|| host.to_string().into(), Into::into),
            },
        }
    }

    /// Whether this is the site of `url`'s origin.
    ///
    /// Compares in place: no allocation.
    #[must_use]
    pub fn is_of_url(&self, url: &Url) -> bool {
        match self {
            Self::Opaque(_) => false,
            Self::Tuple { scheme, host } => {
                // NB: the end of the host is compared first, because a look-up in the list of suffixes takes longer.
                let may_be_of = |it: &&str| it.ends_with(&**host) && **scheme == *url.scheme();
                let Some(host_of_url) = url.host_str().filter(may_be_of) else { return false };
                let registrable = url.host().and_then(|it| registrable_domain(&it));
                registrable.unwrap_or(host_of_url) == &**host
            }
        }
    }
}

/// A [network partition key](https://fetch.spec.whatwg.org/#network-partition-key). Connections, the preflight
/// cache and other state by which a server could recognise a user are separate for each key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PartitionKey {
    /// The top-level site.
    pub top_level_site: Site,
    /// The standard's second key: any number by which the embedder partitions further. Default: `None`.
    pub second_key: Option<u128>,
}

/// Whether `url`'s origin is
/// [schemelessly same site](https://html.spec.whatwg.org/multipage/browsers.html#schemelessly-same-site)
/// with `origin`.
pub(crate) fn is_schemelessly_same_site(origin: &Origin, url: &Url) -> bool {
    match origin {
        Origin::Opaque(_) => false,
        Origin::Tuple { host, .. } => {
            url.host().is_some_and(|other| site::is_schemelessly_same_site(&borrowed(host), &other))
        }
    }
}

/// Whether two URLs' origins are same origin.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.port_or_known_default() == b.port_or_known_default()
        && matches!((a.host(), b.host()), (Some(a), Some(b)) if a == b)
}

/// Whether two URLs' origins are same site.
pub(crate) fn same_site(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host().zip(b.host()).is_some_and(|(a, b)| site::is_schemelessly_same_site(&a, &b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// URLs whose hosts often have the same ends.
    const URL: &str = r"https?://((a\.|ba?\.){0,3}(com|co\.uk|test)\.?|127\.0\.0\.[12]|\[::1\])";

    fn url(s: &str) -> Url {
        Url::parse(s).unwrap()
    }

    fn origin(s: &str) -> Origin {
        Origin::of(&url(s), Nonce::from_u128(7))
    }

    #[test]
    fn default_ports_are_not_serialised() {
        assert_eq!(origin("https://a.test:443/x").to_string(), "https://a.test");
        assert_eq!(origin("https://[::1]:8443/").to_string(), "https://[::1]:8443");
        assert_eq!(origin("data:,x").serialize(), "null");
    }

    proptest! {
        #[test]
        fn a_site_is_of_the_urls_whose_origins_have_it(
            urls in [URL, URL],
        ) {
            let sites = urls.each_ref().map(|it| Site::of(&origin(it)));
            prop_assert_eq!(sites[0].is_of_url(&url(&urls[1])), sites[0] == sites[1], "{:?}", urls);
        }
    }

    #[test]
    fn a_scheme_of_an_engine_may_have_a_tuple_origin() {
        let origin = Origin::tuple("tauri", "LocalHost", None).unwrap();
        assert_eq!(origin.serialize(), "tauri://localhost");
        assert!(origin.is_same_origin_with_url(&url("tauri://localhost/x")));
        assert!(!origin.is_same_origin_with_url(&url("tauri://localhost:1/x")));
        assert!(!origin.is_same_origin_with_url(&url("http://localhost/x")));
        assert!(origin.is_same_site_with_url(&url("tauri://localhost:1/x")));
        assert!(Site::of(&origin).is_of_url(&url("tauri://localhost/x")));
        let with_port = Origin::tuple("app", "main", Some(8080)).unwrap();
        assert_eq!(with_port.to_string(), "app://main:8080");
        assert_eq!(Origin::tuple("https", "a.test", None).unwrap().to_string(), "https://a.test");
    }

    #[test]
    fn an_invalid_scheme_or_host_makes_no_origin() {
        for (scheme, host) in
            [("", "a"), ("1a", "a"), ("A", "a"), ("a:", "a"), ("a", ""), ("a", "b/c")]
        {
            assert!(Origin::tuple(scheme, host, None).is_err(), "{scheme:?} {host:?}");
        }
    }

    #[test]
    fn an_opaque_origin_is_same_origin_with_no_url() {
        let opaque = origin("data:,x");
        assert!(!opaque.is_same_origin_with_url(&url("data:,x")));
        assert_eq!(opaque, Origin::Opaque(Nonce::from_u128(7)));
        assert_ne!(opaque, Origin::Opaque(Nonce::from_u128(8)));
    }

    #[test]
    fn site_is_schemeful_and_ignores_the_port() {
        let origin = origin("https://sub.a.test/");
        assert!(origin.is_same_site_with_url(&url("https://a.test:8443/")));
        assert!(!origin.is_same_site_with_url(&url("http://a.test/")));
        assert!(!origin.is_same_site_with_url(&url("https://b.test/")));
    }

    #[test]
    fn a_url_is_of_the_site_of_its_origin_only() {
        let urls = [
            "https://a.b.example.co.uk/x",
            "https://example.co.uk:8443/",
            "https://co.uk/",
            "http://example.co.uk/",
            "https://a.test./",
            "https://a.test/",
            "https://127.0.0.1/",
            "https://[::1]:8443/",
            "https://[::2]/",
            "data:,x",
        ]
        .map(url);
        for a in &urls {
            let site = Site::of(&Origin::of(a, Nonce::from_u128(1)));
            for b in &urls {
                let is_same = site == Site::of(&Origin::of(b, Nonce::from_u128(2)));
                assert_eq!(site.is_of_url(b), is_same, "{a} {b}");
            }
        }
    }

    #[test]
    fn public_suffixes_and_addresses_have_no_registrable_domain() {
        assert!(!same_site(&url("https://x.github.io/"), &url("https://y.github.io/")));
        assert!(!same_site(&url("http://127.0.0.1/"), &url("http://127.0.0.2/")));
        assert!(same_site(&url("http://[::1]:1/"), &url("http://[::1]:2/")));
        assert!(same_site(&url("http://x.a.test./"), &url("http://a.test./")));
        assert!(!same_site(&url("http://a.test./"), &url("http://a.test/")));
        assert_eq!(
            Site::of(&origin("https://a.b.example.co.uk/")),
            Site::Tuple { scheme: "https".into(), host: "example.co.uk".into() }
        );
    }
}
