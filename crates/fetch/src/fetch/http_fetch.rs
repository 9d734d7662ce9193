use super::{
    FetchParams, Observation, cors_check::cors_check, cors_preflight_fetch::cors_preflight_fetch,
    cross_origin_resource_policy, http_network_or_cache_fetch::http_network_or_cache_fetch,
    http_redirect_fetch::http_redirect_fetch, main_fetch::is_cors_safelisted_method,
};
use crate::{
    NetworkError, RedirectFailure, Request, ResponseType,
    headers::safelist::cors_unsafe_names,
    host::{NetworkResponse, ServiceWorkerResponse},
    request::{Mode, RedirectMode, ResponseTainting},
    response::{drain_what_is_there, is_redirect_status},
};

/// What HTTP fetch leaves to main fetch.
pub(super) enum Fetched {
    /// A response.
    Response(NetworkResponse),
    /// A redirect was followed: the request has a new current URL for main fetch to run on.
    Redirected,
}

/// [HTTP fetch](https://fetch.spec.whatwg.org/#http-fetch).
pub(super) async fn http_fetch(
    params: FetchParams<'_>,
    request: &mut Request,
    make_cors_preflight: bool,
) -> Result<Fetched, NetworkError> {
    let mut is_opaque = request.response_tainting == ResponseTainting::Opaque;
    // Step 3.
    let response = match handle_fetch(params, request).await? {
        Some((response, type_)) => {
            is_opaque |= type_ == ResponseType::Opaque;
            response
        }
        // Step 4.
        None => from_network(params, request, make_cors_preflight).await?,
    };
    // Step 5.
    if is_opaque && cross_origin_resource_policy::blocks(request, &response.headers) {
        return Err(NetworkError::CrossOriginResourcePolicy);
    }
    // Step 6.
    if !is_redirect_status(response.status) {
        return Ok(Fetched::Response(response));
    }
    // Step 6.3.
    match request.redirect {
        RedirectMode::Error => Err(RedirectFailure::Forbidden.into()),
        RedirectMode::Manual => Ok(Fetched::Response(response)),
        RedirectMode::Follow => {
            if http_redirect_fetch(request, response.status, &response.headers)? {
                drain_what_is_there(response.body);
                let url = request.current_url().clone();
                params.observer.observe(Observation::Redirected { url });
                Ok(Fetched::Redirected)
            } else {
                Ok(Fetched::Response(response))
            }
        }
    }
}

/// Steps 3.1 to 3.6: the service worker's response, if it has one.
async fn handle_fetch(
    params: FetchParams<'_>,
    request: &Request,
) -> Result<Option<(NetworkResponse, ResponseType)>, NetworkError> {
    if !request.use_service_workers {
        return Ok(None);
    }
    let Some(answer) = params.profile.service_workers.handle_fetch(request).get().await else {
        return Ok(None);
    };
    let ServiceWorkerResponse { type_, url_list_length, response } = answer;
    // Step 3.5.7.
    let Some(type_) = type_ else { return Err(NetworkError::ServiceWorker) };
    let is_refused = (request.mode == Mode::SameOrigin && type_ == ResponseType::Cors)
        || (request.mode != Mode::NoCors && type_ == ResponseType::Opaque)
        || (request.redirect != RedirectMode::Manual && type_ == ResponseType::OpaqueRedirect)
        || (request.redirect != RedirectMode::Follow && url_list_length > 1);
    if is_refused {
        return Err(NetworkError::ServiceWorker);
    }
    Ok(Some((response, type_)))
}

async fn from_network(
    params: FetchParams<'_>,
    request: &mut Request,
    make_cors_preflight: bool,
) -> Result<NetworkResponse, NetworkError> {
    // Step 4.1.
    if make_cors_preflight && needs_cors_preflight(params, request) {
        cors_preflight_fetch(params, request).await?;
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
    Ok(response)
}

/// Step 4.1's conditions.
fn needs_cors_preflight(params: FetchParams<'_>, request: &Request) -> bool {
    let cache = &params.profile.cors_preflight_cache;
    let now = params.profile.clock.now();
    let method_is_new = (!is_cors_safelisted_method(&request.method) || request.use_cors_preflight)
        && !cache.matches_method(request, now);
    method_is_new
        || cors_unsafe_names(&request.headers)
            .iter()
            .any(|name| !cache.matches_header_name(request, name, now))
}
