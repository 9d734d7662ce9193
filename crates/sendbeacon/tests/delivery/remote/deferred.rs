//! Tests of `fetchLater()` in a content process.

use std::os::unix::net::UnixStream;

use sendbeacon::{
    AbandonReason, DeferredFetch, DeferredRequestInit, Document, FetchLaterError, Outcome,
    host::Progress,
    remote::{Pin, RemoteUserAgent},
};

use super::{PLENTY, open_page_of, page_of, serve, start_content_process, wait_for_quota};
use crate::{
    browser::{Browser, LONG, client, delivered, scripted_network, wait_until},
    deferred::{activate_after, request_with_body},
    request_lines, server_that_waits,
};

/// Defers a fetch without an `activateAfter`.
fn defer(document: &Document, to: &str, body: usize) -> Result<DeferredFetch, FetchLaterError> {
    document.fetch_later(request_with_body(document, to, body), DeferredRequestInit::default())
}

/// Defers a fetch, again and again while the channel is full: a busy network process reads late.
async fn defer_once_there_is_room(document: &Document, to: &str, body: usize) -> DeferredFetch {
    let mut deferred = Err(FetchLaterError::Unavailable);
    wait_until(|| {
        deferred = defer(document, to, body);
        !matches!(deferred, Err(FetchLaterError::Unavailable))
    })
    .await;
    deferred.unwrap()
}

/// A scripted browser, a content process, and a document in it.
fn scripted() -> (Browser, RemoteUserAgent, Document) {
    let browser = Browser::scripted();
    let page = client("https://a.test/");
    let content = start_content_process(&browser, &page);
    let document = content.document(page);
    (browser, content, document)
}

#[tokio::test]
async fn an_activated_fetch_takes_keepalive_quota_until_it_is_done() {
    let (server, answer) = server_that_waits().await;
    let (_browser, _content, document) = open_page_of(&server);
    let waits = defer(&document, "/waits", 10).unwrap();
    let sent = document
        .fetch_later(request_with_body(&document, "/sent", 60_000), activate_after(0))
        .unwrap();
    wait_until(|| sent.is_activated()).await;
    wait_until(|| document.fetch_group().inflight().body_bytes == 60_000).await;
    assert!(!waits.is_activated());
    let beacon = "x".repeat(10_000);
    assert_eq!(document.send_beacon("/no", Some((&*beacon).into())), Ok(false));
    answer.notify_one();
    wait_for_quota(&document).await;
    assert_eq!(request_lines(&server.requests()), ["POST /sent"]);
}

#[tokio::test]
async fn an_aborted_deferred_fetch_makes_room_for_the_next() {
    let (browser, _content, document) = scripted();
    for _ in 0..100 {
        let aborted = defer_once_there_is_room(&document, "/aborted", 60_000).await;
        aborted.abort();
        aborted.abort();
        assert!(!aborted.is_activated());
    }
    defer_once_there_is_room(&document, "/kept", 60_000).await;
    let refused = defer(&document, "/over", 60_000).unwrap_err();
    assert_eq!(refused.exception_name(), "QuotaExceededError");
    document.unload();
    assert_eq!(browser.events.wait_for(1).await[0].0, "/kept");
}

#[tokio::test]
async fn caching_the_document_sends_deferred_fetches_and_frees_their_quota() {
    let (browser, _content, document) = scripted();
    for _ in 0..20 {
        let deferred = defer_once_there_is_room(&document, "/x", 60_000).await;
        document.pagehide(true);
        assert!(deferred.is_activated());
        document.pageshow(true);
    }
    assert_eq!(browser.events.wait_for(20).await.len(), 20);
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn clear_site_data_frees_the_quota_of_deferred_fetches() {
    let (browser, _content, document) = scripted();
    let forgotten = defer(&document, "/forgotten", 60_000).unwrap();
    // When the beacon has crossed the channel, the deferred fetch before it has too.
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.events.wait_for(1).await;
    drop(browser.agent.clear_site_data(&document.client().origin));
    wait_until(|| defer(&document, "/kept", 60_000).is_ok()).await;
    assert!(!forgotten.is_activated());
    document.unload();
    let paths = browser.events.wait_for(3).await.into_iter().map(|(path, _)| path);
    assert_eq!(paths.collect::<Vec<_>>(), ["/b", "/forgotten", "/kept"]);
}

#[tokio::test]
async fn an_aborted_group_sends_no_deferred_fetches() {
    let (browser, content, document) = scripted();
    defer(&document, "/deferred", 10).unwrap();
    document.fetch_group().abort();
    let other = content.document(client("https://a.test/"));
    assert_eq!(other.send_beacon("/b", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/b".into(), delivered(204))]);
}

#[tokio::test]
async fn an_abort_ends_the_fetches_that_an_earlier_unload_has_sent() {
    let (server, _answer) = server_that_waits().await;
    let browser = Browser::new();
    let content = start_content_process(&browser, &page_of(&server));
    let [aborted, other] = [(); 2].map(|()| content.document(page_of(&server)));
    defer(&aborted, "/deferred", 10).unwrap();
    assert_eq!(other.send_beacon("/b", None), Ok(true));
    aborted.unload();
    other.unload();
    server.wait_for(2).await;
    aborted.fetch_group().abort();
    // How far it got is told in the network process.
    let error = AbandonReason::Aborted.into();
    let aborted = Outcome::Failed { error, progress: Progress::InPart };
    assert_eq!(browser.events.wait_for(1).await, [("/deferred".into(), aborted)]);
}

#[tokio::test]
async fn an_abort_is_not_lost_although_the_channel_is_full() {
    let browser =
        Browser::with(|builder| builder.network(scripted_network()).keepalive_limits(PLENTY));
    let page = client("https://a.test/");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap().keepalive_limits(PLENTY);
    let document = agent.document(page.clone());
    let aborted = defer(&document, "/aborted", 10).unwrap();
    let body = "x".repeat(30_000);
    while document.send_beacon("/b", Some((&*body).into())).unwrap() {}
    aborted.abort();
    drop((aborted, document, agent));
    serve(&browser, ours, Pin::of(&page)).await.unwrap().unwrap();
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed && report.lost.is_empty());
    assert!(browser.events.outcomes().iter().all(|(path, _)| path == "/b"));
}

#[tokio::test]
async fn a_shutdown_sends_the_deferred_fetches_of_content_processes() {
    let (browser, _content, document) = scripted();
    let deferred = defer(&document, "/x", 10).unwrap();
    let report = browser.agent.shutdown(LONG).await;
    assert_eq!(report.delivered.len(), 1);
    wait_until(|| deferred.is_activated()).await;
    assert_eq!(defer(&document, "/late", 0).unwrap_err(), FetchLaterError::Unavailable);
}

#[tokio::test]
async fn a_lost_channel_activates_deferred_fetches_and_refuses_new_ones() {
    let (browser, page) = (Browser::new(), client("https://a.test/"));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(page.clone());
    let deferred = defer(&document, "/x", 10).unwrap();
    let ended = serve(&browser, ours.try_clone().unwrap(), Pin::of(&page));
    ours.shutdown(std::net::Shutdown::Both).unwrap();
    let _ = ended.await;
    wait_until(|| deferred.is_activated()).await;
    for _ in 0..20 {
        let refused = defer(&document, "/late", 60_000).unwrap_err();
        assert_eq!(refused, FetchLaterError::Unavailable);
    }
}
