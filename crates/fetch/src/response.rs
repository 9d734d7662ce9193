//! [Responses](https://fetch.spec.whatwg.org/#responses). A network error is not a response here, but the
//! error of a `Result`.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{ACCESS_CONTROL_EXPOSE_HEADERS, LOCATION},
};
use url::Url;

use crate::{
    NetworkError, RedirectFailure, Request,
    headers::extract::extract_tokens,
    host::{EmptyBody, NetworkResponse, ResponseBody},
    request::{CredentialsMode, ResponseTainting},
};

const SET_COOKIE2: HeaderName = HeaderName::from_static("set-cookie2");

/// A response of HTTP fetch, from the network or a service worker. It is not filtered yet.
pub(crate) struct HttpResponse {
    /// The response as received, or the internal response of a service worker's response.
    pub(crate) internal: NetworkResponse,
    /// The type of a service worker's response that is already filtered. It keeps this type.
    pub(crate) filtered: Option<ResponseType>,
    /// The response's own URL list. Empty if it takes the request's URL list.
    pub(crate) url_list: Vec<Url>,
}

/// A [filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response).
#[non_exhaustive]
pub struct Response {
    /// Type: the parts of the response that script may see.
    pub response_type: ResponseType,
    /// The status the server sent. Script sees 0 where the type is [opaque](ResponseType::Opaque) or
    /// [opaque-redirect](ResponseType::OpaqueRedirect).
    pub status: StatusCode,
    /// The headers that script may see.
    pub headers: HeaderMap,
    /// URL list: every URL that was requested; the last is the response's own. Never empty.
    pub url_list: Vec<Url>,
    /// Timing allow passed flag: whether script may see the times of the fetch.
    pub timing_allow_passed: bool,
    /// The body, which may still be arriving.
    pub body: ResponseBody,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("response_type", &self.response_type)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("url_list", &self.url_list)
            .field("timing_allow_passed", &self.timing_allow_passed)
            .finish_non_exhaustive()
    }
}

/// A response's [type](https://fetch.spec.whatwg.org/#concept-response-type).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ResponseType {
    /// `basic`
    Basic,
    /// `cors`
    Cors,
    /// `opaque`
    Opaque,
    /// `opaqueredirect`
    OpaqueRedirect,
}

impl ResponseType {
    /// The name that script sees.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Cors => "cors",
            Self::Opaque => "opaque",
            Self::OpaqueRedirect => "opaqueredirect",
        }
    }
}

impl Response {
    /// A response that another process has fetched and filtered. The timing allow passed flag is false.
    ///
    /// `url_list` must not be empty.
    #[must_use]
    pub fn new(
        response_type: ResponseType,
        status: StatusCode,
        headers: HeaderMap,
        url_list: Vec<Url>,
        body: ResponseBody,
    ) -> Self {
        Self { response_type, status, headers, url_list, timing_allow_passed: false, body }
    }

    /// The next chunk of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, NetworkError>> {
        poll_fn(|cx| self.body.as_mut().poll_chunk(cx)).await
    }

    /// Filters `response` by its type, or by the request's response tainting if it has no type yet (main
    /// fetch, steps 14, 16 and 19).
    pub(crate) fn filtered(request: Request, response: HttpResponse) -> Self {
        let HttpResponse { internal, filtered, url_list } = response;
        let NetworkResponse { status, mut headers, mut body, .. } = internal;
        let response_type = filtered.unwrap_or(match request.response_tainting {
            ResponseTainting::Basic => ResponseType::Basic,
            ResponseTainting::Cors => ResponseType::Cors,
            ResponseTainting::Opaque => ResponseType::Opaque,
        });
        match response_type {
            ResponseType::Basic => {
                headers.remove(http::header::SET_COOKIE);
                headers.remove(SET_COOKIE2);
            }
            ResponseType::Cors => headers = cors_exposed(&headers, request.credentials),
            ResponseType::Opaque => headers.clear(),
            ResponseType::OpaqueRedirect => {
                headers.clear();
                body = Box::pin(EmptyBody);
            }
        }
        let url_list = if url_list.is_empty() { request.url_list } else { url_list };
        let timing_allow_passed = !request.timing_allow_failed;
        Self { response_type, status, headers, url_list, timing_allow_passed, body }
    }
}

