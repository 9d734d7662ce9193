//! Tests of `fetchLater()`: what activates a deferred fetch, what aborts it, and its quota.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use sendbeacon::{
    AbandonReason, BodyInit, Client, ContainerPolicy, DeferredFetch, DeferredRequestInit, Document,
    FetchLaterError, Inflight, Nonce, Origin, Request, VisibilityState,
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{runtime::Handle, sync::Notify};
use url::Url;

use crate::{
    browser::{
        Browser, LONG, abandoned, delivered, request, runtime_with_a_worker, scripted_network,
        wait_until,
    },
    request_lines, server_that_waits,
};

/// A `POST` request with so many bytes of body, or a `GET` request for 0 bytes.
pub(crate) fn request_with_body(document: &Document, to: &str, body: usize) -> Request {
    let mut request = request(document, to, false);
    if body > 0 {
        request.method = Method::POST;
        request.body = Some(Bytes::from(vec![b'x'; body]).into());
    }
    request
}

/// An `activateAfter` of so many milliseconds.
pub(crate) fn activate_after(millis: u64) -> DeferredRequestInit {
    DeferredRequestInit::after(Duration::from_millis(millis))
}

/// Defers a fetch without an `activateAfter`.
fn defer(document: &Document, to: &str) -> DeferredFetch {
    let request = request_with_body(document, to, 0);
    document.fetch_later(request, DeferredRequestInit::default()).unwrap()
}

/// A scripted browser whose network side runs on the thread of the test: only while the test awaits.
fn scripted_on_this_runtime() -> Browser {
    Browser::with(|builder| builder.network(scripted_network()).runtime(Handle::current()))
}

/// The page of the tests without a server.
const PAGE: &str = "https://a.test/d/page";

/// Waits until `n` fetches are done, and returns their paths in alphabetical order.
async fn paths(browser: &Browser, n: usize) -> Vec<String> {
    let mut paths: Vec<_> =
        browser.events.wait_for(n).await.into_iter().map(|(path, _)| path).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn an_unload_sends_deferred_fetches_except_aborted_ones() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/d/page"));
    let mut post = request_with_body(&document, "/post", 5);
    post.headers.insert("x-a", http::HeaderValue::from_static("b"));
    let post = document.fetch_later(post, activate_after(600_000)).unwrap();
    drop(defer(&document, "/dropped"));
    let aborted = defer(&document, "/aborted");
    aborted.abort();
    document.visibility_change(VisibilityState::Hidden);
    document.pagehide(false);
    assert!(!post.is_activated());
    assert_eq!(document.fetch_group().inflight().body_bytes, 0);
    document.unload();
    assert!(post.is_activated() && !aborted.is_activated());
    assert_eq!(paths(&browser, 2).await, ["/dropped", "/post"]);
    let mut requests = server.requests();
    requests.sort_by(|a, b| a.target.cmp(&b.target));
    assert_eq!(request_lines(&requests), ["GET /dropped", "POST /post"]);
    assert_eq!(requests[1].body, b"xxxxx");
    assert_eq!(requests[1].header("x-a"), Some("b"));
    assert_eq!(requests[1].header("sec-fetch-mode"), Some("cors"));
    assert_eq!(requests[1].header("referer"), Some(&*server.url("/d/page")));
    let refused = document.fetch_later(request_with_body(&document, "/late", 0), activate_after(0));
    assert_eq!(refused.unwrap_err(), FetchLaterError::NotFullyActive);
}

