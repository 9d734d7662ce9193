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
    params: FetchParams<'a>,
    request: &'a Request,
    network_request: NetworkRequest,
) -> impl Future<Output = Result<NetworkResponse, NetworkError>> + Send + 'a {
    let url = request.current_url();
    let is_listening = params.observer.is_listening();
    if is_listening {
        params.observer.observe(Observation::RequestSent {
            is_preflight: request.is_preflight,
            method: request.method.clone(),
            url: url.clone(),
            headers: network_request.headers.clone(),
            body: network_request.body.clone(),
        });
    }
    let include_credentials = network_request.connection.credentials;
    // Steps 1 to 15.
    let response = params.profile.network.http_network_fetch(network_request);
    async move {
        let response = response.await?;
        if is_listening {
            params.observer.observe(Observation::ResponseStarted {
                is_preflight: request.is_preflight,
                url: url.clone(),
                status: response.status,
                version: response.version,
                headers: response.headers.clone(),
            });
        }
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
        // Step 19.
        Ok(response)
    }
}
