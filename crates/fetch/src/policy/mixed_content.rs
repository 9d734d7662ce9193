//! [Mixed Content](https://w3c.github.io/webappsec-mixed-content/).

use std::sync::Arc;

use url::{Host, Url};

use super::{
    local_network_access::target_ip_address_space, secure_contexts::is_potentially_trustworthy,
    upgrade_insecure_requests::set_scheme_to_https,
};
use crate::{client::Client, destination::Destination, request::Request};

/// [Upgrade a mixed content request to a potentially trustworthy URL, if appropriate](https://w3c.github.io/webappsec-mixed-content/#upgrade-algorithm).
/// Returns whether the URL was upgraded.
pub(crate) fn upgrade(request: &mut Request) -> bool {
    // Step 1. NB: a request has no initiator here, so the images of an image set are upgraded like others. By Local Network
    // Access, a URL of the local network is not upgraded, and not blocked either.
    let url = request.current_url();
    let is_upgraded =
        matches!(request.destination, Destination::Image | Destination::Audio | Destination::Video)
            && url.scheme() == "http"
            && matches!(url.host(), Some(Host::Domain(_)))
            && is_blocked(&request.client, url);
    // Step 2.
    if is_upgraded {
        set_scheme_to_https(Arc::make_mut(request.current_url_mut()));
    }
    is_upgraded
}

/// [Should fetching request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-fetch),
/// for a request of `client` with the current URL `url`, and
/// [should response to request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-response),
/// for a response from `url`. Both ask the same of their URL.
pub(crate) fn is_blocked(client: &Client, url: &Url) -> bool {
    // Step 1 has four conditions. The third is a user setting that this library does not have. The fourth is for
    // navigations. Local Network Access adds a fifth one.
    client.prohibits_mixed_security_contexts
        && !is_potentially_trustworthy(url)
        && target_ip_address_space(client, url).is_none()
}
