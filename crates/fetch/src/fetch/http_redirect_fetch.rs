//! [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#http-redirect-fetch): prepares the request for the next URL.

use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE},
};
use url::Url;

use crate::{
    error::RedirectFailure,
    http_url::is_http,
    origin::same_origin,
    policy::referrer::set_policy_on_redirect,
    preparation::Preparation,
    request::{Mode, Request, ResponseTainting},
    response::location_url,
};

/// [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#http-redirect-fetch), up to its call of main fetch, for a
/// response from `response_url`, which may be null, with `status` and `headers`.
///
/// Returns false if the response has no `Location` header. Then the response is not a redirect, and the fetch returns it.
pub(super) fn http_redirect_fetch(
    request: &mut Request,
    status: StatusCode,
    headers: &HeaderMap,
    response_url: Option<&Url>,
) -> Result<bool, RedirectFailure> {
    // Steps 3 to 5.
    let fragment = request.current_url().fragment();
    let Some(location_url) = location_url(headers, response_url, fragment)? else {
        return Ok(false);
    };
    // Step 6.
    if !is_http(&location_url) {
        return Err(RedirectFailure::NotHttp);
    }
    // Step 7.
    if request.redirect_count == 20 {
        return Err(RedirectFailure::TooMany);
    }
    // NB: main fetch does all its steps again.
    request.preparation = Preparation::default();
    // Step 8.
    request.redirect_count += 1;
    let includes_credentials =
        !location_url.username().is_empty() || location_url.password().is_some();
    // Step 9.
    let is_cross_origin = !request.origin.is_same_origin_with_url(&location_url);
    if request.mode == Mode::Cors && includes_credentials && is_cross_origin {
        return Err(RedirectFailure::Credentials);
    }
    // Step 10.
    if request.response_tainting == ResponseTainting::Cors && includes_credentials {
        return Err(RedirectFailure::Credentials);
    }
    // Step 11 never applies: a body always has a source.
    // Step 12.
    let becomes_get = match status.as_u16() {
        301 | 302 => request.method == Method::POST,
        303 => !matches!(request.method, Method::GET | Method::HEAD),
        _ => false,
    };
    if becomes_get {
        // Step 12.1.
        request.method = Method::GET;
        request.body = None;
        // Step 12.2. These are the request-body-header names.
        for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE] {
            request.headers.remove(name);
        }
    }
    // Step 13. `Authorization` is the only CORS non-wildcard request-header name.
    if !same_origin(request.current_url(), &location_url) {
        request.headers.remove(AUTHORIZATION);
    }
    // Step 14 has nothing to do: each hop reads the body from its source anew.
    // The driver does Steps 15 to 17.
    // Step 18.
    request.push_url(location_url);
    // Step 19.
    set_policy_on_redirect(request, headers);
    // Steps 20 to 22 are the loop in `main_fetch`.
    Ok(true)
}
