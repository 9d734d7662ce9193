//! Tests of delivery: beacons and fetches of documents, over real sockets and scripted networks.

mod away;
mod back_forward_cache;
mod browser;
mod building;
#[cfg(feature = "content-codings")]
mod content_codings;
mod deferred;
mod events;
mod fetching;
mod lifecycle;
mod misbehaviour;
#[cfg(feature = "outbox")]
mod outbox;
mod pings;
mod progress;
mod quitting;
#[cfg(all(unix, feature = "remote"))]
mod remote;
mod reports;
mod shutdown;

use std::sync::Arc;

use sendbeacon::{Blob, Inflight, NetworkError, Outcome, PreflightFailure, host::Progress};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::sync::Notify;

use browser::{Browser, delivered, read, request};

/// The method and the target of each request, as `METHOD target`.
fn request_lines(requests: &[sendbeacon_testkit::server::RecordedRequest]) -> Vec<String> {
    requests.iter().map(|request| format!("{} {}", request.method, request.target)).collect()
}

/// A server that answers 204 to one request for each notification.
async fn server_that_waits() -> (RecordingServer, Arc<Notify>) {
    server_that_waits_with(Behavior::response(204, &[], b"")).await
}

/// A server that answers `response` to one request for each notification.
async fn server_that_waits_with(response: Vec<u8>) -> (RecordingServer, Arc<Notify>) {
    let answer = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let answer = Arc::clone(&answer);
        move |_| Behavior::RespondWhen(Arc::clone(&answer), response.clone())
    })
    .await;
    (server, answer)
}

/// The response headers that let a preflight for JSON pass, apart from the allowed origin.
const CORS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Headers", "content-type"),
    ("Access-Control-Max-Age", "0"),
];

#[tokio::test]
async fn a_string_to_the_same_origin_is_sent_with_these_headers() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/d/page?q#f"));
    assert_eq!(document.send_beacon("b?x#y", Some("hello world".into())), Ok(true));
    let request = &server.wait_for(1).await[0];
    let port = server.port();
    assert_eq!(
        String::from_utf8_lossy(&request.head).trim_end(),
        format!(
            "POST /d/b?x HTTP/1.1\r\n\
             Host: 127.0.0.1:{port}\r\n\
             Content-Type: text/plain;charset=UTF-8\r\n\
             Accept: */*\r\n\
             Content-Length: 11\r\n\
             Referer: http://127.0.0.1:{port}/d/page?q\r\n\
             Origin: http://127.0.0.1:{port}\r\n\
             Sec-Fetch-Dest: empty\r\n\
             Sec-Fetch-Mode: no-cors\r\n\
             Sec-Fetch-Site: same-origin\r\n\
             User-Agent: sendbeacon/0.1.0\r\n\
             Accept-Encoding: gzip, deflate, br, zstd\r\n\
             Priority: u=6"
        )
    );
    assert_eq!(request.body, b"hello world");
}

