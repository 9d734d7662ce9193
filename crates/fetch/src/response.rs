//! [Responses](https://fetch.spec.whatwg.org/#responses). A network error is not a response here, but the
//! error of a `Result`.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt,
    future::poll_fn,
    mem,
    sync::Arc,
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
    headers::{
        extract::extract_tokens,
        resource_info::minimized_content_type,
        server_timing::{ServerTiming, server_timing},
    },
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
    /// URL list, which is empty if a service worker made the response. `None` if the response is from the network: it is
    /// that of the request.
    pub(crate) url_list: Option<Vec<Url>>,
    /// [CORS-exposed header-name list](https://fetch.spec.whatwg.org/#concept-response-cors-exposed-header-name-list) of a
    /// service worker's response that is already filtered.
    pub(crate) cors_exposed_header_names: Option<Vec<HeaderName>>,
    /// [Request-includes-credentials](https://fetch.spec.whatwg.org/#response-request-includes-credentials).
    pub(crate) request_includes_credentials: bool,
    /// [Range-requested flag](https://fetch.spec.whatwg.org/#concept-response-range-requested-flag).
    pub(crate) range_requested: bool,
}

impl HttpResponse {
    /// URL of this response to `request`: the last of its URL list. `None` is null.
    pub(crate) fn url<'a>(&'a self, request: &'a Request) -> Option<&'a Url> {
        match &self.url_list {
            Some(url_list) => url_list.last(),
            None => Some(request.current_url()),
        }
    }

    /// Type of this response to `request`, once main fetch has filtered it.
    pub(crate) fn response_type(&self, request: &Request) -> ResponseType {
        self.filtered.unwrap_or(match request.response_tainting {
            ResponseTainting::Basic => ResponseType::Basic,
            ResponseTainting::Cors => ResponseType::Cors,
            ResponseTainting::Opaque => ResponseType::Opaque,
        })
    }
}

/// A [filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response).
#[non_exhaustive]
pub struct Response {
    /// Type: the parts of the response that script may see.
    pub response_type: ResponseType,
    /// The status the server sent. Script sees 0 where the type is [opaque](ResponseType::Opaque) or
    /// [opaque-redirect](ResponseType::OpaqueRedirect).
    pub status: StatusCode,
    /// [Status message](https://fetch.spec.whatwg.org/#concept-response-status-message) that script may see. It is
    /// isomorphic decoded for script.
    pub status_message: Cow<'static, [u8]>,
    /// The headers that script may see.
    pub headers: HeaderMap,
    /// URL list: every URL that was requested; the last is the response's own. Never empty. Script sees an empty list, so
    /// no URL and no redirect, where the type is [opaque](ResponseType::Opaque).
    pub url_list: Vec<Url>,
    /// Timing allow passed flag: whether script may see the times of the fetch.
    pub timing_allow_passed: bool,
    /// [Request-includes-credentials](https://fetch.spec.whatwg.org/#response-request-includes-credentials):
    /// whether the request of this response included credentials. If a service worker answers with this response,
    /// the engine copies the flag to the [`ServiceWorkerResponse`](crate::host::ServiceWorkerResponse).
    pub request_includes_credentials: bool,
    /// [Range-requested flag](https://fetch.spec.whatwg.org/#concept-response-range-requested-flag): whether the
    /// request of this response had a `Range` header. If a service worker answers with this response, the engine
    /// copies the flag to the [`ServiceWorkerResponse`](crate::host::ServiceWorkerResponse).
    pub range_requested: bool,
    /// The metrics of `Server-Timing`, for Resource Timing. Empty if the client is not a secure context. Script sees them
    /// where the timing allow passed flag is set.
    pub server_timing: Vec<ServerTiming>,
    /// The body, which may still be arriving.
    pub body: ResponseBody,
    /// The headers of the internal response, if the filter has removed more than cookies.
    unfiltered_headers: Option<HeaderMap>,
}

