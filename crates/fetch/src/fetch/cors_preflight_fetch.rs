//! [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch): asks a server whether it allows a request.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION,
    },
};

use super::{
    cors_check::cors_check, http_network_or_cache_fetch::http_network_or_cache_fetch,
    params::FetchParams,
};
use crate::{
    error::PreflightFailure,
    headers::{
        extract::{extract_delta_seconds, extract_tokens},
        safelist::is_cors_safelisted_method,
    },
    request::{CredentialsMode, Mode, Request, ResponseTainting},
    response::drain_arrived,
};

/// [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch). `unsafe_names` are the CORS-unsafe request-header
/// names of the request, sorted.
pub(super) async fn cors_preflight_fetch(
    params: &FetchParams<'_>,
    request: &Request,
    unsafe_names: &[HeaderName],
) -> Result<(), PreflightFailure> {
    let preflight = preflight_request(request, unsafe_names);
    // Step 6.
    let response = http_network_or_cache_fetch(params, &preflight)
        .await
        .map_err(|error| PreflightFailure::Network(Box::new(error)))?;
    let (status, response_headers) = (response.status, response.headers);
    drain_arrived(response.body);
    check_preflight(params, request, unsafe_names, status, &response_headers)
}

/// Steps 1 to 5: makes the preflight for `request`.
fn preflight_request(request: &Request, unsafe_names: &[HeaderName]) -> Request {
    // Step 1. NB: the preflight gets the request's URL list, so that both have the same redirect-taint and the same
    // `Origin` header.
    let (client, url) = (Arc::clone(&request.client), Arc::clone(request.current_url()));
    let mut preflight = Request::with_shared_url(client, url);
    preflight.method = Method::OPTIONS;
    preflight.url_list.clone_from(&request.url_list);
    preflight.origin = request.origin.clone();
    preflight.referrer = request.referrer.clone();
    preflight.referrer_policy = request.referrer_policy;
    preflight.initiator_type = request.initiator_type;
    preflight.destination = request.destination;
    preflight.keepalive = request.keepalive;
    preflight.is_preflight = true;
    preflight.mode = Mode::Cors;
    preflight.response_tainting = ResponseTainting::Cors;
    // Step 2.
    preflight.headers.append(ACCEPT, HeaderValue::from_static("*/*"));
    // Step 3. NB: a method is a token, and every token is a valid header value.
    if let Ok(method) = HeaderValue::from_str(request.method.as_str()) {
        preflight.headers.append(ACCESS_CONTROL_REQUEST_METHOD, method);
    }
    // Steps 4 and 5.
    if !unsafe_names.is_empty() {
        let names: Vec<&str> = unsafe_names.iter().map(HeaderName::as_str).collect();
        if let Ok(value) = HeaderValue::try_from(names.join(",")) {
            preflight.headers.append(ACCESS_CONTROL_REQUEST_HEADERS, value);
        }
    }
    preflight
}

/// Steps 7 and 8: checks the response to the preflight, and stores what it allows in the CORS-preflight cache.
fn check_preflight(
    params: &FetchParams<'_>,
    request: &Request,
    unsafe_names: &[HeaderName],
    status: StatusCode,
    response_headers: &HeaderMap,
) -> Result<(), PreflightFailure> {
    // Steps 7 and 8.
    cors_check(request, response_headers).map_err(PreflightFailure::Cors)?;
    if !status.is_success() {
        return Err(PreflightFailure::Status(status.as_u16()));
    }
    // Steps 7.1 to 7.3.
    let methods = extract_tokens(response_headers, &ACCESS_CONTROL_ALLOW_METHODS)
        .map_err(|_| PreflightFailure::Header("Access-Control-Allow-Methods"))?;
    let header_names = extract_tokens(response_headers, &ACCESS_CONTROL_ALLOW_HEADERS)
        .map_err(|_| PreflightFailure::Header("Access-Control-Allow-Headers"))?
        .unwrap_or_default();
    // Step 7.4.
    let method = request.method.as_str();
    let methods = match methods {
        Some(methods) => methods,
        None if request.use_cors_preflight => vec![method],
        None => Vec::new(),
    };
    // Step 7.5. NB: method names are case-sensitive. With credentials, `*` is an ordinary method name.
    let wildcard_counts = request.credentials != CredentialsMode::Include;
    let method_is_allowed = methods.contains(&method)
        || is_cors_safelisted_method(&request.method)
        || (wildcard_counts && methods.contains(&"*"));
    if !method_is_allowed {
        return Err(PreflightFailure::Method(request.method.clone()));
    }
    // Steps 7.6 and 7.7. NB: `Authorization` is the one header that `*` does not stand for. There is one pass over the list,
    // with a binary search in the sorted names, because a page may send many names and its server may list many.
    let any_name = wildcard_counts && header_names.contains(&"*");
    let mut is_listed: Vec<_> =
        unsafe_names.iter().map(|name| any_name && *name != AUTHORIZATION).collect();
    let mut lower_case = String::new();
    for name in &header_names {
        lower_case.replace_range(.., name);
        lower_case.make_ascii_lowercase();
        if let Ok(at) = unsafe_names.binary_search_by(|it| it.as_str().cmp(&*lower_case)) {
            is_listed[at] = true;
        }
    }
    if let Some(at) = is_listed.iter().position(|is_listed| !is_listed) {
        return Err(PreflightFailure::HeaderName(unsafe_names[at].clone()));
    }
    // Steps 7.8 and 7.9.
    let max_age = extract_delta_seconds(response_headers, &ACCESS_CONTROL_MAX_AGE).unwrap_or(5);
    // Steps 7.10 to 7.15.
    let now = params.profile.clock.now();
    params.profile.cors_preflight_cache.store(request, max_age, &methods, &header_names, now);
    // Step 7.16.
    Ok(())
}
