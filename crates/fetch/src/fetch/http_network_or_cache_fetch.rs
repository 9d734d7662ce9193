//! [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch): adds the headers of
//! the user agent and sends the request.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HOST, IF_MATCH,
        IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE, REFERER,
        USER_AGENT,
    },
};
use url::Position;

use super::{
    http_network_fetch::http_network_fetch, params::FetchParams, prepared_requests::Settings,
};
use crate::{
    client::EmbedderPolicy,
    error::NetworkError,
    headers::{origin_header::append_origin, sec_fetch::append_fetch_metadata},
    host::{
        ConnectionKey, InterceptedRequest, Interception, NetworkRequest, NetworkResponse, Progress,
        Transmission,
    },
    policy::secure_contexts::is_potentially_trustworthy,
    preparation::with_cookies,
    request::{
        CacheMode, CredentialsMode, InitiatorType, Mode, RedirectTaint, Referrer, Request,
        ResponseTainting,
    },
    response::HttpResponse,
};

/// How many headers this algorithm adds to a beacon without cookies. The header list reserves this capacity. One more
/// would double the memory of the list, and one less would make the list grow.
const USUAL_HEADERS: usize = 10;

const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch).
pub(super) async fn http_network_or_cache_fetch(
    params: &FetchParams<'_>,
    request: &Request,
) -> Result<NetworkResponse, NetworkError> {
    // Step 11.1. NB: nothing is answered from a cache, so no stored response can exist.
    if request.cache == CacheMode::OnlyIfCached {
        return Err(NetworkError::Mode(
            "the cache mode is \"only-if-cached\", and nothing is cached",
        ));
    }
    let include_credentials = includes_credentials(request);
    let mut is_new_connection_fetch = false;
    // NB: a request that did not reach its server may be sent again: see `Observer::try_again`.
    let (mut is_held, mut interception) = (true, Decision::None);
    loop {
        let http_request = http_request(params, request, include_credentials, &mut interception);
        let (headers, body) = match http_request.await? {
            ControlFlow::Continue(http_request) => http_request,
            ControlFlow::Break(response) => return Ok(response),
        };
        let held = if is_held { params.observer.hold(request.current_url()) } else { None };
        if let Some(held) = held {
            // Dropped, so that the future reserves no space for them. They are made again.
            drop((headers, body));
            held.await?;
            is_held = false;
            continue;
        }
        // Steps 8.24 to 8.26 have nothing to do: the engine owns the HTTP cache, and the library only tells it what to
        // invalidate.
        // Step 11.2.
        let network_request = NetworkRequest {
            method: request.method.clone(),
            url: Arc::clone(request.current_url()),
            headers,
            body,
            connection: ConnectionKey {
                partition: request.client.network_partition_key.clone(),
                credentials: include_credentials,
            },
            client: Some(Arc::clone(&request.client)),
            force_new_connection: is_new_connection_fetch,
            connect_timeout: params.observer.connect_timeout(),
            is_awaited: params.observer.is_awaited(),
            transmission: transmission(params, request),
        };
        let turn = match http_network_fetch(params, request, network_request).await {
            // Step 17. NB: the next turn of the loop sends the request again. A body always has a source to read it from.
            Ok(response)
                if response.status == StatusCode::MISDIRECTED_REQUEST
                    && !is_new_connection_fetch =>
            {
                (is_new_connection_fetch, interception) = (true, Decision::None);
                // NB: the request is not sent any more: it waits to be sent again.
                transmission(params, request).report(Progress::InPart);
                continue;
            }
            Ok(response) => return answered(params, request, response),
            Err(error) => params.observer.try_again(request.current_url(), &error).ok_or(error)?,
        };
        turn.await?;
        is_held = false;
    }
}

/// What is told of the progress of `request`. NB: the progress of a fetch is that of its own request.
fn transmission(params: &FetchParams<'_>, request: &Request) -> Transmission {
    if request.is_preflight { Transmission::default() } else { params.observer.transmission() }
}

/// Steps 11.3 to 19: what a response of the network that is not 421 means.
fn answered(
    params: &FetchParams<'_>,
    request: &Request,
    response: NetworkResponse,
) -> Result<NetworkResponse, NetworkError> {
    // Step 11.3.
    if !request.method.is_safe() && matches!(response.status.as_u16(), 200..=399) {
        let partition = &request.client.network_partition_key;
        params.profile.http_cache.invalidate(request.current_url(), partition);
    }
    // Step 15 has nothing to do: a 401 is returned like any response. NB: a request of a window has a traversable for
    // user prompts. But the library cannot prompt the user there.
    // Step 16, as if there were no traversable for user prompts.
    if response.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(NetworkError::ProxyAuthentication);
    }
    // Step 19.
    Ok(response)
}

