//! Fetching a document. Navigation is the engine's, not the library's, so it goes straight to the
//! network.

use std::{future::poll_fn, sync::Arc};

use bytes::{Bytes, BytesMut};
use data_url::mime::Mime;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE, COOKIE,
        LOCATION, REFERER, SET_COOKIE, UPGRADE_INSECURE_REQUESTS,
    },
};
use sendbeacon::{
    Client, CspDisposition, CspList, EmbedderPolicy, Mode, NetworkError, Nonce, Origin,
    PermissionsPolicy, Referrer, ReferrerPolicy, Request, Site, append_origin,
    host::{ConnectionKey, CookieContext, CookieStore, Network, NetworkRequest, SameSiteMode},
    is_potentially_trustworthy,
};
use thiserror::Error;
use url::Url;

use super::{ACCEPT_LANGUAGE, USER_AGENT};
use crate::page::{
    FetchedDocument, Navigation, PostResource, SandboxFlags, nest, referrer_of_navigation,
};

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 16 << 20;

/// A document or a script as it came.
pub(super) struct Fetched {
    url: Url,
    referrer: Referrer,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// A top-level document.
    Document,
    Frame,
    Script,
}

/// The request for a URL, and on whose behalf and how cookies go with it and come back.
struct Steps {
    client: Client,
    same_site: SameSiteMode,
    same_site_of_response: SameSiteMode,
    request: NetworkRequest,
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
    /// Something insecure, for a page that must not have that.
    #[error("{0}: it is mixed content")]
    MixedContent(String),
    /// A redirect to nowhere, or the 21st.
    #[error("{0}: the redirect cannot be followed")]
    Redirect(String),
    /// There is nothing to show: a 204, say.
    #[error("{0}: there is no document")]
    NoDocument(String),
    /// More than 16 MiB.
    #[error("{0}: the document is too large")]
    TooLarge(String),
}

/// Fetches the document of a navigation, following redirects. There is none where there is nothing to show.
pub(super) async fn fetch_document(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    navigation: &Navigation,
) -> Result<Option<FetchedDocument>, NavigationError> {
    let steps = |url: &Url| {
        let client = reserved_client(navigation, url, Nonce::random());
        let same_site = same_site(navigation, &client);
        // NB: a navigation may set what its own later requests will send, RFC 6265bis 5.7.
        let same_site_of_response = match navigation.container {
            None => SameSiteMode::StrictOrLess,
            Some(_) => same_site,
        };
        let request = request(navigation, url, &client);
        Steps { client, same_site, same_site_of_response, request }
    };
    let is_nested = navigation.container.is_some();
    let destination = if is_nested { Destination::Frame } else { Destination::Document };
    let fetched = fetch(network, cookies, navigation, destination, steps).await?;
    let has_document = fetched.has_document();
    Ok(has_document.then(|| fetched.into_document(navigation)))
}

/// Fetches a [classic script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-script)
/// for `client`, following redirects.
pub(super) async fn fetch_script(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    client: &Client,
    url: &Url,
) -> Result<Fetched, NavigationError> {
    let navigation =
        Navigation { source: Some(client.clone()), ..Navigation::of_user(url.clone()) };
    let steps = |url: &Url| {
        let is_same_site = client.origin.is_same_site_with_url(url);
        let same_site = if is_same_site && !client.has_cross_site_ancestor {
            SameSiteMode::StrictOrLess
        } else {
            SameSiteMode::UnsetOrLess
        };
        let mut request = request(&navigation, url, client);
        let mut set = |name: &'static str, value: &'static str| {
            request.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        set("accept", "*/*");
        if is_potentially_trustworthy(url) {
            set("sec-fetch-dest", "script");
            set("sec-fetch-mode", "no-cors");
            set("sec-fetch-site", relation(&Origin::of(url, Nonce::random()), Some(client)));
        }
        request.headers.remove(UPGRADE_INSECURE_REQUESTS);
        let same_site_of_response = same_site;
        Steps { client: client.clone(), same_site, same_site_of_response, request }
    };
    fetch(network, cookies, &navigation, Destination::Script, steps).await
}

/// Fetches what `navigation` asks for, following redirects. `steps` make the request of each.
async fn fetch(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    navigation: &Navigation,
    destination: Destination,
    steps: impl Fn(&Url) -> Steps,
) -> Result<Fetched, NavigationError> {
    let mut url = navigation.url.clone();
    let mut post = navigation.post.clone();
    let mut referrer = Referrer::Client;
    let mut referrer_policy = navigation.referrer_policy;
    for _ in 0..=20 {
        upgrade_insecure(navigation, destination, &mut url);
        if is_mixed_content(navigation, destination, &url) {
            return Err(NavigationError::MixedContent(url.into()));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NavigationError::Scheme(url.into()));
        }
        let failed = |error| {
            let (url, error) = (url.to_string(), Box::new(error));
            NavigationError::Network { url, error }
        };
        let Steps { client, same_site, same_site_of_response, mut request } = steps(&url);
        referrer = match &navigation.source {
            Some(source) => referrer_of_navigation(source, &url, referrer, referrer_policy),
            None => Referrer::NoReferrer,
        };
        request.headers.extend(referer(&referrer).map(|value| (REFERER, value)));
        if let Some(post) = &post {
            add_post(navigation, post, referrer_policy, &mut request);
        }
        let context = CookieContext { url: &url, client: &client, same_site };
        request.headers.extend(cookies.retrieve(context).get().await.map(|value| (COOKIE, value)));
        let response = network.http_network_fetch(request).await.map_err(failed)?;
        let set_cookie: Vec<_> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
        let context = CookieContext { same_site: same_site_of_response, ..context };
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
            // https://fetch.spec.whatwg.org/#http-redirect-fetch, step 12
            post = post.filter(|_| matches!(response.status.as_u16(), 307 | 308));
            // https://w3c.github.io/webappsec-referrer-policy/#set-requests-referrer-policy-on-redirect
            referrer_policy = ReferrerPolicy::parse_header(&response.headers).or(referrer_policy);
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
        return Ok(Fetched { url, referrer, status, headers, body: body.freeze() });
    }
    Err(NavigationError::Redirect(url.into()))
}