#[tokio::test]
async fn an_abort_does_not_stop_an_activated_fetch() {
    let (server, answer) = server_that_waits().await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let waits = defer(&document, "/waits");
    let deferred =
        document.fetch_later(request_with_body(&document, "/now", 10), activate_after(0)).unwrap();
    browser.events.wait_for_started(deferred.id()).await;
    assert!(deferred.is_activated() && !waits.is_activated());
    assert_eq!(document.fetch_group().inflight().body_bytes, 10);
    server.wait_for(1).await;
    deferred.abort();
    assert!(deferred.is_activated());
    answer.notify_one();
    assert_eq!(browser.events.wait_for(1).await, [("/now".into(), delivered(204))]);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn deferred_fetches_are_sent_when_the_document_is_cached() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    let deferred = [defer(&document, "/1"), defer(&document, "/2")];
    document.pagehide(true);
    assert!(deferred.iter().all(DeferredFetch::is_activated));
    let refused = document.fetch_later(request_with_body(&document, "/late", 0), activate_after(0));
    assert_eq!(refused.unwrap_err(), FetchLaterError::NotFullyActive);
    document.pageshow(true);
    let again = defer(&document, "/3");
    assert_eq!(paths(&browser, 2).await, ["/1", "/2"]);
    assert!(!again.is_activated());
    document.unload();
    assert_eq!(paths(&browser, 3).await, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn a_document_cached_for_a_moment_has_its_deferred_fetches_sent() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    for path in ["/1", "/2", "/3"] {
        defer(&document, path);
        document.pagehide(true);
        document.pageshow(true);
    }
    assert_eq!(paths(&browser, 3).await, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn a_freeze_sends_only_the_fetches_with_activate_after() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    let to_the_end = defer(&document, "/end");
    let timed = document
        .fetch_later(request_with_body(&document, "/timed", 0), activate_after(600_000))
        .unwrap();
    document.freeze();
    assert_eq!(paths(&browser, 1).await, ["/timed"]);
    assert!(timed.is_activated() && !to_the_end.is_activated());
    document.process_gone();
    assert_eq!(paths(&browser, 2).await, ["/end", "/timed"]);
}

#[tokio::test]
async fn a_freeze_sends_a_fetch_that_was_deferred_just_before() {
    let browser = scripted_on_this_runtime();
    let document = browser.open(PAGE);
    // The network side gets the message about the state before the one about the fetch.
    document.visibility_change(VisibilityState::Hidden);
    let timed = document
        .fetch_later(request_with_body(&document, "/timed", 0), activate_after(600_000))
        .unwrap();
    let to_the_end = defer(&document, "/end");
    document.freeze();
    assert_eq!(paths(&browser, 1).await, ["/timed"]);
    assert!(timed.is_activated() && !to_the_end.is_activated());
}

#[tokio::test]
async fn a_shutdown_sends_deferred_fetches_and_reports_them() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    let deferred = [defer(&document, "/1"), defer(&document, "/2")];
    assert!(!browser.events.is_busy());
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed && report.lost.is_empty());
    let delivered: Vec<_> = report.delivered.iter().map(|it| it.fetch.url.path()).collect();
    assert_eq!(delivered, ["/1", "/2"]);
    assert!(deferred.iter().all(DeferredFetch::is_activated));
    let refused = document.fetch_later(request_with_body(&document, "/late", 0), activate_after(0));
    assert_eq!(refused.unwrap_err(), FetchLaterError::Unavailable);
    // A refused fetch takes no quota.
    for _ in 0..2 {
        let full = request_with_body(&document, "/full", 65_000);
        let refused = document.fetch_later(full, activate_after(0)).unwrap_err();
        assert_eq!(refused, FetchLaterError::Unavailable);
    }
}

#[tokio::test]
async fn a_deferred_fetch_gets_the_outcome_dropped_with_its_runtime() {
    let runtime = runtime_with_a_worker();
    let handle = runtime.handle().clone();
    let browser = Browser::with(|builder| builder.network(scripted_network()).runtime(handle));
    let document = browser.open(PAGE);
    let deferred = defer(&document, "/lost");
    runtime.shutdown_background();
    let dropped = abandoned(AbandonReason::Dropped);
    assert_eq!(browser.events.wait_for(1).await, [("/lost".into(), dropped)]);
    assert!(deferred.is_activated());
}

#[tokio::test]
async fn an_abort_and_clear_site_data_drop_deferred_fetches() {
    let browser = Browser::scripted();
    let [aborted, cleared, other] =
        [PAGE, "https://b.test/", "https://c.test/"].map(|page| browser.open(page));
    let [_a, of_cleared, _c] = [&aborted, &cleared, &other].map(|it| defer(it, "/x"));
    aborted.fetch_group().abort();
    drop(browser.agent.clear_site_data(&cleared.client().origin));
    let outcome = abandoned(AbandonReason::SiteDataCleared);
    assert_eq!(browser.events.wait_for(1).await, [("/x".into(), outcome)]);
    let report = browser.agent.shutdown(LONG).await;
    let urls: Vec<_> = report.delivered.iter().map(|it| it.fetch.url.as_str()).collect();
    assert_eq!(urls, ["https://c.test/x"]);
    assert!(report.lost.is_empty() && !of_cleared.is_activated());
}