/// What the interceptor has decided about a request. It is asked once, even if the request is sent again because it did
/// not reach its server.
enum Decision {
    /// It was not asked yet.
    None,
    Unchanged,
    /// The header list that it has chosen.
    Changed(Arc<HeaderMap>),
}

/// Steps 8.2 to 8.23: the header list and the body of httpRequest, or the interceptor's response to it.
async fn http_request(
    params: &FetchParams<'_>,
    request: &Request,
    include_credentials: bool,
    interception: &mut Decision,
) -> Result<ControlFlow<NetworkResponse, (Arc<HeaderMap>, Bytes)>, NetworkError> {
    let mut headers = http_request_headers(params, request, include_credentials).await;
    let body = match &request.body {
        Some(body) => body.read().await?,
        None => Bytes::new(),
    };
    // Step 8.23.
    match interception {
        Decision::None => {}
        Decision::Unchanged => return Ok(ControlFlow::Continue((headers, body))),
        Decision::Changed(headers) => {
            return Ok(ControlFlow::Continue((Arc::clone(headers), body)));
        }
    }
    let intercepted = InterceptedRequest {
        request,
        headers: &headers,
        body: &body,
        is_preflight: request.is_preflight,
        document_is_gone: params.observer.document_is_gone(),
    };
    match params.profile.interceptor.before_request_sent(intercepted).get().await {
        Interception::Continue => *interception = Decision::Unchanged,
        Interception::ContinueWith(mut changed) => {
            changed.remove(CONTENT_LENGTH);
            let length = headers.get(CONTENT_LENGTH);
            changed.extend(length.map(|value| (CONTENT_LENGTH, value.clone())));
            headers = Arc::new(changed);
            if request.keepalive {
                *interception = Decision::Changed(Arc::clone(&headers));
            }
        }
        Interception::Block => return Err(NetworkError::Intercepted),
        Interception::Respond(response) => return Ok(ControlFlow::Break(response)),
    }
    Ok(ControlFlow::Continue((headers, body)))
}

/// Steps 12 to 14: makes the response to `request` from `internal`, the answer of the network. It has no URL list
/// of its own: that of the request counts.
pub(super) fn http_response(request: &Request, internal: NetworkResponse) -> HttpResponse {
    HttpResponse {
        internal,
        filtered: None,
        url_list: None,
        cors_exposed_header_names: None,
        request_includes_credentials: includes_credentials(request),
        range_requested: request.headers.contains_key(RANGE),
    }
}

/// Steps 8.3 and 8.4: includeCredentials.
fn includes_credentials(request: &Request) -> bool {
    // Step 8.3.
    let include_credentials = match request.credentials {
        CredentialsMode::Include => true,
        CredentialsMode::SameOrigin => request.response_tainting == ResponseTainting::Basic,
        CredentialsMode::Omit => false,
    };
    // Step 8.4.
    include_credentials && embedder_policy_allows_credentials(request)
}

/// [Check if Cross-Origin-Embedder-Policy allows credentials](https://fetch.spec.whatwg.org/#cross-origin-embedder-policy-allows-credentials).
fn embedder_policy_allows_credentials(request: &Request) -> bool {
    // NB: the last condition of the standard asks for a redirect-taint other than "same-origin". A credentialless document
    // would then send no cookies to its own origin. This is taken for a mistake, and the condition is reversed.
    request.mode != Mode::NoCors
        || request.client.embedder_policy != EmbedderPolicy::Credentialless
        || (request.origin.is_same_origin_with_url(request.current_url())
            && request.redirect_taint() == RedirectTaint::SameOrigin)
}

/// The header list of httpRequest, which step 8.2 clones from the request and steps 8.5 to 8.22 extend.
///
/// Steps 8.21 and 8.21.1 are in [`with_cookies`], or in `HeaderLists::get_or_make` if the list is remembered.
async fn http_request_headers(
    params: &FetchParams<'_>,
    request: &Request,
    include_credentials: bool,
) -> Arc<HeaderMap> {
    let profile = params.profile;
    // Step 8.21.1. NB: it comes first, because the capacity of the header list depends on the cookies.
    let cookies = if include_credentials && !request.client.cookies_disabled {
        profile.cookies.retrieve(request.cookie_context()).get().await
    } else {
        None
    };
    let has_cookies = cookies.is_some();
    // Steps 8.2 to 8.21.1.
    let make = || headers_of_request(profile.settings(), request, has_cookies);
    let mut headers = match request.preparation.header_lists() {
        Some(known) => known.get_or_make(request.body_length(), cookies, make),
        None => Arc::new(with_cookies(make(), cookies)),
    };
    // Step 8.21.2. NB: the credentials of the URL are only for an authentication fetch, which never happens here.
    if include_credentials && !headers.contains_key(AUTHORIZATION) {
        let entries = &profile.authentication_entries;
        let entry = entries.authorization(request.current_url(), &request.client);
        if let Some(value) = entry.get().await {
            Arc::make_mut(&mut headers).append(AUTHORIZATION, value);
        }
    }
    // The network does Step 8.22, about proxies.
    headers
}