/// The settings object that the document will have, so far as its URL and its place make it.
fn reserved_client(navigation: &Navigation, url: &Url, nonce: Nonce) -> Client {
    let mut client = Client::new(url.clone(), nonce);
    if let Some(container) = &navigation.container {
        nest(&mut client, container);
    }
    client
}

/// The same-site mode of a navigation with GET.
fn same_site(navigation: &Navigation, client: &Client) -> SameSiteMode {
    let source = navigation.source.as_ref().map(|source| &source.origin);
    let is_same_site = source.is_none_or(|source| Site::of(source) == Site::of(&client.origin));
    match (is_same_site, &navigation.container) {
        (true, None) => SameSiteMode::StrictOrLess,
        (true, Some(_)) if !client.has_cross_site_ancestor => SameSiteMode::StrictOrLess,
        (_, None) => SameSiteMode::LaxOrLess,
        (_, Some(_)) => SameSiteMode::UnsetOrLess,
    }
}

fn request(navigation: &Navigation, url: &Url, client: &Client) -> NetworkRequest {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("user-agent", USER_AGENT);
    set("accept-language", ACCEPT_LANGUAGE);
    set("upgrade-insecure-requests", "1");
    if is_potentially_trustworthy(url) {
        set("sec-fetch-dest", if navigation.container.is_some() { "iframe" } else { "document" });
        set("sec-fetch-mode", "navigate");
        set("sec-fetch-site", relation(&client.origin, navigation.source.as_ref()));
    }
    set("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    let connection = ConnectionKey::new(client.network_partition_key.clone(), true);
    NetworkRequest::new(Method::GET, url.clone(), connection).with_headers(headers)
}

/// `Sec-Fetch-Site` of a navigation to `origin`.
fn relation(origin: &Origin, source: Option<&Client>) -> &'static str {
    match source {
        None => "none",
        Some(source) if source.origin == *origin => "same-origin",
        Some(source) if Site::of(&source.origin) == Site::of(origin) => "same-site",
        Some(_) => "cross-site",
    }
}

/// [Upgrade request to a potentially trustworthy URL, if appropriate](https://w3c.github.io/webappsec-upgrade-insecure-requests/#upgrade-request)
fn upgrade_insecure(navigation: &Navigation, destination: Destination, url: &mut Url) {
    let Some(source) = &navigation.source else { return };
    // Step 2: the upgrade insecure navigations set is the host of the document and no other.
    let is_upgraded = destination != Destination::Document
        || (url.host(), url.port()) == (source.creation_url.host(), source.creation_url.port());
    if source.upgrade_insecure_requests && is_upgraded && url.scheme() == "http" {
        // Both schemes are special.
        let _ = url.set_scheme("https");
    }
}

