//! Fetching documents.
//!
//! Navigation is the engine's work and not the library's, so these fetches go straight to the network.

mod request;

use std::{future::poll_fn, time::Instant};

use bytes::{Bytes, BytesMut};
use data_url::mime::Mime;
use http::{
    HeaderMap, StatusCode,
    header::{COOKIE, LOCATION, REFERER, SET_COOKIE},
};
use sendbeacon::{
    Client, EmbedderPolicy, NetworkError, Nonce, Origin, PermissionsPolicy, Referrer,
    ReferrerPolicy,
    host::{CookieContext, CookieStore, Network, NetworkRequest, SameSiteMode},
    is_potentially_trustworthy,
};
use thiserror::Error;
use url::Url;

use self::request::{
    add_post, is_mixed_content, referer, request, reserved_client, same_site, upgrade_insecure,
};
use super::response_headers::{bare_item, isomorphic_decode, mime_type, policy_container};
use crate::page::{
    FetchedDocument, Navigation, NavigationTiming, ResourceTiming, SandboxFlags,
    referrer_of_navigation,
};

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 16 << 20;

/// The response for a document.
struct Fetched {
    url: Url,
    referrer: Referrer,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    timing: NavigationTiming,
}

/// The request for one URL, and how cookies are handled for it.
struct Steps {
    /// On whose behalf cookies are retrieved and stored.
    client: Client,
    /// Decides which cookies the request has.
    same_site: SameSiteMode,
    /// Decides which cookies the response may set.
    same_site_of_response: SameSiteMode,
    request: NetworkRequest,
}

/// Why a document could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NavigationError {
    /// The URL's scheme is neither `http` nor `https`.
    #[error("{0}: only http and https URLs can be opened")]
    Scheme(String),
    /// The network has failed.
    #[error("{url}: {error}")]
    Network {
        /// The URL that was fetched.
        url: String,
        /// The error.
        error: Box<NetworkError>,
    },
    /// The URL is mixed content for the page.
    #[error("{0}: it is mixed content")]
    MixedContent(String),
    /// The `Location` of a redirect is no URL, or there were more than 20 redirects.
    #[error("{0}: the redirect cannot be followed")]
    Redirect(String),
    /// The response is no document: its status is 204 or 205, or it is a download.
    #[error("{0}: there is no document")]
    NoDocument(String),
    /// The body has more than 16 MiB.
    #[error("{0}: the document is too large")]
    TooLarge(String),
}

/// Fetches the document of a navigation and follows redirects.
///
/// Returns `None` if the response is no document: its status is 204 or 205, or it is a download.
pub(super) async fn fetch_document(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    navigation: &Navigation,
) -> Result<Option<FetchedDocument>, NavigationError> {
    let fetched = fetch(network, cookies, navigation).await?;
    let has_document = fetched.has_document();
    Ok(has_document.then(|| fetched.into_document(navigation)))
}

/// The request for the last URL of `urls`.
fn steps(navigation: &Navigation, urls: &[Url]) -> Steps {
    let url = &urls[urls.len() - 1];
    let client = reserved_client(navigation, url, Nonce::random());
    let same_site = same_site(navigation, &client);
    // NB: a top-level navigation may set cookies of every `SameSite` value, RFC 6265bis 5.7.
    let same_site_of_response = match navigation.container {
        None => SameSiteMode::StrictOrLess,
        Some(_) => same_site,
    };
    let request = request(navigation, urls, &client);
    Steps { client, same_site, same_site_of_response, request }
}

