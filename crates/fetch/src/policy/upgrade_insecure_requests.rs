//! [Upgrade Insecure Requests](https://w3c.github.io/webappsec-upgrade-insecure-requests/).

use std::sync::Arc;

use url::Url;

use crate::client::Client;

/// [Upgrade request to a potentially trustworthy URL, if appropriate](https://w3c.github.io/webappsec-upgrade-insecure-requests/#upgrade-request),
/// for a request of `client` with the current URL `current_url`. Returns whether the URL was upgraded.
pub(crate) fn upgrade(client: &Client, current_url: &mut Arc<Url>) -> bool {
    // Steps 1 and 2 are for navigations.
    // Steps 3 to 5. NB: the standard upgrades loopback URLs too, and so does this. Chromium and Firefox do not.
    let is_upgraded = client.upgrade_insecure_requests && current_url.scheme() == "http";
    if is_upgraded {
        set_scheme_to_https(Arc::make_mut(current_url));
    }
    is_upgraded
}

/// Changes the scheme of an `http` URL to `https`.
///
/// Both schemes are special, so the URL keeps its host and an explicit port. A default port becomes the default port
/// of `https`.
pub(super) fn set_scheme_to_https(url: &mut Url) {
    let is_set = url.set_scheme("https");
    debug_assert!(is_set.is_ok(), "http and https are both special schemes");
}