/// The headers of a [CORS filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response-cors).
fn cors_exposed(headers: &HeaderMap, credentials: CredentialsMode) -> HeaderMap {
    const SAFELISTED: [&str; 7] = [
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    ];
    // Step 14.1.1: failure exposes nothing.
    let exposed = extract_tokens(headers, &ACCESS_CONTROL_EXPOSE_HEADERS);
    let exposed = exposed.ok().flatten().unwrap_or_default();
    // Step 14.1.2.
    let all = credentials != CredentialsMode::Include && exposed.contains(&"*");
    let is_exposed = |name: &HeaderName| {
        let is_forbidden = matches!(name.as_str(), "set-cookie" | "set-cookie2");
        let is_listed = exposed.iter().any(|listed| name.as_str().eq_ignore_ascii_case(listed));
        !is_forbidden && (all || is_listed || SAFELISTED.contains(&name.as_str()))
    };
    headers
        .iter()
        .filter(|(name, _)| is_exposed(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A [redirect status](https://fetch.spec.whatwg.org/#redirect-status).
pub(crate) fn is_redirect_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The [location URL](https://fetch.spec.whatwg.org/#concept-response-location-url) of a response
/// from `url` with a redirect status; `Ok(None)` is null.
pub(crate) fn location_url(
    headers: &HeaderMap,
    url: &Url,
    request_fragment: Option<&str>,
) -> Result<Option<Url>, RedirectFailure> {
    const FAILURE: RedirectFailure = RedirectFailure::InvalidLocation;
    // Step 2: the ABNF allows one value.
    let mut values = headers.get_all(LOCATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(FAILURE);
    }
    // Step 3. NB: the standard would isomorphic decode raw bytes (fetch#883, open). Here each raw byte
    // is percent-encoded unchanged, whether or not it is a part of valid UTF-8. WPT, Chromium and
    // Firefox do so.
    let mut location =
        url.join(&percent_encode_raw_bytes(value.as_bytes())).map_err(|_| FAILURE)?;
    // Step 4.
    if location.fragment().is_none() {
        location.set_fragment(request_fragment);
    }
    Ok(Some(location))
}

fn percent_encode_raw_bytes(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push('%');
            for digit in [byte >> 4, byte & 0xF] {
                text.extend(
                    char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()),
                );
            }
        }
    }
    text
}

/// Reads the part of `body` that has already arrived, up to 64 KiB, and drops the rest.
///
/// Most redirects and preflights have no body, or a short one that arrives with the head. A connection can be
/// used again if the body was read to its end.
pub(crate) fn drain_arrived(mut body: ResponseBody) {
    let mut context = Context::from_waker(Waker::noop());
    let mut left = 65_536_usize;
    while let Poll::Ready(Some(Ok(chunk))) = body.as_mut().poll_chunk(&mut context) {
        match left.checked_sub(chunk.len().max(1)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn location(values: &[&[u8]], url: &str) -> Result<Option<String>, RedirectFailure> {
        let headers = values
            .iter()
            .map(|value| (LOCATION, HeaderValue::from_bytes(value).unwrap()))
            .collect();
        let url = Url::parse(url).unwrap();
        location_url(&headers, &url, url.fragment()).map(|url| url.map(Into::into))
    }

    #[test]
    fn location_is_relative_to_the_response_and_inherits_the_fragment() {
        let ok = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(location(&[b"x"], "http://a.test/d/e#f"), ok("http://a.test/d/x#f"));
        assert_eq!(location(&[b"x#g"], "http://a.test/d/e#f"), ok("http://a.test/d/x#g"));
        assert_eq!(location(&[b""], "http://a.test/d/e"), ok("http://a.test/d/e"));
        assert_eq!(location(&[], "http://a.test/d/e"), Ok(None));
    }

    #[test]
    fn raw_bytes_are_percent_encoded_as_they_are() {
        let ok = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(location(&["/\u{f6}".as_bytes()], "http://a.test/"), ok("http://a.test/%C3%B6"));
        assert_eq!(location(&[b"/\xF6?\xFF"], "http://a.test/"), ok("http://a.test/%F6?%FF"));
    }

    #[test]
    fn two_locations_or_no_url_are_failures() {
        assert_eq!(
            location(&[b"x", b"y"], "http://a.test/"),
            Err(RedirectFailure::InvalidLocation)
        );
        assert_eq!(
            location(&[b"http://a b/"], "http://a.test/"),
            Err(RedirectFailure::InvalidLocation)
        );
    }
}
