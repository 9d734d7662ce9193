//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch): passes a request to the `Network`.

use http::{HeaderName, HeaderValue, header::SET_COOKIE};

#[cfg(feature = "content-codings")]
use super::profile::Profile;
use super::{observer::Observation, params::FetchParams};
use crate::{
    error::NetworkError,
    headers::extract::get,
    host::{NetworkRequest, NetworkResponse},
    policy::{hsts, secure_contexts::is_potentially_trustworthy},
    request::Request,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch), except for the steps that the
/// [`Network`](crate::host::Network) does.
///
/// This is not an `async fn`: it passes the request to the network at once, so that its future reserves no space for the
/// request.
pub(super) fn http_network_fetch<'a>(
    params: &'a FetchParams<'a>,
    request: &'a Request,
    network_request: NetworkRequest,
) -> impl Future<Output = Result<NetworkResponse, NetworkError>> + Send + 'a {
    let url = request.current_url();
    let include_credentials = network_request.connection.credentials;
    // Step 2.
    let response = (!params.observer.is_offline()).then(|| {
        params.observer.request_sent(request.is_preflight, &network_request);
        // Step 1 and Steps 3 to 15. The network does them.
        params.profile.network.http_network_fetch(network_request)
    });
    async move {
        let response = response.ok_or(NetworkError::Offline)?.await?;
        params.observer.response_started(request.is_preflight, url, &response);
        // Step 17.
        if include_credentials && !request.client.cookies_disabled {
            let set_cookie: Vec<_> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
            if !set_cookie.is_empty() {
                params.profile.cookies.store(request.cookie_context(), set_cookie).get().await;
            }
        }
        // NB: not in Fetch. HSTS and Clear Site Data are standards of their own.
        if url.scheme() == "https" {
            let profile = params.profile;
            hsts::learn(&*profile.hsts, url, &response.headers, profile.clock.wall());
        }
        if include_credentials
            && is_potentially_trustworthy(url)
            && let Some(value) = get(&response.headers, &CLEAR_SITE_DATA)
            && let Ok(value) = HeaderValue::from_bytes(&value)
        {
            params.observer.observe(Observation::ClearSiteData { url: (**url).clone(), value });
        }
        // Step 18. NB: nothing is decoded yet. The returned body decodes itself while it is read.
        #[cfg(feature = "content-codings")]
        let response = decoded(params.profile, request, response);
        // Step 19.
        Ok(response)
    }
}

/// Handles the content codings of a response that somebody reads.
#[cfg(feature = "content-codings")]
fn decoded(profile: &Profile, request: &Request, mut response: NetworkResponse) -> NetworkResponse {
    if profile.decodes() && request.initiator_type.is_read() {
        let body = response.body;
        response.body = super::content_codings::handle_content_codings(&response.headers, body);
    }
    response
}
