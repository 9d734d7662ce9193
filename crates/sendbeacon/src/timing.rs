//! The times of a fetch and the sizes of its response.

use std::{sync::Arc, time::Instant};

use http::{StatusCode, Version, header::CONTENT_ENCODING};
use sendbeacon_fetch::{
    ResponseSummary, ResponseType, ServerTiming, filtered_coding,
    host::{ConnectionTiming, NetworkResponse},
};
use url::Url;

/// The [timing info](https://fetch.spec.whatwg.org/#fetch-timing-info) of a fetch, and the
/// [body info](https://fetch.spec.whatwg.org/#response-body-info) of its response.
///
/// It is exact, for developer tools. Script may see less in a
/// [`PerformanceResourceTiming`](https://w3c.github.io/resource-timing/#dom-performanceresourcetiming): the
/// engine takes [`for_script`](Self::for_script) and coarsens the times.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchTiming {
    /// Start time: when the fetch reached the network side.
    pub start: Instant,
    /// Redirect start time, if there was a redirect.
    pub redirect_start: Option<Instant>,
    /// Redirect end time: when the last redirect was followed.
    pub redirect_end: Option<Instant>,
    /// Post-redirect start time, `fetchStart`.
    pub fetch_start: Instant,
    /// Final service worker start time, `workerStart`: when the service worker that has answered was given the request.
    pub worker_start: Option<Instant>,
    /// Final connection timing info: when the connection of the last response was made. This is before `fetch_start` if
    /// the connection was used before; then `for_script` gives `fetch_start` for each time. `None`: the network does not
    /// tell.
    pub connection: Option<Arc<ConnectionTiming>>,
    /// Final network-request start time: when the last request was given to the network. Connecting comes
    /// after this time. A preflight does not count.
    pub request_start: Option<Instant>,
    /// First interim network-response start time, `firstInterimResponseStart`: when the first response with a status
    /// below 200 came, if there was one and the network tells it. Script's `responseStart` is this time, or else
    /// `response_start`.
    pub first_interim_response_start: Option<Instant>,
    /// Final network-response start time, `finalResponseHeadersStart`: when the head of the last response came.
    pub response_start: Option<Instant>,
    /// End time: when the body was read to its end or cut off, or when the fetch failed.
    pub response_end: Instant,
    /// Status of the response; `None` if there was no response, for which `responseStatus` is 0.
    pub response_status: Option<StatusCode>,
    /// Encoded size: how many bytes of the body were read. The network side reads at most about 64 KiB of the
    /// response to a beacon.
    pub encoded_body_size: u64,
    /// Decoded size. `None` if the body has a `Content-Encoding` and was not decoded. The library decodes neither
    /// the body of the response to a beacon nor a body with an unknown coding.
    pub decoded_body_size: Option<u64>,
    /// Content type of the body info, `contentType`: the essence of the response's MIME type, minimized. Empty if
    /// the response has no MIME type, or if script may not see it. The engine empties it for a type that it does
    /// not support.
    pub content_type: String,
    /// Content encoding of the body info, `contentEncoding`: a known content coding, `"multiple"`, `"@unknown"`, or empty
    /// without a coding or a body.
    pub content_encoding: &'static str,
    /// Server-timing headers, `serverTiming`: the metrics that the server tells. Empty if the client is not a secure
    /// context.
    pub server_timing: Vec<ServerTiming>,
    /// ALPN protocol identifier of the last response's version of HTTP, or the empty string if the
    /// network does not tell the version.
    pub next_hop_protocol: &'static str,
    /// Timing allow passed flag of the response.
    pub timing_allow_passed: bool,
    /// Type of the response, on which the answer of `for_script` depends; `None` before there is one.
    response_type: Option<ResponseType>,
    /// The request's URL, if it was upgraded before any redirect. Boxed, because few are.
    pub(crate) upgraded_url: Option<Box<Url>>,
    /// The content encoding, which counts once there are bytes of the body.
    response_coding: &'static str,
}

