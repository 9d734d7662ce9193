//! Tests of `fetch()` in a content process.

use std::sync::Arc;

use http::{HeaderValue, Method};
use sendbeacon::{AbandonReason, Mode, NetworkError, remote::Pin};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};

use super::{connect, open_page_of, wait_for_quota};
use crate::browser::{Browser, LONG, client, read, request};

#[tokio::test]
async fn a_response_crosses_the_channel_whole() {
    let body: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let server = RecordingServer::start({
        let body = body.clone();
        move |_| Behavior::with_body(200, &[("X-Y", "z")], &body)
    })
    .await;
    let (_browser, _content, document) = open_page_of(&server);
    let mut post = request(&document, "/f", true);
    post.method = Method::POST;
    post.body = Some(bytes::Bytes::from_static(b"data").into());
    post.headers.insert("range", HeaderValue::from_static("bytes=0-"));
    let response = document.fetch_group().fetch(post).await.unwrap();
    assert_eq!(document.fetch_group().inflight().body_bytes, 4);
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["x-y"], "z");
    // A service worker passes these two on.
    assert!(response.request_includes_credentials && response.range_requested);
    assert!(read(response).await.unwrap() == body);
    assert_eq!(server.requests()[0].body, b"data");
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn an_opaque_response_crosses_the_channel_empty() {
    let server =
        RecordingServer::start(|_| Behavior::with_body(200, &[("X-Y", "z")], b"secret")).await;
    let other = RecordingServer::start(|_| Behavior::status(404)).await;
    let (_browser, _content, document) = open_page_of(&other);
    let mut get = request(&document, &server.url("/f"), false);
    get.mode = Mode::NoCors;
    let response = document.fetch_group().fetch(get).await.unwrap();
    assert!(response.headers.is_empty());
    assert!(!response.request_includes_credentials && !response.range_requested);
    assert_eq!(read(response).await, Ok(Vec::new()));
}

#[tokio::test]
async fn the_reason_of_a_failure_does_not_cross_the_channel() {
    let server = RecordingServer::start(|_| Behavior::Close).await;
    let (_browser, _content, document) = open_page_of(&server);
    let pending = document.fetch_group().fetch(request(&document, "/", false));
    assert_eq!(pending.await.unwrap_err(), NetworkError::OtherProcess);
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_with_an_error() {
    let server = RecordingServer::start(|_| {
        Behavior::RespondThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec())
    })
    .await;
    let (_browser, _content, document) = open_page_of(&server);
    let pending = document.fetch_group().fetch(request(&document, "/", true));
    assert_eq!(read(pending.await.unwrap()).await, Err(NetworkError::OtherProcess));
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn abort_fetch_ends_the_fetch_in_both_processes() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let (_browser, _content, document) = open_page_of(&server);
    let pending = document.fetch_group().fetch(request(&document, "/", true));
    server.wait_for(1).await;
    document.fetch_group().abort_fetch(pending.id());
    assert_eq!(pending.await.unwrap_err(), AbandonReason::Aborted.into());
    server.wait_for_closed(1).await;
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn an_unload_stops_a_plain_fetch_but_not_a_keepalive_fetch() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let gate = Arc::clone(&gate);
        move |request| match &*request.target {
            "/plain" => Behavior::Hang,
            _ => Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(204, &[], b"")),
        }
    })
    .await;
    let (_browser, _content, document) = open_page_of(&server);
    let group = document.fetch_group();
    let plain = group.fetch(request(&document, "/plain", false));
    let keepalive = group.fetch(request(&document, "/keepalive", true));
    server.wait_for(2).await;
    document.unload();
    assert_eq!(plain.await.unwrap_err(), NetworkError::OtherProcess);
    gate.notify_one();
    assert_eq!(keepalive.await.unwrap().status, 204);
}

#[tokio::test]
async fn dropping_the_response_ends_a_plain_fetch() {
    let server = RecordingServer::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n".to_vec();
        Behavior::Respond([head, vec![b'x'; 1 << 20]].concat())
    })
    .await;
    let (_browser, _content, document) = open_page_of(&server);
    let pending = document.fetch_group().fetch(request(&document, "/", false));
    let response = pending.await.unwrap();
    drop(response);
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn a_fetch_without_a_runtime_fails_and_the_channel_stays_open() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let browser = Browser::with(|builder| builder.runtime(handle));
    let page = client("https://a.test/");
    let (agent, ended) = connect(&browser, Pin::of(&page));
    let document = agent.document(page);
    spawn_blocking(|| drop(runtime)).await.unwrap();
    for keepalive in [false, true] {
        let pending =
            document.fetch_group().fetch(request(&document, "https://a.test/", keepalive));
        timeout(LONG, pending).await.unwrap().unwrap_err();
    }
    wait_for_quota(&document).await;
    drop((document, agent));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_abort_after_the_unload_ends_keepalive_fetches_too() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let (_browser, _content, document) = open_page_of(&server);
    document.send_beacon("/b", None).unwrap();
    server.wait_for(1).await;
    document.unload();
    document.fetch_group().abort();
    server.wait_for_closed(1).await;
    wait_for_quota(&document).await;
}
