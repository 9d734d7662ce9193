//! What counts about the URL of a request: that its scheme is an HTTP(S) scheme, and its length.

use url::Url;

/// The longest URL, without its fragment, that `http::Uri` can hold, in bytes.
pub(crate) const MAX_URL_LENGTH: usize = 65_534;

/// Whether the URL's scheme is an [HTTP(S) scheme](https://fetch.spec.whatwg.org/#http-scheme).
pub(crate) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The length of a URL in bytes, without its fragment, which is not sent. A URL counts that much in a
/// [`Weight`](crate::Weight).
#[must_use]
pub fn url_length(url: &Url) -> usize {
    url.as_str().len() - url.fragment().map_or(0, |fragment| fragment.len() + 1)
}
