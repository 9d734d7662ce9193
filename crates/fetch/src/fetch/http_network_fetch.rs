use http::{HeaderName, header::SET_COOKIE};

use super::{FetchParams, Observation};
use crate::{
    NetworkError, Request,
    host::{NetworkRequest, NetworkResponse},
    policy::hsts,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch): what is around the
/// [`Network`](crate::host::Network)'s part of it.
///
/// The network is asked at once, so that the future has no room for the request that goes to it.
pub(super) fn http_network_fetch<'a>(
    params: &'a FetchParams<'a>,
    request: &'a Request,
    network_request: NetworkRequest,
) -> impl Future<Output = Result<NetworkResponse, NetworkError>> + Send + 'a {
    let url = request.current_url();
    params.observer.request_sent(request.is_preflight, &network_request);
    let include_credentials = network_request.connection.credentials;
    // Steps 1 to 15.
    let response = params.profile.network.http_network_fetch(network_request);
    async move {
        let response = response.await?;
        params.observer.response_started(request.is_preflight, url, &response);
        // Step 17.
        if include_credentials && !request.client.cookies_disabled {
            let set_cookie: Vec<_> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
            if !set_cookie.is_empty() {
                params.profile.cookies.store(request.cookie_context(), set_cookie).get().await;
            }
        }
        if url.scheme() == "https" {
            let profile = params.profile;
            hsts::learn(&*profile.hsts, url, &response.headers, profile.clock.wall());
            if let Some(value) = response.headers.get(CLEAR_SITE_DATA) {
                let (url, value) = (url.clone(), value.clone());
                params.observer.observe(Observation::ClearSiteData { url, value });
            }
        }
        // Step 18: the body is decoded as it is read.
        #[cfg(feature = "content-codings")]
        let response = decoded(params.profile, request, response);
        // Step 19.
        Ok(response)
    }
}

#[cfg(feature = "content-codings")]
fn decoded(
    profile: &super::Profile,
    request: &Request,
    mut response: NetworkResponse,
) -> NetworkResponse {
    // NB: nobody reads what a beacon, a ping or a report is answered with.
    if profile.decodes() && request.initiator_type == crate::InitiatorType::Fetch {
        let body = response.body;
        response.body = super::content_codings::handle_content_codings(&response.headers, body);
    }
    response
}