/// What is left of a response that nobody reads: that to a beacon.
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
pub struct UnreadResponse {
    pub summary: ResponseSummary,
    /// The body, which may still be arriving.
    pub body: ResponseBody,
}

impl UnreadResponse {
    pub(crate) fn new(request: &Request, response: HttpResponse) -> Self {
        let response_type = response.response_type(request);
        let NetworkResponse { status, headers, body, .. } = response.internal;
        let summary = ResponseSummary {
            status,
            response_type,
            timing_allow_passed: !request.timing_allow_failed,
            content_type: match response_type {
                ResponseType::Basic | ResponseType::Cors => minimized_content_type(&headers),
                ResponseType::Opaque | ResponseType::OpaqueRedirect => String::new(),
            },
            server_timing: server_timing_headers(request, &headers),
        };
        Self { summary, body }
    }
}

/// What the timing of a fetch tells of its response.
// NB: for the crate `sendbeacon` alone. It may change in any release.
#[doc(hidden)]
#[derive(Debug)]
pub struct ResponseSummary {
    pub status: StatusCode,
    pub response_type: ResponseType,
    pub timing_allow_passed: bool,
    /// The essence of the MIME type that script may see, minimized.
    pub content_type: String,
    pub server_timing: Vec<ServerTiming>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("response_type", &self.response_type)
            .field("status", &self.status)
            .field("status_message", &self.status_message)
            .field("headers", &self.headers)
            .field("url_list", &self.url_list)
            .field("timing_allow_passed", &self.timing_allow_passed)
            .field("request_includes_credentials", &self.request_includes_credentials)
            .field("range_requested", &self.range_requested)
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
    /// A response that another process has fetched and filtered. It has no status message and no metrics of
    /// `Server-Timing`.
    ///
    /// `url_list` must not be empty. The flags have the standard's defaults: request-includes-credentials is true, and
    /// the others are false.
    #[must_use]
    pub fn new(
        response_type: ResponseType,
        status: StatusCode,
        headers: HeaderMap,
        url_list: Vec<Url>,
        body: ResponseBody,
    ) -> Self {
        Self {
            response_type,
            status,
            status_message: Cow::default(),
            headers,
            url_list,
            timing_allow_passed: false,
            request_includes_credentials: true,
            range_requested: false,
            server_timing: Vec::new(),
            body,
            unfiltered_headers: None,
        }
    }

    /// The headers of the [internal response](https://fetch.spec.whatwg.org/#concept-internal-response), without
    /// cookies where the type is [basic](ResponseType::Basic).
    ///
    /// They are for the engine, which reads the type of an opaque script, for example. Script must not see them. Of a
    /// response that another process has fetched they are the [`headers`](Self::headers).
    #[must_use]
    pub fn internal_headers(&self) -> &HeaderMap {
        self.unfiltered_headers.as_ref().unwrap_or(&self.headers)
    }

    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn summary(&self) -> ResponseSummary {
        ResponseSummary {
            status: self.status,
            response_type: self.response_type,
            timing_allow_passed: self.timing_allow_passed,
            content_type: minimized_content_type(&self.headers),
            server_timing: self.server_timing.clone(),
        }
    }

