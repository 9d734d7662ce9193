//! [Requests](https://fetch.spec.whatwg.org/#requests).

use std::{borrow::Cow, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE},
};
use url::{Position, Url};

use crate::{
    Body, Client, Origin,
    destination::Destination,
    headers::safelist::{is_cors_safelisted, is_cors_safelisted_method},
    host::{CookieContext, SameSiteMode},
    http_url::url_length,
    keepalive::Weight,
    origin::{same_origin, same_site},
    policy::referrer_policy::ReferrerPolicy,
    preparation::Preparation,
};

/// How many bytes of memory a header takes in a header list beside its name and its value.
const HEADER_BYTES: usize = 128;

/// A [request](https://fetch.spec.whatwg.org/#concept-request).
///
/// The client is never null, so [`Request::new`] fills in what the standard sets to "client". It leaves the
/// destination empty, as `fetch()` does. An engine sets another destination for a load of its own, such as an
/// image. Only the library makes requests with the destination "report".
///
/// ```
/// use std::sync::Arc;
///
/// use http::{HeaderValue, Method, header::CONTENT_TYPE};
/// use sendbeacon_fetch::{Body, Client, Nonce, Request};
///
/// // fetch("/log", { method: "POST", body: "{}", keepalive: true, headers: ... })
/// let client = Arc::new(Client::new("https://a.test/page".parse()?, Nonce::random()));
/// let mut request = Request::new(Arc::clone(&client), client.api_base_url.join("/log")?);
/// request.method = Method::POST;
/// request.body = Some(Body::from(bytes::Bytes::from_static(b"{}")));
/// request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
/// request.keepalive = true;
/// assert_eq!(request.current_url().as_str(), "https://a.test/log");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Header list.
    pub headers: HeaderMap,
    /// Unsafe-request flag: the method and headers may need a preflight.
    pub unsafe_request: bool,
    /// Body, without its type.
    ///
    /// The library sends the header list as it is, and never makes a `Content-Type` of a body. The constructor of
    /// script's `Request` does that, in the engine: it appends the type of a body that it extracts, if the header
    /// list has no `Content-Type` and if its guard allows the type. If the engine adds the type later (here, for
    /// example), a request that must have none gets one: a mode "no-cors" request with a JSON blob, or a request
    /// whose script has called `headers.delete("content-type")`. Such a request would need a preflight and makes
    /// none.
    pub body: Option<Body>,
    /// Client.
    pub client: Arc<Client>,
    /// Origin.
    pub origin: Origin,
    /// Keepalive.
    pub keepalive: bool,
    /// Initiator type, for Resource Timing. It also says whether anybody reads the response: the library decodes the
    /// body only if [`InitiatorType::is_read`] holds.
    pub initiator_type: InitiatorType,
    /// Referrer.
    pub referrer: Referrer,
    /// Referrer policy. `None`: the empty string.
    pub referrer_policy: Option<ReferrerPolicy>,
    /// Mode.
    pub mode: Mode,
    /// Use-CORS-preflight flag.
    pub use_cors_preflight: bool,
    /// Credentials mode.
    pub credentials: CredentialsMode,
    /// Cache mode.
    pub cache: CacheMode,
    /// Redirect mode.
    pub redirect: RedirectMode,
    /// Integrity metadata: hash expressions, of which the response's body must match one. Default: empty.
    pub integrity_metadata: String,
    /// Whether the service-workers mode is "all", so that a service worker may answer the request. False:
    /// "none".
    pub use_service_workers: bool,
    /// Destination.
    pub destination: Destination,
    /// Whether the request is the CORS preflight of another request.
    pub(crate) is_preflight: bool,
    /// URL list; never empty.
    pub(crate) url_list: Vec<Arc<Url>>,
    /// Redirect count, at most 20.
    pub(crate) redirect_count: u8,
    /// Response tainting.
    pub(crate) response_tainting: ResponseTainting,
    /// Timing allow failed flag.
    pub(crate) timing_allow_failed: bool,
    /// What fetch need not do again for a request like an earlier one.
    pub(crate) preparation: Preparation,
}

/// A request's [mode](https://fetch.spec.whatwg.org/#concept-request-mode). The library makes no
/// navigations and no web sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Mode {
    /// `same-origin`
    SameOrigin,
    /// `no-cors`
    NoCors,
    /// `cors`
    Cors,
}

/// A request's [credentials mode](https://fetch.spec.whatwg.org/#concept-request-credentials-mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CredentialsMode {
    /// `omit`
    Omit,
    /// `same-origin`
    SameOrigin,
    /// `include`
    Include,
}

/// A request's [cache mode](https://fetch.spec.whatwg.org/#concept-request-cache-mode). The library
/// answers no request from a cache. The mode decides which headers it sends to caches on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CacheMode {
    /// `default`
    Default,
    /// `no-store`
    NoStore,
    /// `reload`
    Reload,
    /// `no-cache`
    NoCache,
    /// `force-cache`
    ForceCache,
    /// `only-if-cached`. Such a request is a network error, because the library has no cache.
    OnlyIfCached,
}