#[tokio::test]
async fn activated_fetches_are_given_up_like_any_other_fetches() {
    let browser = scripted_on_this_runtime();
    let documents = ["https://a.test/1", "https://b.test/2", "https://c.test/3"];
    let [aborted, cleared, stopped] = documents.map(|page| browser.open(page));
    let deferred = [&aborted, &cleared, &stopped].map(|it| defer(it, ""));
    for document in [&aborted, &cleared, &stopped] {
        document.unload();
    }
    aborted.fetch_group().abort();
    drop(browser.agent.clear_site_data(&cleared.client().origin));
    stopped.fetch_group().abort_fetch(deferred[2].id());
    assert!(deferred.iter().all(DeferredFetch::is_activated));
    let expected = [
        ("/1".into(), abandoned(AbandonReason::Aborted)),
        ("/2".into(), abandoned(AbandonReason::SiteDataCleared)),
        ("/3".into(), abandoned(AbandonReason::Aborted)),
    ];
    assert_eq!(browser.events.wait_for(3).await, expected);
}

#[tokio::test]
async fn a_fetch_activated_while_site_data_is_cleared_has_an_outcome() {
    let browser = scripted_on_this_runtime();
    let document = browser.open(PAGE);
    let deferred = defer(&document, "/deferred");
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.events.wait_for(1).await;
    drop(browser.agent.clear_site_data(&document.client().origin));
    document.pagehide(true);
    assert!(deferred.is_activated());
    let cleared = abandoned(AbandonReason::SiteDataCleared);
    assert_eq!(browser.events.wait_for(2).await[1], ("/deferred".into(), cleared));
}

#[tokio::test]
async fn a_deferred_fetch_has_the_referrer_of_its_call() {
    let network = scripted_network();
    let browser = Browser::with(|builder| builder.network(Arc::clone(&network) as _));
    let document = browser.open(PAGE);
    defer(&document, "/deferred");
    // The script calls history.pushState().
    let mut client = Client::clone(&document.client());
    client.creation_url = Url::parse("https://a.test/pushed").unwrap();
    document.set_client(client);
    document.unload();
    assert_eq!(paths(&browser, 1).await, ["/deferred"]);
    assert_eq!(network.sent()[0].headers["referer"], PAGE);
}

#[tokio::test]
async fn a_due_fetch_uses_the_room_of_an_aborted_queued_beacon() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    browser.agent.set_online(false);
    let body = "x".repeat(60_000);
    let beacon = document.send_beacon_with_id("/beacon", Some((&*body).into())).unwrap().unwrap();
    let due = document
        .fetch_later(request_with_body(&document, "/due", 10_000), activate_after(0))
        .unwrap();
    let small =
        document.fetch_later(request_with_body(&document, "/small", 1), activate_after(0)).unwrap();
    wait_until(|| small.is_activated()).await;
    assert!(!due.is_activated());
    document.fetch_group().abort_fetch(beacon);
    wait_until(|| due.is_activated()).await;
}

#[tokio::test]
async fn a_due_fetch_waits_for_quota_but_an_unload_does_not() {
    let answer = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let answer = Arc::clone(&answer);
        move |request| match request.target.as_str() {
            "/beacon" => {
                Behavior::RespondWhen(Arc::clone(&answer), Behavior::response(204, &[], b""))
            }
            _ => Behavior::status(204),
        }
    })
    .await;
    let browser = Browser::new();
    let [document, other] = [(); 2].map(|()| browser.open(&server.url("/")));
    for it in [&document, &other] {
        assert_eq!(it.send_beacon("/beacon", Some("x".repeat(60_000).as_str().into())), Ok(true));
    }
    server.wait_for(2).await;
    let due = document
        .fetch_later(request_with_body(&document, "/due", 10_000), activate_after(0))
        .unwrap();
    let small = document
        .fetch_later(request_with_body(&document, "/small", 5_000), activate_after(0))
        .unwrap();
    let unloaded = other
        .fetch_later(request_with_body(&other, "/unloaded", 10_000), activate_after(0))
        .unwrap();
    browser.events.wait_for_started(small.id()).await;
    assert!(!due.is_activated() && !unloaded.is_activated());
    other.unload();
    browser.events.wait_for_started(unloaded.id()).await;
    assert!(!due.is_activated());
    answer.notify_one();
    answer.notify_one();
    browser.events.wait_for_started(due.id()).await;
    assert_eq!(paths(&browser, 5).await, ["/beacon", "/beacon", "/due", "/small", "/unloaded"]);
}