    /// The next chunk of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, NetworkError>> {
        poll_fn(|cx| self.body.as_mut().poll_chunk(cx)).await
    }

    /// Filters `response` by its type, or by the request's response tainting if it has no type yet (main
    /// fetch, steps 14, 16 and 19).
    pub(crate) fn filtered(request: Request, response: HttpResponse) -> Self {
        let response_type = response.response_type(&request);
        let HttpResponse { internal, url_list, cors_exposed_header_names, .. } = response;
        let (request_includes_credentials, range_requested) =
            (response.request_includes_credentials, response.range_requested);
        let NetworkResponse { status, mut headers, mut body, info, .. } = internal;
        let mut status_message = info.map(|info| info.status_message.clone()).unwrap_or_default();
        let server_timing = server_timing_headers(&request, &headers);
        let mut unfiltered_headers = None;
        match response_type {
            ResponseType::Basic => {
                headers.remove(http::header::SET_COOKIE);
                headers.remove(SET_COOKIE2);
            }
            ResponseType::Cors => {
                let exposed = cors_exposed_header_names
                    .unwrap_or_else(|| exposed_names(&headers, request.credentials));
                let filtered = cors_filtered(&headers, &exposed);
                unfiltered_headers = Some(mem::replace(&mut headers, filtered));
            }
            ResponseType::Opaque => {
                unfiltered_headers = Some(mem::take(&mut headers));
                status_message = Cow::default();
            }
            ResponseType::OpaqueRedirect => {
                unfiltered_headers = Some(mem::take(&mut headers));
                status_message = Cow::default();
                body = Box::pin(EmptyBody);
            }
        }
        let of_request = || request.url_list.into_iter().map(Arc::unwrap_or_clone).collect();
        let url_list = url_list.filter(|list| !list.is_empty()).unwrap_or_else(of_request);
        Self {
            response_type,
            status,
            status_message,
            headers,
            url_list,
            timing_allow_passed: !request.timing_allow_failed,
            request_includes_credentials,
            range_requested,
            server_timing,
            body,
            unfiltered_headers,
        }
    }
}

/// [Fetch response handover](https://fetch.spec.whatwg.org/#fetch-finale), step 2.
fn server_timing_headers(request: &Request, headers: &HeaderMap) -> Vec<ServerTiming> {
    if request.client.is_secure_context { server_timing(headers) } else { Vec::new() }
}

/// The names of headers that a server exposes to the script of a request with this credentials mode (main fetch, step 14.1).
fn exposed_names(headers: &HeaderMap, credentials: CredentialsMode) -> Vec<HeaderName> {
    // Step 14.1.1: failure exposes nothing.
    let listed = extract_tokens(headers, &ACCESS_CONTROL_EXPOSE_HEADERS);
    let listed = listed.ok().flatten().unwrap_or_default();
    // NB: a set, because a server may list many names and send many headers.
    let listed: HashSet<_> = listed.into_iter().map(str::to_ascii_lowercase).collect();
    // Steps 14.1.2 and 14.1.3. NB: names that no header has make no difference.
    let all = credentials != CredentialsMode::Include && listed.contains("*");
    headers.keys().filter(|name| all || listed.contains(name.as_str())).cloned().collect()
}

/// The headers of a [CORS filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response-cors).
fn cors_filtered(headers: &HeaderMap, exposed: &[HeaderName]) -> HeaderMap {
    const SAFELISTED: [&str; 7] = [
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    ];
    let exposed: HashSet<_> = exposed.iter().collect();
    let is_exposed = |name: &HeaderName| {
        let is_forbidden = matches!(name.as_str(), "set-cookie" | "set-cookie2");
        !is_forbidden && (exposed.contains(name) || SAFELISTED.contains(&name.as_str()))
    };
    let filtered = headers.iter().filter(|(name, _)| is_exposed(name));
    filtered.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A [redirect status](https://fetch.spec.whatwg.org/#redirect-status).
pub(crate) fn is_redirect_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Whether `status` is a [null body status](https://fetch.spec.whatwg.org/#null-body-status).
pub(crate) fn is_null_body_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 101 | 103 | 204 | 205 | 304)
}

/// The [location URL](https://fetch.spec.whatwg.org/#concept-response-location-url) of a response
/// from `url` with a redirect status; `Ok(None)` is null.
///
/// The URL of a response that a service worker made is null. Its `Location` must be an absolute URL.
pub(crate) fn location_url(
    headers: &HeaderMap,
    url: Option<&Url>,
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
    let value = percent_encode_raw_bytes(value.as_bytes());
    let mut location = Url::options().base_url(url).parse(&value).map_err(|_| FAILURE)?;
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
        location_url(&headers, Some(&url), url.fragment()).map(|url| url.map(Into::into))
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
