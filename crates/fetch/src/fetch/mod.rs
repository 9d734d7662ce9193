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
mod http_fetch;
mod http_network_fetch;
mod http_network_or_cache_fetch;
mod http_redirect_fetch;
mod integrity;
mod main_fetch;
mod observer;
mod params;
mod prepared_requests;
mod profile;
mod tao_check;

use std::sync::Arc;

use http::{
    HeaderValue,
    header::{ACCEPT, ACCEPT_LANGUAGE},
};
use url::Url;

use self::{
    main_fetch::{main_fetch, main_fetch_for_beacon},
    params::FetchParams,
    prepared_requests::{Prepared, Settings},
};
pub use self::{
    observer::{NoObserver, Observation, Observer},
    profile::Profile,
};
use crate::{
    beacon::{Beacon, BeaconData},
    client::Client,
    error::NetworkError,
    headers::forbidden::remove_forbidden,
    request::Request,
    response::{Response, UnreadResponse},
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
    append_default_headers(profile.settings(), &mut request);
    // The caller does Step 16.
    // Steps 17 and 18.
    main_fetch(FetchParams { profile, observer }, request).await
}

/// [Fetch](https://fetch.spec.whatwg.org/#concept-fetch) for a beacon, whose response nobody reads.
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub async fn fetch_beacon(
    profile: &Profile,
    observer: &dyn Observer,
    BeaconRequest(mut request): BeaconRequest,
) -> Result<UnreadResponse, NetworkError> {
    let response = main_fetch_for_beacon(&FetchParams { profile, observer }, &mut request).await?;
    profile.prepared_requests.give_back(request);
    Ok(response)
}

/// The request of a beacon.
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub struct BeaconRequest(Box<Request>);

impl BeaconRequest {
    /// Makes the request of a beacon, or uses that of an earlier one again. Fetch it with the same profile, whose settings
    /// may not change in between.
    #[must_use]
    pub fn new(profile: &Profile, client: &Arc<Client>, url: &Arc<Url>, data: BeaconData) -> Self {
        let settings = profile.settings();
        let content_type = data.as_ref().and_then(|(_, content_type)| content_type.as_ref());
        Self(match profile.prepared_requests.take(settings, client, url, content_type) {
            Prepared::Request(mut request) => {
                request.body = data.map(|(body, _)| body);
                request
            }
            Prepared::Nothing(used_for) => {
                let (client, url) = (Arc::clone(client), Arc::clone(url));
                let mut request = Box::new(Beacon::request(client, url, data));
                append_default_headers(settings, &mut request);
                request.preparation.used_for = used_for;
                request
            }
        })
    }
}

/// Steps 12 to 14.
fn append_default_headers(settings: Settings<'_>, request: &mut Request) {
    // Step 12.
    let accept = HeaderValue::from_static(request.destination.accept());
    request.headers.entry(ACCEPT).or_insert(accept);
    // Steps 13 and 14.
    let of_client = request.client.accept_language.as_ref();
    if let Some(value) = of_client.or(settings.accept_language) {
        request.headers.entry(ACCEPT_LANGUAGE).or_insert_with(|| value.clone());
    }
}
