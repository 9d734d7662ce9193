//! `fetchLater()` through the channel.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use sendbeacon::{
    AbandonReason, DeferredFetch, DeferredRequestInit, Document, FetchLaterError, NetworkError,
    Outcome,
    remote::{Pin, RemoteUserAgent},
};
use sendbeacon_testkit::network::{ScriptedNetwork, respond};

use super::{Content, PLENTY, client, page_of, serve, wait_for_quota};
use crate::{
    browser::{Browser, delivered, wait_until},
    deferred::{after, request},
    holding_server, log,
};

fn later(document: &Document, to: &str, body: usize) -> Result<DeferredFetch, FetchLaterError> {
    document.fetch_later(request(document, to, body), DeferredRequestInit::default())
}

/// The same, once there is room: a network process that has no time reads nothing.
async fn later_with_room(document: &Document, to: &str, body: usize) -> DeferredFetch {
    let mut deferred = Err(FetchLaterError::Unavailable);
    wait_until(|| {
        deferred = later(document, to, body);
        !matches!(deferred, Err(FetchLaterError::Unavailable))
    })
    .await;
    deferred.unwrap()
}

fn scripted() -> (Browser, Content, Document) {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let browser = Browser::with(|builder| builder.network(network));
    let page = client("https://a.test/");
    let content = Content::start(&browser, &page);
    let document = content.agent.document(page);
    (browser, content, document)
}

#[tokio::test]
async fn what_is_activated_is_counted_as_in_flight_until_it_is_done() {
    let (server, answer) = holding_server().await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let document = content.agent.document(page_of(&server));
    let waits = later(&document, "/waits", 10).unwrap();
    let sent = document.fetch_later(request(&document, "/sent", 60_000), after(0)).unwrap();
    wait_until(|| sent.is_activated()).await;
    wait_until(|| document.fetch_group().inflight().body_bytes == 60_000).await;
    assert!(!waits.is_activated());
    let beacon = "x".repeat(10_000);
    assert_eq!(document.send_beacon("/no", Some((&*beacon).into())), Ok(false));
    answer.notify_one();
    wait_for_quota(&document).await;
    assert_eq!(log(&server.requests()), ["POST /sent"]);
}

#[tokio::test]
async fn an_abort_crosses_the_channel_and_what_comes_back_makes_room_for_the_next() {
    let (browser, _content, document) = scripted();
    for _ in 0..100 {
        let aborted = later_with_room(&document, "/aborted", 60_000).await;
        aborted.abort();
        aborted.abort();
        assert!(!aborted.is_activated());
    }
    later_with_room(&document, "/kept", 60_000).await;
    let refused = later(&document, "/over", 60_000).unwrap_err();
    assert_eq!(refused.exception_name(), "QuotaExceededError");
    document.unload();
    assert_eq!(browser.events.wait_for(1).await[0].0, "/kept");
}

#[tokio::test]
async fn the_back_forward_cache_sends_all_and_the_next_have_the_whole_quota() {
    let (browser, _content, document) = scripted();
    for _ in 0..20 {
        let deferred = later_with_room(&document, "/x", 60_000).await;
        document.pagehide(true);
        assert!(deferred.is_activated());
        document.pageshow(true);
    }
    assert_eq!(browser.events.wait_for(20).await.len(), 20);
    wait_for_quota(&document).await;
}

#[tokio::test]
async fn what_the_network_process_forgets_takes_no_quota_any_more() {
    let (browser, _content, document) = scripted();
    let forgotten = later(&document, "/forgotten", 60_000).unwrap();
    // It has crossed when the beacon behind it has.
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.events.wait_for(1).await;
    browser.agent.clear_site_data(&document.client().origin);
    wait_until(|| later(&document, "/kept", 60_000).is_ok()).await;
    assert!(!forgotten.is_activated());
    document.unload();
    assert_eq!(browser.events.wait_for(2).await[1].0, "/kept");
}

#[tokio::test]
async fn nothing_of_an_aborted_group_is_activated() {
    let (browser, content, document) = scripted();
    later(&document, "/deferred", 10).unwrap();
    document.fetch_group().abort();
    let other = content.agent.document(client("https://a.test/"));
    assert_eq!(other.send_beacon("/b", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/b".into(), delivered(204))]);
}

#[tokio::test]
async fn what_an_unload_has_activated_is_aborted_though_others_were_unloaded_since() {
    let (server, _answer) = holding_server().await;
    let browser = Browser::new();
    let content = Content::start(&browser, &page_of(&server));
    let [aborted, other] = [(); 2].map(|()| content.agent.document(page_of(&server)));
    later(&aborted, "/deferred", 10).unwrap();
    assert_eq!(other.send_beacon("/b", None), Ok(true));
    aborted.unload();
    other.unload();
    server.wait_for(2).await;
    aborted.fetch_group().abort();
    let aborted = Outcome::Failed(NetworkError::Abandoned(AbandonReason::Aborted));
    assert_eq!(browser.events.wait_for(1).await, [("/deferred".into(), aborted)]);
}

#[tokio::test]
async fn an_abort_that_finds_no_room_is_not_lost_though_its_document_goes() {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let browser = Browser::with(|builder| builder.network(network).keepalive_limits(PLENTY));
    let page = client("https://a.test/");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap().keepalive_limits(PLENTY);
    let document = agent.document(page.clone());
    let aborted = later(&document, "/aborted", 10).unwrap();
    let body = "x".repeat(30_000);
    while document.send_beacon("/b", Some((&*body).into())).unwrap() {}
    aborted.abort();
    drop((aborted, document, agent));
    serve(&browser, ours, Pin::of(&page)).await.unwrap().unwrap();
    let report = browser.agent.shutdown(Duration::from_secs(20)).await;
    assert!(report.completed && report.lost.is_empty());
    assert!(browser.events.outcomes().iter().all(|(path, _)| path == "/b"));
}

#[tokio::test]
async fn a_shutdown_sends_what_content_processes_have_deferred() {
    let (browser, _content, document) = scripted();
    let deferred = later(&document, "/x", 10).unwrap();
    let report = browser.agent.shutdown(Duration::from_secs(20)).await;
    assert_eq!(report.delivered.len(), 1);
    wait_until(|| deferred.is_activated()).await;
    assert_eq!(later(&document, "/late", 0).unwrap_err(), FetchLaterError::Unavailable);
}

#[tokio::test]
async fn what_a_lost_channel_had_taken_counts_as_sent_and_nothing_more_is_taken() {
    let (browser, page) = (Browser::new(), client("https://a.test/"));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = RemoteUserAgent::over_unix_stream(theirs).unwrap();
    let document = agent.document(page.clone());
    let deferred = later(&document, "/x", 10).unwrap();
    let ended = serve(&browser, ours.try_clone().unwrap(), Pin::of(&page));
    ours.shutdown(std::net::Shutdown::Both).unwrap();
    let _ = ended.await;
    wait_until(|| deferred.is_activated()).await;
    for _ in 0..20 {
        let refused = later(&document, "/late", 60_000).unwrap_err();
        assert_eq!(refused, FetchLaterError::Unavailable);
    }
}