impl FetchTiming {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            redirect_start: None,
            redirect_end: None,
            fetch_start: start,
            worker_start: None,
            connection: None,
            request_start: None,
            first_interim_response_start: None,
            response_start: None,
            response_end: start,
            response_status: None,
            encoded_body_size: 0,
            decoded_body_size: Some(0),
            content_type: String::new(),
            content_encoding: "",
            server_timing: Vec::new(),
            next_hop_protocol: "",
            timing_allow_passed: false,
            response_type: None,
            upgraded_url: None,
            response_coding: "",
        }
    }

    /// [`transferSize`](https://w3c.github.io/resource-timing/#dom-performanceresourcetiming-transfersize):
    /// the encoded size, and 300 bytes for the head.
    ///
    /// NB: by the standard these 300 bytes count even if the timing allow passed flag is not set. In all browsers
    /// the size is then 0, and here too.
    #[must_use]
    pub fn transfer_size(&self) -> u64 {
        if self.timing_allow_passed { self.encoded_body_size.saturating_add(300) } else { 0 }
    }

    /// The part that script may see. If the fetch failed or its timing allow passed flag is not set, the only
    /// times are the start and the end. An opaque response has no status, no sizes, no content type and no content
    /// encoding.
    #[must_use]
    pub fn for_script(&self) -> Self {
        let mut timing = if self.timing_allow_passed {
            self.clone()
        } else {
            self.create_an_opaque_timing_info()
        };
        if matches!(
            self.response_type,
            None | Some(ResponseType::Opaque | ResponseType::OpaqueRedirect)
        ) {
            timing.response_status = None;
            timing.encoded_body_size = 0;
            timing.decoded_body_size = Some(0);
            timing.content_type.clear();
            timing.content_encoding = "";
        }
        // HTTP-network fetch: clamp connection timing info.
        if let Some(connection) = &mut timing.connection {
            *connection = Arc::new(connection.clamp(timing.fetch_start));
        }
        timing
    }

    /// [Create an opaque timing info](https://fetch.spec.whatwg.org/#create-an-opaque-timing-info). NB: it keeps
    /// the end time, the status, the sizes and the type.
    fn create_an_opaque_timing_info(&self) -> Self {
        Self {
            response_end: self.response_end,
            response_status: self.response_status,
            encoded_body_size: self.encoded_body_size,
            decoded_body_size: self.decoded_body_size,
            content_type: self.content_type.clone(),
            content_encoding: self.content_encoding,
            response_type: self.response_type,
            upgraded_url: self.upgraded_url.clone(),
            ..Self::new(self.start)
        }
    }

    /// The head of a response has come, not to a preflight.
    pub(crate) fn response_started(&mut self, response: &NetworkResponse, at: Instant) {
        self.response_start = Some(at);
        self.next_hop_protocol = response.version.map_or("", alpn_protocol_id);
        self.connection = None;
        if let Some(info) = &response.info {
            self.connection.clone_from(&info.connection_timing);
            self.first_interim_response_start =
                self.first_interim_response_start.or(info.first_interim_response_start);
        }
        let is_encoded = response.headers.contains_key(CONTENT_ENCODING);
        self.response_coding = if is_encoded { filtered_coding(&response.headers) } else { "" };
        self.decoded_body_size = (!is_encoded).then_some(0);
    }

    /// The current URL of the request was upgraded to `url`. After a redirect this is no longer the request's URL.
    pub(crate) fn upgraded(&mut self, url: &Url) {
        if self.redirect_start.is_none() {
            self.upgraded_url = Some(Box::new(url.clone()));
        }
    }

    /// A redirect was followed: HTTP-redirect fetch, steps 16 and 17.
    pub(crate) fn redirected(&mut self, at: Instant) {
        self.redirect_end = Some(at);
        self.fetch_start = at;
        self.redirect_start.get_or_insert(self.start);
    }

    /// The fetch algorithm has returned a response.
    pub(crate) fn answered(&mut self, response: ResponseSummary) {
        self.response_status = Some(response.status);
        self.response_type = Some(response.response_type);
        self.timing_allow_passed = response.timing_allow_passed;
        self.content_type = response.content_type;
        self.server_timing = response.server_timing;
    }

    /// Bytes of the body were read. `encoded_size` is the encoded size of the body so far if the body is being
    /// decoded, and `None` if the bytes are as they came.
    pub(crate) fn read(&mut self, bytes: usize, encoded_size: Option<u64>) {
        let bytes = bytes as u64;
        if let Some(encoded_size) = encoded_size {
            self.encoded_body_size = encoded_size;
            *self.decoded_body_size.get_or_insert_default() += bytes;
        } else {
            self.encoded_body_size += bytes;
            self.decoded_body_size = self.decoded_body_size.map(|size| size + bytes);
        }
        if self.encoded_body_size > 0 {
            self.content_encoding = self.response_coding;
        }
    }
}

fn alpn_protocol_id(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "http/0.9",
        Version::HTTP_10 => "http/1.0",
        Version::HTTP_11 => "http/1.1",
        Version::HTTP_2 => "h2",
        Version::HTTP_3 => "h3",
        _ => "",
    }
}
