//! `collect --live`: a page that shows requests as they come in.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::Full;
use tokio::sync::watch;
use url::{Host, Url};

use crate::{lock::lock, server::empty};

const PAGE: &str = include_str!("live/index.html");

/// The page may load nothing and may talk to its own server only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How many requests are kept, and how many bytes all of them may have as JSON. The newest one is always kept.
const MAX_REQUESTS: usize = 500;
const MAX_BYTES: usize = 8 << 20;

/// How long the page waits for a new request before it asks again.
const WAIT: Duration = Duration::from_secs(25);

/// The last requests, for the page.
pub(crate) struct Live {
    recent: Mutex<Recent>,
    /// How many requests there were until now.
    count: watch::Sender<u64>,
}

#[derive(Default)]
struct Recent {
    /// Requests as JSON, the oldest first.
    requests: VecDeque<String>,
    bytes: usize,
    count: u64,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { recent: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Adds a request, as JSON, and forgets the oldest ones if there are too many.
    pub(crate) fn push(&self, json: String) {
        let mut recent = lock(&self.recent);
        recent.count += 1;
        recent.bytes += json.len();
        recent.requests.push_back(json);
        while recent.requests.len() > MAX_REQUESTS
            || (recent.bytes > MAX_BYTES && recent.requests.len() > 1)
        {
            let oldest = recent.requests.pop_front();
            recent.bytes -= oldest.map_or(0, |it| it.len());
        }
        self.count.send_replace(recent.count);
    }

    /// Answers a request of the page.
    pub(crate) async fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if !is_address(request.headers()) {
            return empty(StatusCode::FORBIDDEN);
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => page(),
            (&Method::GET, "/requests") => {
                let after = request.uri().query().and_then(|it| it.strip_prefix("after="));
                let after = after.and_then(|it| it.parse().ok()).unwrap_or(0);
                let mut count = self.count.subscribe();
                // The sender lives as long as `self`. At the end of the time the list is empty.
                let _ = tokio::time::timeout(WAIT, count.wait_for(|count| *count > after)).await;
                response("application/json", self.after(after))
            }
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    /// The requests after the first `after` ones, with their number, as JSON.
    fn after(&self, after: u64) -> String {
        let recent = lock(&self.recent);
        let new = usize::try_from(recent.count.saturating_sub(after)).unwrap_or(usize::MAX);
        let known = recent.requests.len().saturating_sub(new);
        let requests: Vec<_> = recent.requests.iter().skip(known).map(String::as_str).collect();
        format!("{{\"count\":{},\"requests\":[{}]}}", recent.count, requests.join(","))
    }
}

/// Whether the request names its host by address, or as `localhost`. A page of another site cannot make such a request to
/// itself, so it cannot have its own name point here and read what the collector has received.
fn is_address(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

fn page() -> Response<Full<Bytes>> {
    let mut page = response("text/html; charset=utf-8", PAGE.to_owned());
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    page
}

fn response(type_: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    for (name, value) in
        [(CONTENT_TYPE, type_), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_are_forgotten() {
        let live = Live::new();
        for number in 0..600 {
            live.push(number.to_string());
        }
        let numbers = |from: u32| (from..600).map(|it| it.to_string()).collect::<Vec<_>>();
        for (after, from) in [(0, 100), (50, 100), (598, 598), (600, 600), (u64::MAX, 600)] {
            let expected = format!("{{\"count\":600,\"requests\":[{}]}}", numbers(from).join(","));
            assert_eq!(live.after(after), expected);
        }
    }

    #[test]
    fn the_bytes_of_all_requests_are_limited() {
        let live = Live::new();
        for _ in 0..20 {
            live.push("1".repeat(1 << 20));
        }
        assert_eq!(lock(&live.recent).requests.len(), 8);
        live.push("1".repeat(MAX_BYTES + 1));
        assert_eq!(lock(&live.recent).requests.len(), 1);
        assert_eq!(lock(&live.recent).bytes, MAX_BYTES + 1);
    }

    #[test]
    fn only_addresses_and_localhost_are_answered() {
        for (host, expected) in [
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("localhost:1", true),
            ("evil.test:8081", false),
            ("localhost.evil.test", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_address(&headers), expected, "{host}");
        }
        assert!(!is_address(&HeaderMap::new()));
    }
}
