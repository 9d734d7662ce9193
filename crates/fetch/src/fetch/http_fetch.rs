//! [HTTP fetch](https://fetch.spec.whatwg.org/#http-fetch): a service worker or the network answers the request.

use http::HeaderName;

use super::{
    cors_check::cors_check,
    cors_preflight_fetch::cors_preflight_fetch,
    cross_origin_resource_policy,
    http_network_or_cache_fetch::{http_network_or_cache_fetch, http_response},
    http_redirect_fetch::http_redirect_fetch,
    observer::Observation,
    params::FetchParams,
    tao_check::tao_check,
};
use crate::{
    error::{NetworkError, RedirectFailure},
    headers::safelist::{cors_unsafe_names, is_cors_safelisted_method},
    host::{
        Answer, BoxFuture, NetworkResponse, Progress, ServiceWorkerAnswer, ServiceWorkerResponse,
    },
    request::{Mode, RedirectMode, Request, ResponseTainting},
    response::{HttpResponse, ResponseType, drain_arrived, is_redirect_status},
};

/// The result of HTTP fetch.
pub(super) enum Fetched {
    /// A response for main fetch to return.
    Response(HttpResponse),
    /// A redirect. The request has a new current URL, and main fetch runs again.
    Redirected,
}

/// [HTTP fetch](https://fetch.spec.whatwg.org/#http-fetch).
pub(super) async fn http_fetch(
    params: &FetchParams<'_>,
    request: &mut Request,
    make_cors_preflight: bool,
) -> Result<Fetched, NetworkError> {
    // Step 3. NB: the early return drops the service worker's answer before step 4, so that the future reserves no space
    // for both.
    if let Some(response) = handle_fetch(params, request).await? {
        return fetched(params, request, response);
    }
    // Step 4.
    let internal = from_network(params, request, make_cors_preflight).await?;
    let response = http_response(request, internal);
    fetched(params, request, response)
}

/// Steps 5 and 6: checks the cross-origin resource policy and follows a redirect.
fn fetched(
    params: &FetchParams<'_>,
    request: &mut Request,
    response: HttpResponse,
) -> Result<Fetched, NetworkError> {
    // Step 5.
    let is_opaque = request.response_tainting == ResponseTainting::Opaque
        || response.filtered == Some(ResponseType::Opaque);
    if is_opaque && cross_origin_resource_policy::blocks(request, &response) {
        return Err(NetworkError::CrossOriginResourcePolicy);
    }
    // Step 6.
    if !is_redirect_status(response.internal.status) {
        return Ok(Fetched::Response(response));
    }
    // Step 6.3.
    match request.redirect {
        RedirectMode::Error => Err(RedirectFailure::Forbidden.into()),
        RedirectMode::Manual => Ok(Fetched::Response(response)),
        RedirectMode::Follow => {
            let response_url = response.url(request).cloned();
            let NetworkResponse { status, headers, .. } = &response.internal;
            if http_redirect_fetch(request, *status, headers, response_url.as_ref())? {
                drain_arrived(response.internal.body);
                let url = (**request.current_url()).clone();
                params.observer.observe(Observation::Redirected { url });
                Ok(Fetched::Redirected)
            } else {
                Ok(Fetched::Response(response))
            }
        }
    }
}

/// Steps 3.1 to 3.6: returns the response of the service worker, or `None` if the request goes to the network.
async fn handle_fetch(
    params: &FetchParams<'_>,
    request: &Request,
) -> Result<Option<HttpResponse>, NetworkError> {
    if !request.use_service_workers {
        return Ok(None);
    }
    let started = params.profile.clock.now();
    let answer = match params.profile.service_workers.handle_fetch(request) {
        Answer::Ready(answer) => answer,
        // NB: boxed, because few requests have a service worker.
        Answer::Later(answer) => Box::pin(answer_of_worker(params, answer)).await,
    };
    if !matches!(answer, ServiceWorkerAnswer::Network) {
        params.observer.service_worker_answered(started);
    }
    let response = match answer {
        ServiceWorkerAnswer::Network => return Ok(None),
        // Step 3.5.7.
        ServiceWorkerAnswer::Error => return Err(NetworkError::ServiceWorker),
        ServiceWorkerAnswer::Response(response) => response,
    };
    let ServiceWorkerResponse {
        filtered,
        url_list,
        cors_exposed_header_names,
        request_includes_credentials,
        range_requested,
        response: internal,
    } = response;
    let is = |type_| filtered == Some(type_);
    let is_refused = (request.mode == Mode::SameOrigin && is(ResponseType::Cors))
        || (request.mode != Mode::NoCors && is(ResponseType::Opaque))
        || (request.redirect != RedirectMode::Manual && is(ResponseType::OpaqueRedirect))
        || (request.redirect != RedirectMode::Follow && url_list.len() > 1);
    if is_refused {
        return Err(NetworkError::ServiceWorker);
    }
    Ok(Some(HttpResponse {
        internal,
        filtered,
        url_list: Some(url_list),
        cors_exposed_header_names: filtered.map(|_| cors_exposed_header_names),
        request_includes_credentials,
        range_requested,
    }))
}

/// Waits for a service worker, which may send the request itself meanwhile.
async fn answer_of_worker(
    params: &FetchParams<'_>,
    answer: BoxFuture<'static, ServiceWorkerAnswer>,
) -> ServiceWorkerAnswer {
    let transmission = params.observer.transmission();
    transmission.report(Progress::InPart);
    if let Some(noted) = transmission.before_writing() {
        noted.await;
    }
    let answer = answer.await;
    if matches!(answer, ServiceWorkerAnswer::Network) {
        transmission.report(Progress::Unsent);
    }
    answer
}

/// Steps 4.1 to 4.5: returns the response of the network.
async fn from_network(
    params: &FetchParams<'_>,
    request: &mut Request,
    make_cors_preflight: bool,
) -> Result<NetworkResponse, NetworkError> {
    // Step 4.1.
    if make_cors_preflight && let Some(unsafe_names) = names_to_preflight(params, request) {
        // Boxed, because few fetches make a preflight, and every future would reserve space for it.
        Box::pin(cors_preflight_fetch(params, request, &unsafe_names)).await?;
    }
    // Step 4.2.
    if request.redirect == RedirectMode::Follow {
        request.use_service_workers = false;
    }
    // Step 4.3.
    let response = http_network_or_cache_fetch(params, request).await?;
    // Step 4.4.
    if request.response_tainting == ResponseTainting::Cors {
        cors_check(request, &response.headers)?;
    }
    // Step 4.5.
    if !tao_check(request, &response.headers) {
        request.timing_allow_failed = true;
    }
    Ok(response)
}

/// The conditions of Step 4.1: whether the method or a header is neither safelisted nor in the CORS-preflight cache.
///
/// Returns `None` if the request needs no preflight. Otherwise returns its CORS-unsafe request-header names. The list is
/// empty if the method alone needs the preflight, or if the use-CORS-preflight flag does.
fn names_to_preflight(params: &FetchParams<'_>, request: &Request) -> Option<Vec<HeaderName>> {
    let names = cors_unsafe_names(&request.headers);
    let method_is_safe = is_cors_safelisted_method(&request.method) && !request.use_cors_preflight;
    if method_is_safe && names.is_empty() {
        return None;
    }
    let (cache, now) = (&params.profile.cors_preflight_cache, params.profile.clock.now());
    // NB: one look-up, because a page may set many headers.
    (!cache.permits(request, method_is_safe, &names, now)).then_some(names)
}
