//! [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch), repeated for each redirect.

use std::sync::Arc;

use http::{Method, header::RANGE};

use super::{
    http_fetch::{Fetched, http_fetch},
    integrity::verified,
    observer::Observation,
    params::FetchParams,
};
use crate::{
    destination::Destination,
    error::NetworkError,
    headers::safelist::{cors_unsafe_names, is_cors_safelisted_method},
    host::EmptyBody,
    http_url::is_http,
    policy::{
        bad_port,
        csp::{self, CspDisposition, CspViolation},
        hsts, mime_type_blocking, mixed_content, referrer, upgrade_insecure_requests,
    },
    preparation::Preparation,
    request::{Mode, RedirectMode, Referrer, Request, ResponseTainting},
    response::{
        HttpResponse, Response, ResponseType, UnreadResponse, is_null_body_status,
        is_redirect_status,
    },
};

/// [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch).
pub(super) async fn main_fetch(
    params: FetchParams<'_>,
    mut request: Box<Request>,
) -> Result<Response, NetworkError> {
    let verified = {
        let response = checked_response(&params, &mut request).await?;
        // Step 23.
        let metadata = std::mem::take(&mut request.integrity_metadata);
        if metadata.is_empty() {
            return Ok(handover(*request, response));
        }
        let method = request.method.clone();
        let partition = request.client.network_partition_key.clone();
        let bodies = Arc::clone(&params.profile.verified_bodies);
        let response = handover(*request, response);
        // Boxed, because few requests have integrity metadata, and every future would reserve space for it.
        Box::pin(verified(bodies, partition, method, metadata, response))
    };
    verified.await
}

/// [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch) for a beacon. Nobody reads its response, and it has no
/// integrity metadata.
pub(super) async fn main_fetch_for_beacon(
    params: &FetchParams<'_>,
    request: &mut Request,
) -> Result<UnreadResponse, NetworkError> {
    let response = checked_response(params, request).await?;
    Ok(UnreadResponse::new(request, without_null_body(request, response)))
}

/// Steps 1 to 12, 20 and 21, repeated for each redirect.
///
/// NB: each turn of the loop is one run of the standard's algorithm. The first run has `recursive` false, and the runs
/// after a redirect have `recursive` true.
async fn checked_response(
    params: &FetchParams<'_>,
    request: &mut Request,
) -> Result<HttpResponse, NetworkError> {
    let (mut preflighted, mut is_upgraded_by_hsts) = (false, false);
    loop {
        let once = main_fetch_once(params, request, &mut preflighted, &mut is_upgraded_by_hsts);
        match once.await {
            Ok(Fetched::Redirected) => {}
            Ok(Fetched::Response(response)) => {
                check_response(params, request, &response, is_upgraded_by_hsts)?;
                return Ok(response);
            }
            Err(error) => {
                // Step 12. NB: in the standard a network error returns through every run of main fetch, and each run
                // that made a preflight clears the cache. The loop does so once for all runs.
                if preflighted {
                    params.profile.cors_preflight_cache.clear(request);
                }
                return Err(error);
            }
        }
    }
}

/// One run of main fetch until a response is there: Steps 1 to 12.
///
/// Sets `preflighted` if the run asks HTTP fetch to make a CORS preflight. Sets `is_upgraded_by_hsts` to whether step 10 has
/// changed the URL, after the policies were asked about it.
async fn main_fetch_once(
    params: &FetchParams<'_>,
    request: &mut Request,
    preflighted: &mut bool,
    is_upgraded_by_hsts: &mut bool,
) -> Result<Fetched, NetworkError> {
    // Steps 3 to 9.
    if !request.preparation.has_passed {
        request.preparation.has_passed = apply_policies(params, request)?;
    }
    // Step 10.
    let profile = params.profile;
    *is_upgraded_by_hsts =
        hsts::upgrade(&*profile.hsts, request.current_url_mut(), || profile.clock.wall());
    if *is_upgraded_by_hsts {
        request.preparation = Preparation::default();
        observe_upgrade(params, request);
    }
    // Step 12.
    let is_http = is_http(request.current_url());
    let is_same_origin = request.origin.is_same_origin_with_url(request.current_url());
    let (tainting, make_cors_preflight) =
        if is_same_origin && request.response_tainting == ResponseTainting::Basic {
            (ResponseTainting::Basic, false)
        } else if request.mode == Mode::SameOrigin {
            return Err(NetworkError::Mode("\"same-origin\", and the URL is of another origin"));
        } else if request.mode == Mode::NoCors {
            // NB: the standard also refuses reports here, because their redirect mode is "error". Then no report could
            // go to another origin, so reports are let through.
            let may_refuse_redirects = request.destination == Destination::Report;
            if request.redirect != RedirectMode::Follow && !may_refuse_redirects {
                return Err(NetworkError::Mode("\"no-cors\", and redirects are not followed"));
            }
            (ResponseTainting::Opaque, false)
        } else {
            (ResponseTainting::Cors, request.use_cors_preflight || has_unsafe_parts(request))
        };
    if !is_http {
        return Err(NetworkError::Mode("the URL is neither http nor https"));
    }
    request.response_tainting = tainting;
    *preflighted |= make_cors_preflight;
    http_fetch(params, request, make_cors_preflight).await
}

