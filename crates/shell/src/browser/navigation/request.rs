//! The requests of navigations: their headers, same-site mode, upgrade and mixed content check.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use sendbeacon::{
    Client, Mode, Nonce, Referrer, ReferrerPolicy, Request, Site, append_origin,
    host::{ConnectionKey, NetworkRequest, SameSiteMode},
    is_potentially_trustworthy,
};
use url::Url;

use crate::{
    browser::{ACCEPT_LANGUAGE, USER_AGENT},
    page::{Navigation, PostResource, nest},
};

/// The client that the document will have, as far as its URL and its container decide.
pub(super) fn reserved_client(navigation: &Navigation, url: &Url, nonce: Nonce) -> Client {
    let mut client = Client::new(url.clone(), nonce);
    if let Some(container) = &navigation.container {
        nest(&mut client, container);
    }
    client
}

/// The same-site mode of the cookies that go with a navigation by GET.
pub(super) fn same_site(navigation: &Navigation, client: &Client) -> SameSiteMode {
    let source = navigation.source.as_ref().map(|source| &source.origin);
    let is_same_site = source.is_none_or(|source| Site::of(source) == Site::of(&client.origin));
    match (is_same_site, &navigation.container) {
        (true, None) => SameSiteMode::StrictOrLess,
        (true, Some(_)) if !client.has_cross_site_ancestor => SameSiteMode::StrictOrLess,
        (_, None) => SameSiteMode::LaxOrLess,
        (_, Some(_)) => SameSiteMode::UnsetOrLess,
    }
}

/// The GET request of a navigation to the last of `urls`, for a document that will have `client`.
pub(super) fn request(navigation: &Navigation, urls: &[Url], client: &Client) -> NetworkRequest {
    let url = &urls[urls.len() - 1];
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
        set("sec-fetch-site", relation(urls, navigation.source.as_ref()));
    }
    set("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    let connection = ConnectionKey::new(client.network_partition_key.clone(), true);
    NetworkRequest::new(Method::GET, url.clone(), connection).with_headers(headers)
}

/// The value of [`Sec-Fetch-Site`](https://w3c.github.io/webappsec-fetch-metadata/#abstract-opdef-set-site) for a request
/// with this URL list. `source` is `None` for a navigation by the user.
fn relation(urls: &[Url], source: Option<&Client>) -> &'static str {
    let Some(Client { origin, .. }) = source else { return "none" };
    if urls.iter().all(|url| origin.is_same_origin_with_url(url)) {
        "same-origin"
    } else if urls.iter().all(|url| origin.is_same_site_with_url(url)) {
        "same-site"
    } else {
        "cross-site"
    }
}

/// [Upgrade request to a potentially trustworthy URL, if appropriate](https://w3c.github.io/webappsec-upgrade-insecure-requests/#upgrade-request)
pub(super) fn upgrade_insecure(navigation: &Navigation, url: &mut Url) {
    let Some(source) = &navigation.source else { return };
    // Step 2: the upgrade insecure navigations set of a document has the document's own host only.
    let is_upgraded = navigation.container.is_some()
        || (url.host(), url.port()) == (source.creation_url.host(), source.creation_url.port());
    if source.upgrade_insecure_requests && is_upgraded && url.scheme() == "http" {
        // NB: it cannot fail: both schemes are special.
        let _ = url.set_scheme("https");
    }
}

/// [Should fetching request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-fetch)
pub(super) fn is_mixed_content(navigation: &Navigation, url: &Url) -> bool {
    let source = navigation.source.as_ref();
    navigation.container.is_some()
        && source.is_some_and(|source| source.prohibits_mixed_security_contexts)
        && !is_potentially_trustworthy(url)
}

/// Makes a form's POST request of `request`, whose URL list is `urls`.
pub(super) fn add_post(
    navigation: &Navigation,
    post: &PostResource,
    referrer_policy: Option<ReferrerPolicy>,
    urls: &[Url],
    request: &mut NetworkRequest,
) {
    request.method = Method::POST;
    request.body = post.body.clone().into();
    let content_type = HeaderValue::try_from(&*post.content_type).ok();
    request.headers_mut().extend(content_type.map(|value| (CONTENT_TYPE, value)));
    if let Some(source) = &navigation.source {
        let mut described = with_url_list(source, urls);
        described.mode = Mode::NoCors;
        described.method = Method::POST;
        described.referrer_policy = referrer_policy;
        append_origin(&described, request.headers_mut());
    }
}

/// A request of `client` with this URL list.
fn with_url_list(client: &Client, urls: &[Url]) -> Request {
    let mut request = Request::new(Arc::new(client.clone()), urls[0].clone());
    for url in &urls[1..] {
        request.push_url(url.clone());
    }
    request
}

/// The value of `Referer`; `None` if there is no referrer.
pub(super) fn referer(referrer: &Referrer) -> Option<HeaderValue> {
    match referrer {
        Referrer::Url(url) => HeaderValue::try_from(url.as_str()).ok(),
        _ => None,
    }
}
