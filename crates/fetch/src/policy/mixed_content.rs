//! [Mixed Content](https://w3c.github.io/webappsec-mixed-content/).

use url::Url;

use super::secure_contexts::is_potentially_trustworthy;
use crate::Client;

// NB: the upgrade of a mixed content request (main fetch, step 6) is for images, audio and video. It
// leaves a request with an empty destination as it is, so there is no function for it.

/// [Should fetching request be blocked as mixed content?](https://w3c.github.io/webappsec-mixed-content/#should-block-fetch),
/// for a request of `client` whose current URL is `current_url`.
pub(crate) fn is_blocked(client: &Client, current_url: &Url) -> bool {
    // Step 1's four conditions: the third is a setting we do not have, the fourth is for navigations.
    client.prohibits_mixed_security_contexts && !is_potentially_trustworthy(current_url)
}
