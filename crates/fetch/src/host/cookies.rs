//! The cookies of a profile.

use http::HeaderValue;
pub use sendbeacon_cookies::SameSiteMode;
use url::Url;

use super::answer::Answer;
use crate::client::Client;

/// The cookies of a profile: what Fetch asks of the
/// [cookie store](https://fetch.spec.whatwg.org/#cookies).
///
/// `MemoryCookieStore` in the crate `sendbeacon` is an implementation.
pub trait CookieStore: Send + Sync {
    /// Retrieves the cookies for a request and serializes them:
    /// [append a request `Cookie` header](https://fetch.spec.whatwg.org/#append-a-request-cookie-header).
    ///
    /// Returns the value of the `Cookie` header, or `None` if the request has no such header.
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>>;

    /// Stores the cookies that a response sets:
    /// [parse and store response `Set-Cookie` headers](https://fetch.spec.whatwg.org/#parse-and-store-response-set-cookie-headers).
    ///
    /// `set_cookie` holds the values of the response's `Set-Cookie` headers in their order, at least one.
    /// A cookie that is rejected is ignored.
    fn store(&self, context: CookieContext<'_>, set_cookie: Vec<HeaderValue>) -> Answer<()>;
}

/// A [`CookieStore`] without cookies: no request sends one, and no response sets one. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCookies;

impl CookieStore for NoCookies {
    fn retrieve(&self, _: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        Answer::Ready(None)
    }

    fn store(&self, _: CookieContext<'_>, _: Vec<HeaderValue>) -> Answer<()> {
        Answer::Ready(())
    }
}

/// The properties of a request that decide which cookies it may send and set.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CookieContext<'a> {
    /// The request's current URL.
    pub url: &'a Url,
    /// The request's client, which has the network partition key and knows about cross-site ancestors.
    pub client: &'a Client,
    /// The [same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
    pub same_site: SameSiteMode,
}

impl<'a> CookieContext<'a> {
    /// The context of a request for `url`. An engine makes one for a navigation.
    #[must_use]
    pub fn new(url: &'a Url, client: &'a Client, same_site: SameSiteMode) -> Self {
        Self { url, client, same_site }
    }

    /// Sets [`same_site`](Self::same_site).
    #[must_use]
    pub fn with_same_site(self, same_site: SameSiteMode) -> Self {
        Self { same_site, ..self }
    }
}
