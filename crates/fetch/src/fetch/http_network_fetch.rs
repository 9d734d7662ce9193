use bytes::Bytes;
use http::{HeaderMap, HeaderName, header::SET_COOKIE};

use super::{FetchParams, Observation};
use crate::{
    NetworkError, Request,
    host::{ConnectionKey, NetworkRequest, NetworkResponse},
    policy::hsts,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch): what is around the
/// [`Network`](crate::host::Network)'s part of it.
pub(super) async fn http_network_fetch(
    params: FetchParams<'_>,
    request: &Request,
    headers: &HeaderMap,
    body: &Bytes,
    include_credentials: bool,
    force_new_connection: bool,
) -> Result<NetworkResponse, NetworkError> {
    let url = request.current_url();
    let is_listening = params.observer.is_listening();
    if is_listening {
        params.observer.observe(Observation::RequestSent {
            is_preflight: request.is_preflight,
            method: request.method.clone(),
            url: url.clone(),
            headers: headers.clone(),
            body: body.clone(),
        });
    }
    // Steps 1 to 15.
    let response = params.profile.network.http_network_fetch(NetworkRequest {
        method: request.method.clone(),
        url: url.clone(),
        headers: headers.clone(),
        body: body.clone(),
        connection: ConnectionKey {
            partition: request.client.network_partition_key.clone(),
            credentials: include_credentials,
        },
        client: Some(request.client.clone()),
        force_new_connection,
    });
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