#[tokio::test]
async fn json_to_another_origin_is_preflighted_and_then_delivered() {
    let site = RecordingServer::start(|_| Behavior::status(404)).await;
    let collector = RecordingServer::start(|request| {
        let origin = ("Access-Control-Allow-Origin", request.header("origin").unwrap());
        Behavior::with_headers(204, &[&CORS[..], &[origin]].concat())
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&site.url("/"));
    let json = Blob::with_mime("{}", &mime::APPLICATION_JSON);
    assert_eq!(document.send_beacon(&collector.url("/c"), Some((&json).into())), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/c".into(), delivered(204))]);
    assert_eq!(request_lines(&collector.requests()), ["OPTIONS /c", "POST /c"]);
    assert_eq!(collector.requests()[1].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn script_sees_true_although_a_failed_preflight_prevents_the_post() {
    let site = RecordingServer::start(|_| Behavior::status(404)).await;
    let collector = RecordingServer::start(|_| Behavior::status(404)).await;
    let browser = Browser::new();
    let document = browser.open(&site.url("/"));
    let json = Blob::with_mime("{}", &mime::APPLICATION_JSON);
    assert_eq!(document.send_beacon(&collector.url("/c"), Some((&json).into())), Ok(true));
    let outcomes = browser.events.wait_for(1).await;
    let error = NetworkError::CorsPreflight(PreflightFailure::Cors(
        sendbeacon::CorsFailure::MissingAllowOrigin,
    ));
    let failed = Outcome::Failed { error, progress: Progress::Unsent };
    assert_eq!(outcomes, [("/c".into(), failed)]);
    assert_eq!(request_lines(&collector.requests()), ["OPTIONS /c"]);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn a_body_of_64_kib_is_delivered_and_a_longer_one_is_refused() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let body = "x".repeat(65_537);
    assert_eq!(document.send_beacon("/over", Some((&*body).into())), Ok(false));
    assert_eq!(document.send_beacon("/full", Some(body[..65_536].into())), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/full".into(), delivered(204))]);
    assert_eq!(server.requests()[0].body.len(), 65_536);
}

#[tokio::test]
async fn a_beacon_outlives_its_document_and_gives_its_quota_back() {
    let (server, answer) = server_that_waits().await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    assert_eq!(document.send_beacon("/b", Some("x".repeat(60_000).as_str().into())), Ok(true));
    server.wait_for(1).await;
    document.visibility_change(sendbeacon::VisibilityState::Hidden);
    document.pagehide(false);
    document.unload();
    assert_eq!(document.send_beacon("/late", None), Ok(false));
    assert_eq!(document.fetch_group().inflight().body_bytes, 60_000);
    assert!(browser.events.outcomes().is_empty());
    answer.notify_one();
    assert_eq!(browser.events.wait_for(1).await, [("/b".into(), delivered(204))]);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn a_beacon_survives_the_drop_of_its_document() {
    let server = RecordingServer::start(|_| Behavior::status(200)).await;
    let browser = Browser::new();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(browser.open(&server.url("/")).send_beacon(path, Some("x".into())), Ok(true));
    }
    assert_eq!(browser.events.wait_for(3).await.len(), 3);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn send_beacon_is_false_while_the_document_is_in_the_back_forward_cache() {
    let server = RecordingServer::start(|_| Behavior::status(200)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    document.pagehide(true);
    assert_eq!(document.send_beacon("/cached", None), Ok(false));
    assert!(
        document.send_beacon("ftp:x", None).is_err(),
        "a TypeError comes before the check of the document"
    );
    document.pageshow(true);
    assert_eq!(document.send_beacon("/back", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/back".into(), delivered(200))]);
}

#[tokio::test]
async fn set_client_changes_later_beacons_only() {
    let server = RecordingServer::start(|_| Behavior::status(200)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/d/"));
    assert_eq!(document.send_beacon("b", None), Ok(true));
    let mut client = Arc::unwrap_or_clone(document.client());
    client.api_base_url = client.api_base_url.join("/e/").unwrap();
    client.referrer_policy = sendbeacon::ReferrerPolicy::NoReferrer;
    document.set_client(client);
    assert_eq!(document.send_beacon("b", None), Ok(true));
    browser.events.wait_for(2).await;
    let mut requests = server.requests();
    requests.sort_by(|a, b| a.target.cmp(&b.target));
    assert_eq!(request_lines(&requests), ["POST /d/b", "POST /e/b"]);
    assert!(requests[0].header("referer").is_some());
    assert_eq!(requests[1].header("referer"), None);
}

#[tokio::test]
async fn each_of_a_thousand_beacons_in_a_row_is_delivered_once() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    for n in 0..1000 {
        assert_eq!(document.send_beacon(&format!("/{n}"), Some("x".into())), Ok(true));
    }
    let mut outcomes = browser.events.wait_for(1000).await;
    outcomes.sort_by_key(|(path, _)| path[1..].parse::<u32>().unwrap());
    let expected: Vec<_> = (0..1000).map(|n| (format!("/{n}"), delivered(204))).collect();
    assert_eq!(outcomes, expected);
    assert_eq!(server.requests().len(), 1000);
    assert!(server.connections() <= 6, "{} connections", server.connections());
}

#[tokio::test]
async fn two_bodies_of_40_000_bytes_do_not_fit_into_the_quota_at_once() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::with(|builder| builder.runtime(tokio::runtime::Handle::current()));
    let document = browser.open(&server.url("/"));
    // The network side runs on this thread, so it does nothing between two calls without an await.
    let body = "x".repeat(40_000);
    assert_eq!(document.send_beacon("/1", Some((&*body).into())), Ok(true));
    assert_eq!(document.send_beacon("/2", Some((&*body).into())), Ok(false));
    assert_eq!(browser.events.wait_for(1).await, [("/1".into(), delivered(204))]);
    assert_eq!(document.send_beacon("/3", Some((&*body).into())), Ok(true));
    assert_eq!(browser.events.wait_for(2).await[1], ("/3".into(), delivered(204)));
}

#[tokio::test]
async fn only_a_keepalive_fetch_takes_quota_and_both_kinds_get_a_response() {
    let server = RecordingServer::start(|_| {
        Behavior::with_body(200, &[("X-A", "1")], &b"0123456789".repeat(20_000))
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let group = document.fetch_group();
    let post = |path: &str, keepalive| {
        let mut request = request(&document, path, keepalive);
        request.method = http::Method::POST;
        request.body = Some(bytes::Bytes::from("y".repeat(50_000)).into());
        request
    };
    let response = group.fetch(post("/plain", false)).await.unwrap();
    assert_eq!(response.headers["x-a"], "1");
    assert_eq!(read(response).await.unwrap().len(), 200_000);

    let pending = group.fetch(post("/keepalive", true));
    assert_eq!(group.inflight().body_bytes, 50_000);
    let refused = group.fetch(post("/over", true)).await;
    assert_eq!(refused.unwrap_err(), NetworkError::KeepaliveQuota);
    drop(pending.await.unwrap());
    let outcomes = browser.events.wait_for(2).await;
    assert_eq!(outcomes[1], ("/keepalive".into(), delivered(200)));
    assert_eq!(group.inflight(), Inflight::default());
}

#[tokio::test]
async fn an_unload_stops_a_fetch_without_keepalive() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let pending = document.fetch_group().fetch(request(&document, "/f", false));
    server.wait_for(1).await;
    document.unload();
    let error = sendbeacon::AbandonReason::Terminated.into();
    let stopped = Outcome::Failed { error, progress: Progress::InPart };
    assert_eq!(browser.events.wait_for(1).await, [("/f".into(), stopped)]);
    assert!(pending.await.is_err());
}