/// Steps 8.2 to 8.20: the headers that follow from the request and the settings of the profile. If `has_cookies`, there is
/// capacity for one more header.
///
/// NB: the result is remembered for other URLs of the same origin. So the headers must follow from nothing else, and must
/// depend on no part of the URL but its origin.
fn headers_of_request(settings: Settings<'_>, request: &Request, has_cookies: bool) -> HeaderMap {
    let usual = USUAL_HEADERS + usize::from(has_cookies) + settings.extra_headers.len();
    // Step 8.2.
    let mut headers = HeaderMap::with_capacity(request.headers.len() + usual);
    // Step 8.20, only `Host`. NB: it is the first header on the wire, and inserting it later would move all others.
    let host = &request.current_url()[Position::BeforeHost..Position::AfterPort];
    append_if_any(&mut headers, HOST, HeaderValue::from_str(host).ok());
    for (name, value) in &request.headers {
        headers.append(name, value.clone());
    }
    // Steps 8.5 to 8.9.
    let is_post_or_put = matches!(request.method, Method::POST | Method::PUT);
    match &request.body {
        Some(body) => {
            headers.append(CONTENT_LENGTH, body.length().into());
        }
        None if is_post_or_put => {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        None => {}
    }
    // Step 8.10 has nothing to do: the keepalive quota was reserved when the request was made.
    // Step 8.11.
    if let Referrer::Url(url) = &request.referrer {
        // A serialised URL is ASCII without control characters, so it is always a valid header value.
        if let Ok(value) = HeaderValue::from_str(url.as_str()) {
            headers.append(REFERER, value);
        }
    }
    // Step 8.12.
    append_origin(request, &mut headers);
    // Step 8.13.
    append_fetch_metadata(request, &mut headers);
    // Step 8.15.
    if !headers.contains_key(USER_AGENT) {
        let of_client = request.client.user_agent.as_ref();
        headers.append(USER_AGENT, of_client.unwrap_or(settings.user_agent).clone());
    }
    append_cache_headers(request, &mut headers);
    // Step 8.19.
    let has_range = headers.contains_key(RANGE);
    if has_range {
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    // Step 8.20.
    if !request.is_preflight && !has_range && !settings.extra_headers.contains_key(ACCEPT_ENCODING)
    {
        append_if_any(&mut headers, ACCEPT_ENCODING, accept_encoding(settings, request));
    }
    if request.initiator_type == InitiatorType::Beacon && !request.is_preflight {
        append_if_any(&mut headers, PRIORITY, settings.beacon_priority.cloned());
    }
    for name in settings.extra_headers.keys() {
        if !headers.contains_key(name) {
            for value in settings.extra_headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
    headers
}

fn append_if_any(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.append(name, value);
    }
}

/// The value of `Accept-Encoding`, or `None` if the request gets no such header.
///
/// It names only codings that the library can decode. If the profile does not decode, a response that script may read
/// must not be encoded. The coding of a response that nobody reads does not matter.
fn accept_encoding(settings: Settings<'_>, request: &Request) -> Option<HeaderValue> {
    if request.initiator_type.is_read() && !settings.decodes {
        return None;
    }
    // NB: like browsers, this asks for `br` and `zstd` only where no proxy can read the connection. Old proxies do not know
    // these codings.
    let is_private = is_potentially_trustworthy(request.current_url());
    Some(if is_private {
        const { HeaderValue::from_static("gzip, deflate, br, zstd") }
    } else {
        const { HeaderValue::from_static("gzip, deflate") }
    })
}

/// Steps 8.16 to 8.18: adds the headers that the cache mode asks for.
fn append_cache_headers(request: &Request, headers: &mut HeaderMap) {
    const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
    const CONDITIONS: [HeaderName; 5] =
        [IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, IF_MATCH, IF_RANGE];
    // Step 8.16. NB: the steps above add no conditional header, so the request's own headers are enough to look at.
    let is_conditional = request.headers.keys().any(|name| CONDITIONS.contains(name));
    let cache = match request.cache {
        CacheMode::Default if is_conditional => CacheMode::NoStore,
        cache => cache,
    };
    match cache {
        // Step 8.17.
        CacheMode::NoCache => {
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("max-age=0"));
        }
        // Step 8.18.
        CacheMode::NoStore | CacheMode::Reload => {
            headers.entry(PRAGMA).or_insert(NO_CACHE);
            headers.entry(CACHE_CONTROL).or_insert(NO_CACHE);
        }
        CacheMode::Default | CacheMode::ForceCache | CacheMode::OnlyIfCached => {}
    }
}
