//! `fetch()` through the channel.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use http::Method;
use sendbeacon::{
    AbandonReason, Document, Mode, NetworkError, Request, Response,
    remote::{Pin, RemoteUserAgent},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};
use url::Url;

use super::{Content, client, page_of, serve, wait_for_quota};
use crate::browser::Browser;

fn request(document: &Document, url: &str, keepalive: bool) -> Request {
    let mut request = Request::new(document.client(), Url::parse(url).unwrap());
    request.keepalive = keepalive;
    request
}

async fn read(mut response: Response) -> Result<Vec<u8>, NetworkError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await {
        body.extend_from_slice(&chunk?);
    }
    Ok(body)
}

#[tokio::test]
async fn a_response_comes_back_whole() {
    let body: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let server = RecordingServer::start({
        let body = body.clone();
        move |_| Behavior::with_body(200, &[("X-Y", "z")], &body)
    })
    .await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let mut post = request(&document, &server.url("/f"), true);
    post.method = Method::POST;
    post.body = Some(bytes::Bytes::from_static(b"data").into());
    let response = document.fetch_group().fetch(post).await.unwrap();
    assert_eq!(document.fetch_group().inflight().body_bytes, 4);
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["x-y"], "z");
    assert!(read(response).await.unwrap() == body);
    assert_eq!(server.requests()[0].body, b"data");
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn a_response_that_script_may_not_see_stays_where_it_is() {
    let server =
        RecordingServer::start(|_| Behavior::with_body(200, &[("X-Y", "z")], b"secret")).await;
    let other = RecordingServer::start(|_| Behavior::status(404)).await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&other));
    let document = content.agent.document(page_of(&other));
    let mut get = request(&document, &server.url("/f"), false);
    get.mode = Mode::NoCors;
    let response = document.fetch_group().fetch(get).await.unwrap();
    assert!(response.headers.is_empty());
    assert_eq!(read(response).await, Ok(Vec::new()));
}

#[tokio::test]
async fn why_it_failed_stays_in_the_network_process() {
    let server = RecordingServer::start(|_| Behavior::Close).await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let pending = document.fetch_group().fetch(request(&document, &server.url("/"), false));
    assert_eq!(pending.await.unwrap_err(), NetworkError::OtherProcess);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let server = RecordingServer::start(|_| {
        Behavior::RespondThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec())
    })
    .await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let pending = document.fetch_group().fetch(request(&document, &server.url("/"), true));
    assert_eq!(read(pending.await.unwrap()).await, Err(NetworkError::OtherProcess));
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn an_aborted_fetch_is_aborted_on_both_sides() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let pending = document.fetch_group().fetch(request(&document, &server.url("/"), true));
    server.wait_for(1).await;
    document.fetch_group().abort_fetch(pending.id());
    assert_eq!(pending.await.unwrap_err(), AbandonReason::Aborted.into());
    server.wait_for_closed(1).await;
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn an_unload_stops_a_plain_fetch_and_lets_a_keepalive_one_go_on() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let gate = Arc::clone(&gate);
        move |request| match &*request.target {
            "/plain" => Behavior::Hang,
            _ => Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(204, &[], b"")),
        }
    })
    .await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let group = document.fetch_group();
    let plain = group.fetch(request(&document, &server.url("/plain"), false));
    let keepalive = group.fetch(request(&document, &server.url("/keepalive"), true));
    server.wait_for(2).await;
    document.unload();
    assert_eq!(plain.await.unwrap_err(), NetworkError::OtherProcess);
    gate.notify_one();
    assert_eq!(keepalive.await.unwrap().status, 204);
}

#[tokio::test]
async fn a_body_that_nobody_reads_any_more_frees_its_plain_fetch() {
    let server = RecordingServer::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n".to_vec();
        Behavior::Respond([head, vec![b'x'; 1 << 20]].concat())
    })
    .await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let pending = document.fetch_group().fetch(request(&document, &server.url("/"), false));
    let response = pending.await.unwrap();
    drop(response);
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn a_fetch_that_finds_the_runtime_gone_fails_and_ends_nothing_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let browser = Browser::with(|builder| builder.runtime(handle));
    let page = client("https://a.test/");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ended = serve(&browser, ours, Pin::of(&page));
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(page);
    spawn_blocking(|| drop(runtime)).await.unwrap();
    for keepalive in [false, true] {
        let pending =
            document.fetch_group().fetch(request(&document, "https://a.test/", keepalive));
        timeout(Duration::from_secs(20), pending).await.unwrap().unwrap_err();
    }
    wait_for_quota(&document).await;
    drop((document, agent));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_abort_after_the_unload_gives_up_keepalive_too() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    document.send_beacon("/b", None).unwrap();
    server.wait_for(1).await;
    document.unload();
    document.fetch_group().abort();
    server.wait_for_closed(1).await;
    wait_for_quota(&document).await;
}