/// A request's [redirect mode](https://fetch.spec.whatwg.org/#concept-request-redirect-mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RedirectMode {
    /// `follow`
    Follow,
    /// `error`
    Error,
    /// `manual`
    Manual,
}

/// A request's [referrer](https://fetch.spec.whatwg.org/#concept-request-referrer).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Referrer {
    /// `no-referrer`
    NoReferrer,
    /// `client`
    Client,
    /// A URL.
    Url(Url),
}

/// A request's [initiator type](https://fetch.spec.whatwg.org/#request-initiator-type).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum InitiatorType {
    /// `beacon`
    Beacon,
    /// `fetch`
    Fetch,
    /// `img`
    Img,
    /// `ping`
    Ping,
    /// null, as of a report of a violation. Resource Timing does not list the request.
    Null,
    /// `xmlhttprequest`
    XmlHttpRequest,
    /// `script`
    Script,
    /// `other`
    Other,
}

impl InitiatorType {
    /// Whether somebody reads the response, so that the library decodes its body. Nobody reads the response to a beacon, a
    /// ping or a report.
    #[must_use]
    pub fn is_read(self) -> bool {
        !matches!(self, Self::Beacon | Self::Ping | Self::Null)
    }

    /// The standard's name of the initiator type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beacon => "beacon",
            Self::Fetch => "fetch",
            Self::Img => "img",
            Self::Ping => "ping",
            Self::Null => "null",
            Self::XmlHttpRequest => "xmlhttprequest",
            Self::Script => "script",
            Self::Other => "other",
        }
    }
}

/// A request's [response tainting](https://fetch.spec.whatwg.org/#concept-request-response-tainting).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseTainting {
    Basic,
    Cors,
    Opaque,
}

/// A request's [redirect-taint](https://fetch.spec.whatwg.org/#concept-request-tainted-origin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectTaint {
    SameOrigin,
    SameSite,
    CrossSite,
}

impl Request {
    /// A request of `client` for `url`, with the standard's defaults for `fetch()`: `GET`, mode
    /// `cors`, credentials mode `same-origin`, redirects followed, the unsafe-request flag set.
    ///
    /// Forbidden request-headers in the header list are not sent.
    #[must_use]
    pub fn new(client: Arc<Client>, url: Url) -> Self {
        Self::with_shared_url(client, Arc::new(url))
    }

    /// Does the same with a URL that may be shared.
    pub(crate) fn with_shared_url(client: Arc<Client>, url: Arc<Url>) -> Self {
        Self {
            method: Method::GET,
            headers: HeaderMap::new(),
            unsafe_request: true,
            body: None,
            origin: client.origin.clone(),
            client,
            keepalive: false,
            initiator_type: InitiatorType::Fetch,
            referrer: Referrer::Client,
            referrer_policy: None,
            mode: Mode::Cors,
            use_cors_preflight: false,
            credentials: CredentialsMode::SameOrigin,
            cache: CacheMode::Default,
            redirect: RedirectMode::Follow,
            integrity_metadata: String::new(),
            destination: Destination::Empty,
            is_preflight: false,
            use_service_workers: true,
            url_list: vec![url],
            redirect_count: 0,
            response_tainting: ResponseTainting::Basic,
            timing_allow_failed: false,
            preparation: Preparation::default(),
        }
    }

    /// Confines a request from a process that is not trusted to what script can make by
    /// [`new Request()`](https://fetch.spec.whatwg.org/#dom-request). Returns false if no script can make it.
    ///
    /// Sets the unsafe-request flag, and removes the headers that the
    /// [guard](https://fetch.spec.whatwg.org/#concept-headers-guard) of mode "no-cors" does not allow. The guard asks about
    /// all values of a name together.
    /// Forbidden request-headers are removed later, when the fetch begins.
    #[must_use]
    pub fn confine(&mut self) -> bool {
        self.unsafe_request = true;
        let is_forbidden = ["CONNECT", "TRACE", "TRACK"]
            .iter()
            .any(|method| self.method.as_str().eq_ignore_ascii_case(method));
        let is_own_referrer = match &self.referrer {
            Referrer::Url(url) => self.client.origin.is_same_origin_with_url(url),
            Referrer::NoReferrer | Referrer::Client => true,
        };
        if self.mode == Mode::NoCors {
            if !is_cors_safelisted_method(&self.method) {
                return false;
            }
            let given = std::mem::take(&mut self.headers);
            for name in [ACCEPT, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE] {
                let mut combined = Vec::new();
                for value in given.get_all(&name) {
                    let length = combined.len();
                    let is_first = !self.headers.contains_key(&name);
                    combined.extend_from_slice(if is_first { b"" } else { b", " });
                    combined.extend_from_slice(value.as_bytes());
                    let temporary = HeaderValue::from_bytes(&combined);
                    if temporary.is_ok_and(|combined| is_cors_safelisted(&name, &combined)) {
                        self.headers.append(name.clone(), value.clone());
                    } else {
                        combined.truncate(length);
                    }
                }
            }
        }
        !is_forbidden && is_own_referrer && self.destination != Destination::Report
    }

