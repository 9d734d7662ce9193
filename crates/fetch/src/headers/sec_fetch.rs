//! The [Fetch metadata headers](https://w3c.github.io/webappsec-fetch-metadata/).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    Request, destination::Destination, policy::secure_contexts::is_potentially_trustworthy,
    request::Mode,
};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// [Append the Fetch metadata headers](https://w3c.github.io/webappsec-fetch-metadata/#abstract-opdef-append-the-fetch-metadata-headers-for-a-request)
/// for `request` to `headers`, the header list of its clone.
pub(crate) fn append_fetch_metadata(request: &Request, headers: &mut HeaderMap) {
    // Step 1. NB: the text asks about the request's URL, the first of its list. Browsers ask about the
    // current URL. So each hop has the headers only if its own URL is potentially trustworthy.
    if !is_potentially_trustworthy(request.current_url()) {
        return;
    }
    // Step 2.
    let destination = match request.destination {
        Destination::Empty => const { HeaderValue::from_static("empty") },
        other => HeaderValue::from_static(other.as_str()),
    };
    headers.insert(SEC_FETCH_DEST, destination);
    // Step 3.
    let mode = match request.mode {
        Mode::Cors => const { HeaderValue::from_static("cors") },
        Mode::NoCors => const { HeaderValue::from_static("no-cors") },
        Mode::SameOrigin => const { HeaderValue::from_static("same-origin") },
    };
    headers.insert(SEC_FETCH_MODE, mode);
    // Step 4. Step 5 concerns navigations.
    headers.insert(SEC_FETCH_SITE, site(request));
}

/// [Set the `Sec-Fetch-Site` header](https://w3c.github.io/webappsec-fetch-metadata/#abstract-opdef-set-site).
fn site(request: &Request) -> HeaderValue {
    // Step 3. Step 4 concerns navigations.
    let mut value = const { HeaderValue::from_static("same-origin") };
    // Step 5.
    for url in request.url_list() {
        if request.origin.is_same_origin_with_url(url) {
            continue;
        }
        if !request.origin.is_same_site_with_url(url) {
            return const { HeaderValue::from_static("cross-site") };
        }
        value = const { HeaderValue::from_static("same-site") };
    }
    // Step 6.
    value
}
