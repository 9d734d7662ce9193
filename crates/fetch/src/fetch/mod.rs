//! [Fetching](https://fetch.spec.whatwg.org/#fetching). Each algorithm of this section of the standard has its own file.
//!
//! In the standard the algorithms call each other in a ring: main fetch calls HTTP fetch, HTTP fetch calls
//! HTTP-redirect fetch, and that calls main fetch again. Here the ring is a loop in `main_fetch`.

#[cfg(feature = "content-codings")]
mod content_codings;
mod cors_check;
mod cors_preflight_cache;
mod cors_preflight_fetch;
mod cross_origin_resource_policy;
mod header_lists;
mod http_fetch;
mod http_network_fetch;
mod http_network_or_cache_fetch;
mod http_redirect_fetch;
mod integrity;
mod main_fetch;
mod observer;
mod params;
mod profile;
mod tao_check;

use http::{
    HeaderValue,
    header::{ACCEPT, ACCEPT_LANGUAGE},
};

use self::params::FetchParams;
pub use self::{
    observer::{NoObserver, Observation, Observer},
    profile::Profile,
};
use crate::{
    error::NetworkError, headers::forbidden::remove_forbidden, request::Request, response::Response,
};

/// How many headers a request may have. A server takes fewer.
const MAX_HEADERS: usize = 1_000;

/// [Fetch](https://fetch.spec.whatwg.org/#concept-fetch) `request` until the head of its response is there.
///
/// The caller keeps the fetch record: it holds the request's reservation until it has read the body to its end. To
/// abort the fetch, it drops the future.
///
/// The request is boxed because each `async fn` that a request passes through would otherwise reserve space for it in
/// the future.
///
/// # Errors
/// A network error with its reason.
pub async fn fetch(
    profile: &Profile,
    observer: &dyn Observer,
    mut request: Box<Request>,
) -> Result<Response, NetworkError> {
    // NB: a `HeaderMap` has no room for very many names, and headers are added to these.
    if request.headers.len() > MAX_HEADERS {
        let detail = format!("a request has {MAX_HEADERS} headers at most");
        return Err(NetworkError::Unsendable(detail));
    }
    // NB: the standard's `Headers` class drops the forbidden request-headers that script sets. An engine might not do so.
    remove_forbidden(&mut request.headers);
    // Steps 1 to 11 and 15 have nothing to do here. The client is known, there are no preloads, and the caller keeps the
    // timing info.
    // Step 12.
    let accept = HeaderValue::from_static(request.destination.accept());
    request.headers.entry(ACCEPT).or_insert(accept);
    // Steps 13 and 14.
    let of_client = request.client.accept_language.as_ref();
    if let Some(value) = of_client.or(profile.accept_language.as_ref()) {
        request.headers.entry(ACCEPT_LANGUAGE).or_insert_with(|| value.clone());
    }
    // The caller does Step 16.
    // Steps 17 and 18.
    main_fetch::main_fetch(FetchParams { profile, observer }, request).await
}