#[tokio::test]
async fn a_due_fetch_waits_for_the_quota_that_the_engine_has_reserved() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    let taken = document.fetch_group().reserve_keepalive(65_536, 0).unwrap();
    let due =
        document.fetch_later(request_with_body(&document, "/due", 1), activate_after(0)).unwrap();
    let bodiless = document
        .fetch_later(request_with_body(&document, "/bodiless", 0), activate_after(0))
        .unwrap();
    browser.events.wait_for_started(bodiless.id()).await;
    assert!(!due.is_activated());
    drop(taken);
    browser.events.wait_for_started(due.id()).await;
}

/// Makes a frame of `parent`, and a document in it with this URL.
fn open_frame(
    browser: &Browser,
    parent: &Document,
    url: &str,
) -> (sendbeacon::NavigableContainer, Document) {
    let url = Url::parse(url).unwrap();
    let (client, origin) = (parent.client(), Origin::of(&url, Nonce::from_u128(2)));
    let container = parent.navigable_container();
    let policy = ContainerPolicy::new(&client.permissions_policy, &client.origin, "", &origin);
    container.reserve_deferred_fetch_quota(&policy, &origin);
    let mut client = Client::new(url, Nonce::from_u128(2));
    client.permissions_policy = policy.permissions_policy(&origin, &http::HeaderMap::new());
    let document = browser.agent.nested_document(client, &container);
    (container, document)
}

#[tokio::test]
async fn a_same_origin_frame_shares_the_quota_until_it_goes() {
    let browser = Browser::scripted();
    let top = browser.open(PAGE);
    let (_same, same) = open_frame(&browser, &top, "https://a.test/frame");
    let (_other, other) = open_frame(&browser, &top, "https://b.test/frame");
    let defer = |document: &Document, body| {
        let request = request_with_body(document, "https://c.test/", body);
        document.fetch_later(request, DeferredRequestInit::default()).map(drop)
    };
    assert_eq!(defer(&same, 65_536 - 27), Ok(()));
    let none = FetchLaterError::QuotaExceeded { quota: 0, requested: 28 };
    assert_eq!(defer(&top, 1), Err(none));
    assert_eq!(defer(&other, 8_192 - 27), Ok(()));
    let over = FetchLaterError::QuotaExceeded { quota: 0, requested: 27 };
    assert_eq!(defer(&other, 0), Err(over));
    // The quota is free at once: this does not wait for the network side.
    drop(same);
    assert_eq!(defer(&top, 65_536 - 27), Ok(()));
    assert_eq!(paths(&browser, 1).await, ["/"]);
}

#[tokio::test]
async fn an_extracted_body_counts_in_the_quota_with_its_length() {
    let browser = Browser::scripted();
    let document = browser.open(PAGE);
    let mut with_body = request_with_body(&document, "https://b.test/", 0);
    let pairs = [("a".to_owned(), "b c".to_owned())];
    let extracted = sendbeacon::extract(BodyInit::UrlSearchParams(&pairs));
    with_body.body = Some(extracted.unwrap().into_body());
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.push(document.fetch_later(with_body.clone(), activate_after(600_000)).unwrap());
    }
    let rest = request_with_body(&document, "https://b.test/", 65_536 - 2 * 32 - 27 + 1);
    let refused = document.fetch_later(rest, activate_after(600_000)).unwrap_err();
    let left = 65_536 - 2 * 32;
    assert_eq!(refused, FetchLaterError::QuotaExceeded { quota: left, requested: left + 1 });
}
