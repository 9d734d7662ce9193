//! Fetching a document, and its scripts. These are the engine's, not the library's, so they go straight to
//! the network.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE, COOKIE,
        LOCATION, REFERER, SET_COOKIE, UPGRADE_INSECURE_REQUESTS,
    },
};
use sendbeacon::{
    Client, CspDisposition, CspList, EmbedderPolicy, NetworkError, Origin, PartitionKey,
    PermissionsPolicy, ReferrerPolicy, Site,
    host::{ConnectionKey, CookieContext, CookieStore, Network, NetworkRequest, SameSiteMode},
    is_potentially_trustworthy,
};
use thiserror::Error;
use url::{Position, Url};

use super::{ACCEPT_LANGUAGE, USER_AGENT};

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 16 << 20;

/// A document or a script as it came.
pub(super) struct Fetched {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why a document could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NavigationError {
    /// Not a URL that can be fetched.
    #[error("{0}: only http and https URLs can be opened")]
    Scheme(String),
    /// A network error.
    #[error("{url}: {error}")]
    Network {
        /// What was being fetched.
        url: String,
        /// The error.
        error: Box<NetworkError>,
    },
    /// A redirect to nowhere, or the 21st.
    #[error("{0}: the redirect cannot be followed")]
    Redirect(String),
    /// More than 16 MiB.
    #[error("{0}: the document is too large")]
    TooLarge(String),
}

/// Fetches `url` for a top-level navigation, following redirects.
pub(super) async fn fetch_document(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    url: &Url,
    referrer: Option<&Url>,
) -> Result<Fetched, NavigationError> {
    let steps = |url: &Url| {
        let client = Client::new(url.clone(), 0);
        let same_site = same_site(&client, referrer);
        (client, same_site, request(url, referrer))
    };
    fetch(network, cookies, url, steps).await
}

/// Fetches a [classic script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-script)
/// for `client`, following redirects.
pub(super) async fn fetch_script(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    client: &Client,
    url: &Url,
) -> Result<Fetched, NavigationError> {
    let steps = |url: &Url| {
        let is_same_site = client.origin.is_same_site_with_url(url);
        let same_site =
            if is_same_site { SameSiteMode::StrictOrLess } else { SameSiteMode::UnsetOrLess };
        let mut request = request(url, Some(&client.creation_url));
        let mut set = |name: &'static str, value: &'static str| {
            request.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        set("accept", "*/*");
        if is_potentially_trustworthy(url) {
            set("sec-fetch-dest", "script");
            set("sec-fetch-mode", "no-cors");
        }
        request.headers.remove(UPGRADE_INSECURE_REQUESTS);
        request.connection.partition = client.network_partition_key.clone();
        (client.clone(), same_site, request)
    };
    fetch(network, cookies, url, steps).await
}

/// Fetches `url`, following redirects. `steps` make the request of each.
async fn fetch(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    url: &Url,
    steps: impl Fn(&Url) -> (Client, SameSiteMode, NetworkRequest),
) -> Result<Fetched, NavigationError> {
    let mut url = url.clone();
    for _ in 0..=20 {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NavigationError::Scheme(url.into()));
        }
        let failed = |error| {
            let (url, error) = (url.to_string(), Box::new(error));
            NavigationError::Network { url, error }
        };
        let (client, same_site, mut request) = steps(&url);
        let context = CookieContext { url: &url, client: &client, same_site };
        request.headers.extend(cookies.retrieve(context).get().await.map(|value| (COOKIE, value)));
        let response = network.http_network_fetch(request).await.map_err(failed)?;
        let set_cookie: Vec<_> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
        // NB: a navigation may set what its own later requests will send, RFC 6265bis 5.7.
        let context = CookieContext { same_site: SameSiteMode::StrictOrLess, ..context };
        cookies.store(context, set_cookie).get().await;
        if matches!(response.status.as_u16(), 301..=303 | 307 | 308)
            && let Some(location) = response.headers.get(LOCATION)
        {
            let location = location.to_str().ok().and_then(|location| url.join(location).ok());
            let location = location.map(|mut location| {
                if location.fragment().is_none() {
                    location.set_fragment(url.fragment());
                }
                location
            });
            url = location.ok_or_else(|| NavigationError::Redirect(url.to_string()))?;
            continue;
        }
        let mut stream = response.body;
        let mut body = BytesMut::new();
        while let Some(chunk) = poll_fn(|cx| stream.as_mut().poll_chunk(cx)).await {
            body.extend_from_slice(&chunk.map_err(failed)?);
            if body.len() > MAX_DOCUMENT {
                return Err(NavigationError::TooLarge(url.into()));
            }
        }
        // NB: no browser leaves credentials in a document's URL. They fail where there can be none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let (status, headers) = (response.status, response.headers);
        return Ok(Fetched { url, status, headers, body: body.freeze() });
    }
    Err(NavigationError::Redirect(url.into()))
}

