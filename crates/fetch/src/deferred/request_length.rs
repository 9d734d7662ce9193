//! The total request length, in which the deferred-fetch quota is counted.

use crate::{Body, Referrer, Request, http_url::url_length};

/// Compute the [total request length](https://fetch.spec.whatwg.org/#total-request-length), in bytes.
#[must_use]
pub fn total_request_length(request: &Request) -> u64 {
    // Step 1.
    let mut length = url_length(request.url());
    // Step 2. NB: a referrer that is not a URL counts as the string that script sees in `Request.referrer`.
    length += match &request.referrer {
        Referrer::NoReferrer => 0,
        Referrer::Client => "about:client".len(),
        Referrer::Url(url) => url.as_str().len(),
    };
    // Step 3.
    length += request
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum::<usize>();
    // Steps 4 and 5.
    (length as u64).saturating_add(request.body.as_ref().map_or(0, Body::length))
}
