//! [Mixed Content](https://w3c.github.io/webappsec-mixed-content/).

use url::Url;

use super::secure_contexts::is_potentially_trustworthy;
use crate::client::Client;

// NB: there is no function for "upgrade a mixed content request to a potentially trustworthy URL" (main fetch, step 6).
// It changes requests for images, audio and video only, and our requests have an empty destination.

/// [Should response to request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-response),
/// for a response from `url` to a request of `client`.
pub(crate) fn is_response_blocked(client: &Client, url: &Url) -> bool {
    // Step 1 has the same conditions as below, for the response's URL.
    client.prohibits_mixed_security_contexts && !is_potentially_trustworthy(url)
}

/// [Should fetching request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-fetch),
/// for a request of `client` with the current URL `current_url`.
pub(crate) fn is_blocked(client: &Client, current_url: &Url) -> bool {
    // Step 1 has four conditions. The third is a user setting that this library does not have. The fourth is for
    // navigations.
    client.prohibits_mixed_security_contexts && !is_potentially_trustworthy(current_url)
}