/// The same-site mode of a top-level navigation with GET.
fn same_site(client: &Client, referrer: Option<&Url>) -> SameSiteMode {
    let is_same_site = referrer.is_none_or(|url| client.origin.is_same_site_with_url(url));
    if is_same_site { SameSiteMode::StrictOrLess } else { SameSiteMode::LaxOrLess }
}

fn request(url: &Url, referrer: Option<&Url>) -> NetworkRequest {
    let origin = Origin::of(url, 0);
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("user-agent", USER_AGENT);
    set("accept-language", ACCEPT_LANGUAGE);
    set("upgrade-insecure-requests", "1");
    if is_potentially_trustworthy(url) {
        set("sec-fetch-dest", "document");
        set("sec-fetch-mode", "navigate");
        set("sec-fetch-site", relation(&origin, referrer));
    }
    set("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    headers.extend(referrer.and_then(|from| referer(from, url)).map(|value| (REFERER, value)));
    NetworkRequest {
        method: Method::GET,
        url: url.clone(),
        headers,
        body: Bytes::new(),
        connection: ConnectionKey {
            partition: PartitionKey { top_level_site: Site::of(&origin), second_key: None },
            credentials: true,
        },
        client: None,
        force_new_connection: false,
    }
}

/// `Sec-Fetch-Site` of a navigation to `origin`.
fn relation(origin: &Origin, referrer: Option<&Url>) -> &'static str {
    match referrer {
        None => "none",
        Some(url) if origin.is_same_origin_with_url(url) => "same-origin",
        Some(url) if origin.is_same_site_with_url(url) => "same-site",
        Some(_) => "cross-site",
    }
}

/// `Referer` by the default policy, strict-origin-when-cross-origin, whatever the document's own is.
fn referer(from: &Url, to: &Url) -> Option<HeaderValue> {
    let value = if Origin::of(to, 0).is_same_origin_with_url(from) {
        from[..Position::AfterQuery].to_owned()
    } else if is_potentially_trustworthy(from) && !is_potentially_trustworthy(to) {
        return None;
    } else {
        format!("{}/", Origin::of(from, 0))
    };
    HeaderValue::try_from(value).ok()
}

impl Fetched {
    /// The charset of the `Content-Type`.
    pub(super) fn charset(&self) -> Option<String> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let mime: data_url::mime::Mime = value.parse().ok()?;
        mime.get_parameter("charset").map(ToOwned::to_owned)
    }

    /// The document's settings object, as its URL and its response's headers make it. `nonce` is 128
    /// random bits.
    pub(super) fn client(&self, nonce: u128) -> Client {
        let mut client = Client::new(self.url.clone(), nonce);
        client.document_status = self.status.as_u16();
        if let Some(policy) = ReferrerPolicy::parse_header(&self.headers) {
            client.referrer_policy = policy;
        }
        client.csp_list = self.csp_list(&client.origin);
        client.upgrade_insecure_requests =
            client.csp_list.enforced_directives("upgrade-insecure-requests").next().is_some();
        if is_potentially_trustworthy(&self.url) {
            client.embedder_policy = self.embedder_policy();
        }
        let keeps_origin = |tokens: &[String]| tokens.iter().any(|it| it == "allow-same-origin");
        if !client.csp_list.enforced_directives("sandbox").all(keeps_origin) {
            client.origin = Origin::Opaque(nonce);
        }
        client.permissions_policy = PermissionsPolicy::top_level(&client.origin, &self.headers);
        client
    }

    /// [`crossOriginIsolated`](https://html.spec.whatwg.org/multipage/webappapis.html#dom-crossoriginisolated)
    pub(super) fn is_cross_origin_isolated(&self) -> bool {
        let opener_policy = self.header("cross-origin-opener-policy");
        is_potentially_trustworthy(&self.url)
            && opener_policy.as_deref() == Some("same-origin")
            && self.embedder_policy() != EmbedderPolicy::UnsafeNone
    }

    fn csp_list(&self, origin: &Origin) -> CspList {
        let mut list = CspList::new(origin);
        for (name, disposition) in [
            (CONTENT_SECURITY_POLICY, CspDisposition::Enforce),
            (CONTENT_SECURITY_POLICY_REPORT_ONLY, CspDisposition::Report),
        ] {
            for value in self.headers.get_all(name) {
                // A policy is bytes, read one character a byte.
                let value: String = value.as_bytes().iter().map(|&byte| char::from(byte)).collect();
                list.push_header(&value, disposition);
            }
        }
        list
    }

    fn embedder_policy(&self) -> EmbedderPolicy {
        match self.header("cross-origin-embedder-policy").as_deref() {
            Some("require-corp") => EmbedderPolicy::RequireCorp,
            Some("credentialless") => EmbedderPolicy::Credentialless,
            _ => EmbedderPolicy::UnsafeNone,
        }
    }

    /// The bare item of a structured header, without its parameters.
    fn header(&self, name: &'static str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_owned())
    }
}