/// Steps 3 to 9: what follows from the request and its client alone.
///
/// Returns whether they need not be done to an equal request: they have told the observer nothing, and the request was not
/// redirected.
fn apply_policies(params: &FetchParams<'_>, request: &mut Request) -> Result<bool, NetworkError> {
    // Step 3 has nothing to do: the local-URLs-only flag is never set.
    // Step 4.
    let violations = csp::report_only_violations(request);
    let mut is_done_for_next = violations.is_empty() && request.redirect_count == 0;
    report_all(params, violations);
    // Step 5.
    let client = Arc::clone(&request.client);
    if upgrade_insecure_requests::upgrade(&client, request.current_url_mut()) {
        is_done_for_next = false;
        observe_upgrade(params, request);
    }
    // Step 6.
    if mixed_content::upgrade(request) {
        is_done_for_next = false;
        observe_upgrade(params, request);
    }
    // Step 7.
    if let Some(port) = bad_port::blocked_port(request.current_url()) {
        return Err(NetworkError::BadPort(port));
    }
    if mixed_content::is_blocked(&client, request.current_url()) {
        return Err(NetworkError::MixedContent);
    }
    let violations = csp::enforced_violations(request);
    if let Some(violation) = violations.first() {
        let policy = Arc::clone(&violation.original_policy);
        report_all(params, violations);
        return Err(NetworkError::Csp { policy });
    }
    // Step 8.
    let policy = request.effective_referrer_policy();
    request.referrer_policy = Some(policy);
    // Step 9.
    if request.referrer != Referrer::NoReferrer {
        request.referrer = referrer::determine_referrer(request, policy);
    }
    Ok(is_done_for_next)
}

/// Tells the observer the new current URL.
fn observe_upgrade(params: &FetchParams<'_>, request: &Request) {
    params.observer.observe(Observation::Upgraded { url: (**request.current_url()).clone() });
}

/// Tells the observer each violation.
fn report_all(params: &FetchParams<'_>, violations: Vec<CspViolation>) {
    for violation in violations {
        params.observer.observe(Observation::CspViolation(Box::new(violation)));
    }
}

/// The last condition of step 12: whether the unsafe-request flag is set, and the method or a header needs a preflight.
fn has_unsafe_parts(request: &Request) -> bool {
    request.unsafe_request
        && (!is_cors_safelisted_method(&request.method)
            || !cors_unsafe_names(&request.headers).is_empty())
}

/// Steps 20 and 21: whether something blocks the response.
///
/// NB: the request passed the same policies before. But a service worker's response may come from another URL, and HSTS may
/// have changed the URL since.
fn check_response(
    params: &FetchParams<'_>,
    request: &Request,
    response: &HttpResponse,
    is_upgraded_by_hsts: bool,
) -> Result<(), NetworkError> {
    // Step 20. NB: by Step 15, a response that a service worker made has the request's URL.
    let url = response.url(request).unwrap_or(request.current_url());
    if mixed_content::is_blocked(&request.client, url) {
        return Err(NetworkError::MixedContent);
    }
    let violations = csp::response_violations(request, url, is_upgraded_by_hsts);
    let enforced = violations.iter().find(|it| it.disposition == CspDisposition::Enforce);
    let policy = enforced.map(|violation| Arc::clone(&violation.original_policy));
    report_all(params, violations);
    if let Some(policy) = policy {
        return Err(NetworkError::Csp { policy });
    }
    let (destination, headers) = (request.destination, &response.internal.headers);
    if mime_type_blocking::is_blocked_due_to_mime_type(destination, headers)
        || mime_type_blocking::is_blocked_due_to_nosniff(destination, headers)
    {
        return Err(NetworkError::MimeType);
    }
    // Step 21. NB: only a service worker's response can have the flag without the header.
    let is_range_status = matches!(response.internal.status.as_u16(), 206 | 416);
    let is_unasked_range = is_range_status
        && response.range_requested
        && response.response_type(request) == ResponseType::Opaque
        && !request.headers.contains_key(RANGE);
    if is_unasked_range { Err(NetworkError::ServiceWorker) } else { Ok(()) }
}

/// Steps 14 to 19 and 22, and the part of [fetch response handover](https://fetch.spec.whatwg.org/#fetch-finale) that the
/// caller does not do.
fn handover(request: Request, response: HttpResponse) -> Response {
    let mut response = without_null_body(&request, response);
    // HTTP fetch, step 6.3: a manual redirect.
    let is_redirect = is_redirect_status(response.internal.status);
    if is_redirect && request.redirect == RedirectMode::Manual {
        response.filtered = Some(ResponseType::OpaqueRedirect);
    }
    // Steps 14, 16 and 19.
    Response::filtered(request, response)
}

/// Step 22.
fn without_null_body(request: &Request, mut response: HttpResponse) -> HttpResponse {
    if request.method == Method::HEAD || is_null_body_status(response.internal.status) {
        response.internal.body = Box::pin(EmptyBody);
    }
    response
}