/// Fetches what `navigation` asks for and follows redirects.
async fn fetch(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    navigation: &Navigation,
) -> Result<Fetched, NavigationError> {
    let mut url = navigation.url.clone();
    let mut urls = Vec::new();
    let mut post = navigation.post.clone();
    let mut referrer = Referrer::Client;
    let mut referrer_policy = navigation.referrer_policy;
    let start = Instant::now();
    for redirect_count in 0..=20 {
        let fetch_start = start.elapsed();
        upgrade_insecure(navigation, &mut url);
        if is_mixed_content(navigation, &url) {
            return Err(NavigationError::MixedContent(url.into()));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(NavigationError::Scheme(url.into()));
        }
        let failed = |error| {
            let (url, error) = (url.to_string(), Box::new(error));
            NavigationError::Network { url, error }
        };
        urls.push(url.clone());
        let Steps { client, same_site, same_site_of_response, mut request } =
            steps(navigation, &urls);
        referrer = match &navigation.source {
            Some(source) => referrer_of_navigation(source, &url, referrer, referrer_policy),
            None => Referrer::NoReferrer,
        };
        request.headers_mut().extend(referer(&referrer).map(|value| (REFERER, value)));
        if let Some(post) = &post {
            add_post(navigation, post, referrer_policy, &urls, &mut request);
        }
        let context = CookieContext::new(&url, &client, same_site);
        let cookie = cookies.retrieve(context).get().await;
        request.headers_mut().extend(cookie.map(|value| (COOKIE, value)));
        let request_start = start.elapsed();
        let response = network.http_network_fetch(request).await.map_err(failed)?;
        let response_start = start.elapsed();
        let set_cookie: Vec<_> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
        let context = context.with_same_site(same_site_of_response);
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
        // NB: browsers remove credentials from a document's URL. Both calls fail only if there can be none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let (status, headers) = (response.status, response.headers);
        let size = body.len() as u64;
        let timing = NavigationTiming {
            timing: ResourceTiming {
                request_start: Some(request_start),
                fetch_start,
                response_start: Some(response_start),
                response_status: status.as_u16(),
                // https://w3c.github.io/resource-timing/#dom-performanceresourcetiming-transfersize
                transfer_size: size + 300,
                encoded_body_size: size,
                decoded_body_size: size,
                ..ResourceTiming::opaque(url.to_string(), "navigation", start)
            },
            type_: "navigate".to_owned(),
            redirect_count,
        };
        return Ok(Fetched { url, referrer, status, headers, body: body.freeze(), timing });
    }
    Err(NavigationError::Redirect(url.into()))
}

impl Fetched {
    /// Whether the response is a document: there is content, and it is no
    /// [download](https://html.spec.whatwg.org/multipage/links.html#downloading-resources).
    fn has_document(&self) -> bool {
        let disposition = self.latin1("content-disposition").unwrap_or_default();
        let disposition = disposition.split(';').next().unwrap_or_default().trim();
        let is_binary = |it: Mime| it.type_ == "application" && it.subtype == "octet-stream";
        !matches!(self.status.as_u16(), 204 | 205)
            && !disposition.eq_ignore_ascii_case("attachment")
            && !mime_type(&self.headers).is_some_and(is_binary)
    }

    fn into_document(self, navigation: &Navigation) -> FetchedDocument {
        let type_ = mime_type(&self.headers);
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
            charset: type_.as_ref().and_then(|it| it.get_parameter("charset")).map(str::to_owned),
            refresh: self.latin1("refresh"),
            frame_options: self.joined("x-frame-options"),
            timing: Some(self.timing.clone()),
            is_remote: false,
            type_: type_.map_or_else(
                || "text/html".to_owned(),
                |it| format!("{}/{}", it.type_, it.subtype),
            ),
            client,
            url: self.url,
            body: self.body,
        }
    }

    /// The values of all headers with this name, joined by commas.
    fn joined(&self, name: &'static str) -> String {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
    }

    /// The first value of a header, by [isomorphic decoding](isomorphic_decode).
    fn latin1(&self, name: &'static str) -> Option<String> {
        self.headers.get(name).map(isomorphic_decode)
    }

    /// The document's client, made of its URL, its container and the response's headers.
    fn client(&self, navigation: &Navigation) -> Client {
        let nonce = Nonce::random();
        let mut client = reserved_client(navigation, &self.url, nonce);
        let policies = policy_container(&self.headers, &self.url);
        if let Some(policy) = policies.referrer_policy {
            client.referrer_policy = policy;
        }
        (client.csp_list, client.embedder_policy) = (policies.csp_list, policies.embedder_policy);
        client.upgrade_insecure_requests |=
            client.csp_list.enforced_directives("upgrade-insecure-requests").next().is_some();
        let keeps_origin = |tokens: &[String]| tokens.iter().any(|it| it == "allow-same-origin");
        if !client.csp_list.enforced_directives("sandbox").all(keeps_origin) {
            client.origin = Origin::Opaque(nonce);
        }
        client.permissions_policy = PermissionsPolicy::top_level(&client.origin, &self.headers);
        client
    }

    /// [`crossOriginIsolated`](https://html.spec.whatwg.org/multipage/webappapis.html#dom-crossoriginisolated)
    fn is_cross_origin_isolated(&self) -> bool {
        let opener_policy = bare_item(&self.headers, "cross-origin-opener-policy");
        is_potentially_trustworthy(&self.url)
            && opener_policy.as_deref() == Some("same-origin")
            && policy_container(&self.headers, &self.url).embedder_policy
                != EmbedderPolicy::UnsafeNone
    }
}
