//! [Upgrade Insecure Requests](https://w3c.github.io/webappsec-upgrade-insecure-requests/).

use url::Url;

use crate::Client;

/// [Upgrade request to a potentially trustworthy URL, if appropriate](https://w3c.github.io/webappsec-upgrade-insecure-requests/#upgrade-request),
/// for a request of `client` whose current URL is `current_url`.
pub(crate) fn upgrade(client: &Client, current_url: &mut Url) {
    // Steps 1 and 2 are for navigations. Steps 3 to 5. NB: the text upgrades loopback, too, and so do
    // we; Chromium and Firefox leave it.
    if client.upgrade_insecure_requests && current_url.scheme() == "http" {
        set_scheme_to_https(current_url);
    }
}

/// Both schemes are special, so the URL's port and host stay valid: a default port stays a default.
pub(super) fn set_scheme_to_https(url: &mut Url) {
    let is_set = url.set_scheme("https");
    debug_assert!(is_set.is_ok(), "http and https are both special schemes");
}
