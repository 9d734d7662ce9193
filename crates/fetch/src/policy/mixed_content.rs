//! [Mixed Content](https://w3c.github.io/webappsec-mixed-content/).

use url::Url;

use super::{
    local_network_access::target_ip_address_space, secure_contexts::is_potentially_trustworthy,
};
use crate::client::Client;

// NB: there is no function for "upgrade a mixed content request to a potentially trustworthy URL" (main fetch, step 6).
// It changes requests for images, audio and video only. An engine that sends these through the library upgrades
// their URLs itself (docs/SPEC-MAP.md, Deviations).

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