/// [Should fetching request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-fetch)
fn is_mixed_content(navigation: &Navigation, destination: Destination, url: &Url) -> bool {
    let source = navigation.source.as_ref();
    destination != Destination::Document
        && source.is_some_and(|source| source.prohibits_mixed_security_contexts)
        && !is_potentially_trustworthy(url)
}

/// Has `request` post what a form does.
fn add_post(
    navigation: &Navigation,
    post: &PostResource,
    referrer_policy: Option<ReferrerPolicy>,
    request: &mut NetworkRequest,
) {
    request.method = Method::POST;
    request.body = post.body.clone().into();
    let content_type = HeaderValue::try_from(&*post.content_type).ok();
    request.headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
    if let Some(source) = &navigation.source {
        let mut described = Request::new(Arc::new(source.clone()), request.url.clone());
        described.mode = Mode::NoCors;
        described.method = Method::POST;
        described.referrer_policy = referrer_policy;
        append_origin(&described, &mut request.headers);
    }
}

/// The `Referer` header's value.
fn referer(referrer: &Referrer) -> Option<HeaderValue> {
    match referrer {
        Referrer::Url(url) => HeaderValue::try_from(url.as_str()).ok(),
        _ => None,
    }
}

impl Fetched {
    /// Whether there is something to show: neither nothing nor a [download](https://html.spec.whatwg.org/multipage/links.html#downloading-resources).
    fn has_document(&self) -> bool {
        let disposition = self.latin1("content-disposition").unwrap_or_default();
        let disposition = disposition.split(';').next().unwrap_or_default().trim();
        let is_binary = |it: Mime| it.type_ == "application" && it.subtype == "octet-stream";
        !matches!(self.status.as_u16(), 204 | 205)
            && !disposition.eq_ignore_ascii_case("attachment")
            && !self.type_().is_some_and(is_binary)
    }

    fn into_document(self, navigation: &Navigation) -> FetchedDocument {
        let type_ = self.type_();
        let mut client = self.client(navigation);
        client.document_referrer = match &self.referrer {
            Referrer::Url(url) => Some(url.clone()),
            _ => None,
        };
        client.document_status = Some(self.status);
        let directives = client.csp_list.enforced_directives("sandbox");
        let sandbox = directives.fold(SandboxFlags::default(), |flags, tokens| {
            flags.union(SandboxFlags::parse(tokens.iter().map(String::as_str)))
        });
        FetchedDocument {
            sandbox,
            cross_origin_isolated: self.is_cross_origin_isolated(),
            referrer: client.document_referrer.clone().map(Url::into).unwrap_or_default(),
            permissions_policy: self.joined("permissions-policy"),
            charset: self.charset(),
            refresh: self.latin1("refresh"),
            frame_options: self.joined("x-frame-options"),
            type_: type_.map_or_else(
                || "text/html".to_owned(),
                |it| format!("{}/{}", it.type_, it.subtype),
            ),
            client,
            url: self.url,
            body: self.body,
        }
    }

    /// The values of all headers of this name.
    fn joined(&self, name: &'static str) -> String {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
    }

    /// The first value of a header, one character a byte.
    fn latin1(&self, name: &'static str) -> Option<String> {
        Some(self.headers.get(name)?.as_bytes().iter().map(|&byte| char::from(byte)).collect())
    }

    /// The charset of the `Content-Type`.
    pub(super) fn charset(&self) -> Option<String> {
        self.type_()?.get_parameter("charset").map(ToOwned::to_owned)
    }

    /// [Extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type)
    fn type_(&self) -> Option<Mime> {
        let values = self.joined("content-type");
        let types = values.split(',').filter_map(|value| value.parse::<Mime>().ok());
        types.filter(|it| it.type_ != "*").reduce(|before, mut last| {
            let is_same = (&before.type_, &before.subtype) == (&last.type_, &last.subtype);
            // Steps 6.4 and 6.5: the charset of one before stays with the same essence.
            if let (true, None, Some(charset)) =
                (is_same, last.get_parameter("charset"), before.get_parameter("charset"))
            {
                last.parameters.push(("charset".to_owned(), charset.to_owned()));
            }
            last
        })
    }

    /// The document's settings object, as its URL, its place and its response's headers make it.
    fn client(&self, navigation: &Navigation) -> Client {
        let nonce = Nonce::random();
        let mut client = reserved_client(navigation, &self.url, nonce);
        if let Some(policy) = ReferrerPolicy::parse_header(&self.headers) {
            client.referrer_policy = policy;
        }
        client.csp_list = self.csp_list(&client.origin);
        client.upgrade_insecure_requests |=
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
    fn is_cross_origin_isolated(&self) -> bool {
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
