use std::time::Instant;

use http::{StatusCode, Version, header::CONTENT_ENCODING};
use sendbeacon_fetch::{Response, ResponseType, host::NetworkResponse};

/// When what happened to a fetch and how much came back: its
/// [timing info](https://fetch.spec.whatwg.org/#fetch-timing-info) and its response's
/// [body info](https://fetch.spec.whatwg.org/#response-body-info).
///
/// It is exact, for developer tools. What script may see of it, as a
/// [`PerformanceResourceTiming`](https://w3c.github.io/resource-timing/#dom-performanceresourcetiming),
/// is [`for_script`](Self::for_script), coarsened by the engine.
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
    /// Final network-request start time: when the last request was given to the network. A preflight
    /// is none; connecting is included.
    pub request_start: Option<Instant>,
    /// Final network-response start time: when the head of the last response came.
    pub response_start: Option<Instant>,
    /// End time: when the body had been read or was cut off, or the fetch failed.
    pub response_end: Instant,
    /// The status; `None` if there was no response, which `responseStatus` calls 0.
    pub response_status: Option<StatusCode>,
    /// Encoded size: how many bytes of the body have come. Of a beacon's no more than about 64 KiB are
    /// read.
    pub encoded_body_size: u64,
    /// Decoded size; `None` if there is a `Content-Encoding` that was not undone: that of a beacon's response,
    /// which nobody reads, or one that is not known.
    pub decoded_body_size: Option<u64>,
    /// ALPN protocol identifier of the last response's version of HTTP, or the empty string if the
    /// network does not tell.
    pub next_hop_protocol: &'static str,
    /// The response's timing allow passed flag.
    pub timing_allow_passed: bool,
    response_type: Option<ResponseType>,
}

impl FetchTiming {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            redirect_start: None,
            redirect_end: None,
            fetch_start: start,
            request_start: None,
            response_start: None,
            response_end: start,
            response_status: None,
            encoded_body_size: 0,
            decoded_body_size: Some(0),
            next_hop_protocol: "",
            timing_allow_passed: false,
            response_type: None,
        }
    }

    /// [`transferSize`](https://w3c.github.io/resource-timing/#dom-performanceresourcetiming-transfersize):
    /// the encoded size, and 300 for the head.
    ///
    /// NB: by the standard those 300 also where script may see nothing; in all browsers 0.
    #[must_use]
    pub fn transfer_size(&self) -> u64 {
        if self.timing_allow_passed { self.encoded_body_size.saturating_add(300) } else { 0 }
    }

    /// What script may see: no more than start and end where the timing allow passed flag is not set or
    /// the fetch failed, and neither status nor sizes of an opaque response.
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
        }
        timing
    }

    /// [Create an opaque timing info](https://fetch.spec.whatwg.org/#create-an-opaque-timing-info), with
    /// this one's end time and what is not timing.
    fn create_an_opaque_timing_info(&self) -> Self {
        Self {
            response_end: self.response_end,
            response_status: self.response_status,
            encoded_body_size: self.encoded_body_size,
            decoded_body_size: self.decoded_body_size,
            response_type: self.response_type,
            ..Self::new(self.start)
        }
    }

    pub(crate) fn response_started(&mut self, response: &NetworkResponse, at: Instant) {
        self.response_start = Some(at);
        self.next_hop_protocol = response.version.map_or("", alpn_protocol_id);
        let is_encoded = response.headers.contains_key(CONTENT_ENCODING);
        self.decoded_body_size = (!is_encoded).then_some(0);
    }

    /// HTTP-redirect fetch, steps 16 and 17.
    pub(crate) fn redirected(&mut self, at: Instant) {
        self.redirect_end = Some(at);
        self.fetch_start = at;
        self.redirect_start.get_or_insert(self.start);
    }

    pub(crate) fn answered(&mut self, response: &Response) {
        self.response_status = Some(response.status);
        self.response_type = Some(response.response_type);
        self.timing_allow_passed = response.timing_allow_passed;
    }

    /// So many bytes were read, of a body that has come to this encoded size if it was decoded.
    pub(crate) fn read(&mut self, bytes: usize, encoded_size: Option<u64>) {
        let bytes = bytes as u64;
        if let Some(encoded_size) = encoded_size {
            self.encoded_body_size = encoded_size;
            *self.decoded_body_size.get_or_insert_default() += bytes;
        } else {
            self.encoded_body_size += bytes;
            self.decoded_body_size = self.decoded_body_size.map(|size| size + bytes);
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