    /// [URL](https://fetch.spec.whatwg.org/#concept-request-url): the first of the URL list.
    #[must_use]
    pub fn url(&self) -> &Arc<Url> {
        &self.url_list[0]
    }

    /// What the request counts for in a keepalive [`Ledger`](crate::Ledger), and as memory.
    #[must_use]
    pub fn weight(&self) -> Weight {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            HEADER_BYTES + name.as_str().len() + value.len()
        };
        let referrer = match &self.referrer {
            Referrer::Url(url) => url.as_str().len(),
            Referrer::NoReferrer | Referrer::Client => 0,
        };
        let header_bytes = self.headers.iter().map(header).sum::<usize>()
            + referrer
            + self.integrity_metadata.len()
            + self.method.as_str().len();
        Weight {
            body_bytes: self.body_length(),
            url_bytes: url_length(self.url()) as u64,
            header_bytes: header_bytes as u64,
        }
    }

    /// The length of the body in bytes.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        self.body.as_ref().map_or(0, Body::length)
    }

    /// [Current URL](https://fetch.spec.whatwg.org/#concept-request-current-url): the last of the
    /// URL list.
    #[must_use]
    pub fn current_url(&self) -> &Arc<Url> {
        &self.url_list[self.url_list.len() - 1]
    }

    /// The current URL, for the policies that upgrade it.
    pub(crate) fn current_url_mut(&mut self) -> &mut Arc<Url> {
        let last = self.url_list.len() - 1;
        &mut self.url_list[last]
    }

    /// [URL list](https://fetch.spec.whatwg.org/#concept-request-url-list); never empty.
    #[must_use]
    pub fn url_list(&self) -> &[Arc<Url>] {
        &self.url_list
    }

    /// Appends a URL to the URL list, as a redirect does. For an engine that follows the redirects of a navigation
    /// itself, before it calls [`append_origin`](crate::append_origin): the value depends on all the URLs.
    pub fn push_url(&mut self, url: Url) {
        self.url_list.push(Arc::new(url));
    }

    /// The referrer policy that applies: the request's, or else that of its client's policy container.
    pub(crate) fn effective_referrer_policy(&self) -> ReferrerPolicy {
        self.referrer_policy.unwrap_or(self.client.referrer_policy)
    }

    /// Compute the [redirect-taint](https://fetch.spec.whatwg.org/#concept-request-tainted-origin).
    pub(crate) fn redirect_taint(&self) -> RedirectTaint {
        // Step 3.
        let mut taint = RedirectTaint::SameOrigin;
        // Steps 2 and 4.
        for hop in self.url_list.windows(2) {
            let [last, url] = hop else { continue };
            // Step 4.2.
            if !same_site(url, last) && !self.origin.is_same_site_with_url(last) {
                return RedirectTaint::CrossSite;
            }
            // Step 4.3.
            if !same_origin(url, last) && !self.origin.is_same_origin_with_url(last) {
                taint = RedirectTaint::SameSite;
            }
        }
        // Step 5.
        taint
    }

    /// The context for the cookie store, with the
    /// [same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn cookie_context(&self) -> CookieContext<'_> {
        // Steps 2 and 3 are for navigations. Steps 4 to 6.
        // NB: by the text, step 5 asks for the redirect-taint. That withholds cookies after a redirect that went to
        // another site and came back, which broke sites in Chromium and in Firefox. And it lets Strict cookies go
        // straight to another site, whose URL taints nothing. So the current URL alone decides, as in RFC 6265bis.
        let is_cross_site = self.client.has_cross_site_ancestor
            || !self.origin.is_same_site_with_url(self.current_url());
        let same_site =
            if is_cross_site { SameSiteMode::UnsetOrLess } else { SameSiteMode::StrictOrLess };
        CookieContext { url: self.current_url(), client: &self.client, same_site }
    }

    /// [Byte-serialize the request origin](https://fetch.spec.whatwg.org/#byte-serializing-a-request-origin).
    pub(crate) fn serialize_origin(&self) -> Cow<'_, str> {
        // Step 2.
        if self.redirect_taint() != RedirectTaint::SameOrigin {
            return "null".into();
        }
        // Step 3. NB: copied from a URL of this origin, if there is one: that is faster than serialising.
        let urls = [&self.client.creation_url, self.current_url()];
        let has_credentials = |url: &Url| !url.username().is_empty() || url.password().is_some();
        urls.into_iter()
            .find(|url| self.origin.is_same_origin_with_url(url) && !has_credentials(url))
            .map_or_else(|| self.origin.to_string().into(), |url| url[..Position::AfterPort].into())
    }
}

#[cfg(test)]
mod tests;
