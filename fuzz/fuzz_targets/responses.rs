//! The answers of servers, as the fetch algorithms read them: redirects, CORS, HSTS, referrer policies, cookies and
//! other headers.
#![no_main]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use sendbeacon_fetch::{
    Client, Mode, Nonce, Request,
    fetch::{NoObserver, Profile, fetch},
    host::NetworkResponse,
    is_potentially_trustworthy,
};
use sendbeacon_testkit::{
    clock::VirtualClock,
    network::{ScriptedNetwork, complete},
};
use url::Url;

const NAMES: [&str; 16] = [
    "location",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-max-age",
    "access-control-expose-headers",
    "strict-transport-security",
    "referrer-policy",
    "clear-site-data",
    "cross-origin-resource-policy",
    "timing-allow-origin",
    "content-type",
    "content-encoding",
    "server-timing",
    "x-content-type-options",
];

#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    status: u16,
    headers: Vec<(usize, &'a [u8])>,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    url: &'a str,
    is_no_cors: bool,
    is_unsafe: bool,
    answers: Vec<Answer<'a>>,
}

fn response(answer: &Answer<'_>) -> NetworkResponse {
    let status = StatusCode::from_u16(200 + answer.status % 400).expect("200 to 599");
    let mut headers = HeaderMap::new();
    for (name, value) in &answer.headers {
        let name = HeaderName::from_static(NAMES[name % NAMES.len()]);
        headers.extend(HeaderValue::from_bytes(value).ok().map(|value| (name, value)));
    }
    NetworkResponse::new(status, headers, Box::pin(Some(bytes::Bytes::from_static(b"body"))))
}

fuzz_target!(|input: Input<'_>| {
    let page = Url::parse("https://a.test/d/page").expect("a URL");
    let Ok(url) = page.join(input.url) else { return };
    let answers: Vec<_> = input.answers.iter().map(|it| Mutex::new(Some(response(it)))).collect();
    let next = AtomicUsize::new(0);
    let network = Arc::new(ScriptedNetwork::new(move |_| {
        let index = next.fetch_add(1, Relaxed);
        let answer = answers.get(index).and_then(|it| it.lock().expect("no panic").take());
        Ok(answer.unwrap_or_else(|| response(&Answer { status: 4, headers: Vec::new() })))
    }));
    let clock = Arc::new(VirtualClock::default());
    let user_agent = HeaderValue::from_static("fuzz/1");
    let profile = Profile::new(Arc::clone(&network) as _, clock, user_agent);
    let mut request = Request::new(Arc::new(Client::new(page, Nonce::from_u128(1))), url);
    request.mode = if input.is_no_cors { Mode::NoCors } else { Mode::Cors };
    request.method = if input.is_unsafe { Method::PUT } else { Method::POST };
    request.unsafe_request = true;
    if !input.is_no_cors && input.is_unsafe {
        request.headers.insert("x-own", HeaderValue::from_static("1"));
    }
    let result = complete(fetch(&profile, &NoObserver, Box::new(request)));

    let sent = network.sent();
    // 20 redirects, and a preflight before each request.
    assert!(sent.len() <= 42, "{} requests", sent.len());
    for request in &sent {
        assert!(matches!(request.url.scheme(), "http" | "https"));
        assert!(is_potentially_trustworthy(&request.url), "mixed content: {}", request.url);
        if let Some(referrer) = request.headers.get("referer") {
            let referrer = Url::parse(referrer.to_str().expect("ASCII")).expect("a URL");
            assert_eq!((referrer.host_str(), referrer.fragment()), (Some("a.test"), None));
        }
    }
    if let Ok(response) = result {
        assert!(!response.headers.contains_key("set-cookie"));
        assert!(!response.url_list.is_empty());
    }
});
