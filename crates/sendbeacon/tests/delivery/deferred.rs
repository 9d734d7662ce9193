//! `fetchLater()`: nothing is sent before its time, and everything is sent in the end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use sendbeacon::{
    AbandonReason, BodyInit, Client, ContainerPolicy, DeferredFetch, DeferredRequestInit, Document,
    FetchLaterError, Inflight, NetworkError, Nonce, Origin, Outcome, Request, VisibilityState,
};
use sendbeacon_testkit::{
    network::{ScriptedNetwork, respond},
    server::{Behavior, RecordingServer},
};
use tokio::{runtime::Handle, sync::Notify};
use url::Url;

use crate::{
    browser::{Browser, delivered, wait_until},
    log,
};

const LONG: Duration = Duration::from_secs(20);

/// A request with so many bytes of body.
pub(crate) fn request(document: &Document, to: &str, body: usize) -> Request {
    let url = document.client().api_base_url.join(to).unwrap();
    let mut request = Request::new(document.client(), url);
    if body > 0 {
        request.method = Method::POST;
        request.body = Some(Bytes::from(vec![b'x'; body]).into());
    }
    request
}

pub(crate) fn after(millis: u64) -> DeferredRequestInit {
    DeferredRequestInit::activate_after(Duration::from_millis(millis))
}

fn later(document: &Document, to: &str) -> DeferredFetch {
    let request = request(document, to, 0);
    document.fetch_later(request, DeferredRequestInit::default()).unwrap()
}

fn scripted() -> Browser {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    Browser::with(|builder| builder.network(network))
}

/// Nothing runs on its network side before the test awaits something.
fn scripted_on_this_runtime() -> Browser {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    Browser::with(|builder| builder.network(network).runtime(Handle::current()))
}

const PAGE: &str = "https://a.test/d/page";

async fn paths(browser: &Browser, n: usize) -> Vec<String> {
    let mut paths: Vec<_> =
        browser.events.wait_for(n).await.into_iter().map(|(path, _)| path).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn an_unload_sends_what_was_deferred_and_not_what_was_aborted() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/d/page"));
    let mut post = request(&document, "/post", 5);
    post.headers.insert("x-a", http::HeaderValue::from_static("b"));
    let post = document.fetch_later(post, after(600_000)).unwrap();
    drop(later(&document, "/dropped"));
    let aborted = later(&document, "/aborted");
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
    assert_eq!(log(&requests), ["GET /dropped", "POST /post"]);
    assert_eq!(requests[1].body, b"xxxxx");
    assert_eq!(requests[1].header("x-a"), Some("b"));
    assert_eq!(requests[1].header("sec-fetch-mode"), Some("cors"));
    assert_eq!(requests[1].header("referer"), Some(&*server.url("/d/page")));
    let refused = document.fetch_later(request(&document, "/late", 0), after(0));
    assert_eq!(refused.unwrap_err(), FetchLaterError::NotFullyActive);
}

#[tokio::test]
async fn an_activated_one_is_sent_while_its_document_lives_and_no_abort_stops_it() {
    let answer = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let answer = Arc::clone(&answer);
        move |_| Behavior::RespondWhen(Arc::clone(&answer), Behavior::response(200, &[], b""))
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let waits = later(&document, "/waits");
    let deferred = document.fetch_later(request(&document, "/now", 10), after(0)).unwrap();
    browser.events.wait_for_started(deferred.id()).await;
    assert!(deferred.is_activated() && !waits.is_activated());
    assert_eq!(document.fetch_group().inflight().body_bytes, 10);
    server.wait_for(1).await;
    deferred.abort();
    assert!(deferred.is_activated());
    answer.notify_one();
    assert_eq!(browser.events.wait_for(1).await, [("/now".into(), delivered(200))]);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn the_back_forward_cache_sends_all_though_the_document_comes_back_at_once() {
    let browser = scripted();
    let document = browser.open(PAGE);
    let deferred = [later(&document, "/1"), later(&document, "/2")];
    document.pagehide(true);
    assert!(deferred.iter().all(DeferredFetch::is_activated));
    let refused = document.fetch_later(request(&document, "/late", 0), after(0));
    assert_eq!(refused.unwrap_err(), FetchLaterError::NotFullyActive);
    document.pageshow(true);
    let again = later(&document, "/3");
    assert_eq!(paths(&browser, 2).await, ["/1", "/2"]);
    assert!(!again.is_activated());
    document.unload();
    assert_eq!(paths(&browser, 3).await, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn a_document_that_comes_and_goes_before_the_network_side_looks_has_all_sent() {
    let browser = scripted();
    let document = browser.open(PAGE);
    for path in ["/1", "/2", "/3"] {
        later(&document, path);
        document.pagehide(true);
        document.pageshow(true);
    }
    assert_eq!(paths(&browser, 3).await, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn a_frozen_document_sends_what_waits_for_its_time_only() {
    let browser = scripted();
    let document = browser.open(PAGE);
    let to_the_end = later(&document, "/end");
    let timed = document.fetch_later(request(&document, "/timed", 0), after(600_000)).unwrap();
    document.freeze();
    assert_eq!(paths(&browser, 1).await, ["/timed"]);
    assert!(timed.is_activated() && !to_the_end.is_activated());
    document.process_gone();
    assert_eq!(paths(&browser, 2).await, ["/end", "/timed"]);
}

#[tokio::test]
async fn what_was_deferred_just_before_the_freeze_is_sent_by_that() {
    let browser = scripted_on_this_runtime();
    let document = browser.open(PAGE);
    // What is said of its state is under way already, ahead of the fetch.
    document.visibility_change(VisibilityState::Hidden);
    let timed = document.fetch_later(request(&document, "/timed", 0), after(600_000)).unwrap();
    let to_the_end = later(&document, "/end");
    document.freeze();
    assert_eq!(paths(&browser, 1).await, ["/timed"]);
    assert!(timed.is_activated() && !to_the_end.is_activated());
}

#[tokio::test]
async fn a_shutdown_sends_what_was_deferred_and_reports_it() {
    let browser = scripted();
    let document = browser.open(PAGE);
    let deferred = [later(&document, "/1"), later(&document, "/2")];
    assert!(!browser.events.is_busy());
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed && report.lost.is_empty());
    let delivered: Vec<_> = report.delivered.iter().map(|it| it.fetch.url.path()).collect();
    assert_eq!(delivered, ["/1", "/2"]);
    assert!(deferred.iter().all(DeferredFetch::is_activated));
    let refused = document.fetch_later(request(&document, "/late", 0), after(0));
    assert_eq!(refused.unwrap_err(), FetchLaterError::Unavailable);
    // What was refused takes no quota.
    for _ in 0..2 {
        let full = request(&document, "/full", 65_000);
        let refused = document.fetch_later(full, after(0)).unwrap_err();
        assert_eq!(refused, FetchLaterError::Unavailable);
    }
}

#[tokio::test]
async fn a_runtime_that_goes_away_is_the_outcome_of_what_was_deferred() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let handle = runtime.handle().clone();
    let browser = Browser::with(|builder| builder.network(network).runtime(handle));
    let document = browser.open(PAGE);
    let deferred = later(&document, "/lost");
    runtime.shutdown_background();
    let dropped = Outcome::Failed(NetworkError::Abandoned(AbandonReason::Dropped));
    assert_eq!(browser.events.wait_for(1).await, [("/lost".into(), dropped)]);
    assert!(deferred.is_activated());
}

#[tokio::test]
async fn what_is_given_up_is_not_sent() {
    let browser = scripted();
    let [aborted, cleared, other] =
        [PAGE, "https://b.test/", "https://c.test/"].map(|page| browser.open(page));
    let [_a, of_cleared, _c] = [&aborted, &cleared, &other].map(|it| later(it, "/x"));
    aborted.fetch_group().abort();
    browser.agent.clear_site_data(&cleared.client().origin);
    let report = browser.agent.shutdown(LONG).await;
    let urls: Vec<_> = report.delivered.iter().map(|it| it.fetch.url.as_str()).collect();
    assert_eq!(urls, ["https://c.test/x"]);
    assert!(report.lost.is_empty() && !of_cleared.is_activated());
}

#[tokio::test]
async fn what_was_just_activated_is_given_up_like_any_other_fetch() {
    let browser = scripted_on_this_runtime();
    let documents = ["https://a.test/1", "https://b.test/2", "https://c.test/3"];
    let [aborted, cleared, stopped] = documents.map(|page| browser.open(page));
    let deferred = [&aborted, &cleared, &stopped].map(|it| later(it, ""));
    for document in [&aborted, &cleared, &stopped] {
        document.unload();
    }
    aborted.fetch_group().abort();
    browser.agent.clear_site_data(&cleared.client().origin);
    stopped.fetch_group().abort_fetch(deferred[2].id());
    assert!(deferred.iter().all(DeferredFetch::is_activated));
    let abandoned = |reason| Outcome::Failed(NetworkError::Abandoned(reason));
    let expected = [
        ("/1".into(), abandoned(AbandonReason::Aborted)),
        ("/2".into(), abandoned(AbandonReason::SiteDataCleared)),
        ("/3".into(), abandoned(AbandonReason::Aborted)),
    ];
    assert_eq!(browser.events.wait_for(3).await, expected);
}

#[tokio::test]
async fn what_is_sent_while_it_is_forgotten_has_an_outcome() {
    let browser = scripted_on_this_runtime();
    let document = browser.open(PAGE);
    let deferred = later(&document, "/deferred");
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.events.wait_for(1).await;
    browser.agent.clear_site_data(&document.client().origin);
    document.pagehide(true);
    assert!(deferred.is_activated());
    let cleared = Outcome::Failed(NetworkError::Abandoned(AbandonReason::SiteDataCleared));
    assert_eq!(browser.events.wait_for(2).await[1], ("/deferred".into(), cleared));
}

#[tokio::test]
async fn room_of_what_is_given_up_before_it_starts_is_used_at_once() {
    let browser = scripted();
    let document = browser.open(PAGE);
    browser.agent.set_online(false);
    let mut keepalive = request(&document, "/keepalive", 60_000);
    keepalive.keepalive = true;
    let pending = document.fetch_group().fetch(keepalive);
    let ripe = document.fetch_later(request(&document, "/ripe", 10_000), after(0)).unwrap();
    let small = document.fetch_later(request(&document, "/small", 1), after(0)).unwrap();
    wait_until(|| small.is_activated()).await;
    assert!(!ripe.is_activated());
    document.fetch_group().abort_fetch(pending.id());
    wait_until(|| ripe.is_activated()).await;
}

#[tokio::test]
async fn what_is_ripe_waits_for_the_keepalive_quota_and_the_end_of_the_document_does_not() {
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
    let ripe = document.fetch_later(request(&document, "/ripe", 10_000), after(0)).unwrap();
    let small = document.fetch_later(request(&document, "/small", 5_000), after(0)).unwrap();
    let unloaded = other.fetch_later(request(&other, "/unloaded", 10_000), after(0)).unwrap();
    browser.events.wait_for_started(small.id()).await;
    assert!(!ripe.is_activated() && !unloaded.is_activated());
    other.unload();
    browser.events.wait_for_started(unloaded.id()).await;
    assert!(!ripe.is_activated());
    answer.notify_one();
    answer.notify_one();
    browser.events.wait_for_started(ripe.id()).await;
    assert_eq!(paths(&browser, 5).await, ["/beacon", "/beacon", "/ripe", "/small", "/unloaded"]);
}

#[tokio::test]
async fn room_of_an_engine_s_own_request_is_waited_for_too() {
    let browser = scripted();
    let document = browser.open(PAGE);
    let taken = document.fetch_group().reserve_keepalive(65_536, 0).unwrap();
    let ripe = document.fetch_later(request(&document, "/ripe", 1), after(0)).unwrap();
    let bodiless = document.fetch_later(request(&document, "/bodiless", 0), after(0)).unwrap();
    browser.events.wait_for_started(bodiless.id()).await;
    assert!(!ripe.is_activated());
    drop(taken);
    browser.events.wait_for_started(ripe.id()).await;
}

fn frame(
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
async fn a_frame_of_the_same_origin_shares_the_quota_and_gives_it_back_when_it_goes() {
    let browser = scripted();
    let top = browser.open(PAGE);
    let (_same, same) = frame(&browser, &top, "https://a.test/frame");
    let (_other, other) = frame(&browser, &top, "https://b.test/frame");
    let full = |document: &Document, body| {
        let request = request(document, "https://c.test/", body);
        document.fetch_later(request, DeferredRequestInit::default()).map(drop)
    };
    assert_eq!(full(&same, 65_536 - 27), Ok(()));
    let none = FetchLaterError::QuotaExceeded { quota: 0, requested: 28 };
    assert_eq!(full(&top, 1), Err(none));
    assert_eq!(full(&other, 8_192 - 27), Ok(()));
    let over = FetchLaterError::QuotaExceeded { quota: 0, requested: 27 };
    assert_eq!(full(&other, 0), Err(over));
    // At once, whatever the network side is doing.
    drop(same);
    assert_eq!(full(&top, 65_536 - 27), Ok(()));
    assert_eq!(paths(&browser, 1).await, ["/"]);
}

#[tokio::test]
async fn a_body_of_any_kind_is_measured_before_it_is_made() {
    let browser = scripted();
    let document = browser.open(PAGE);
    let mut with_body = request(&document, "https://b.test/", 0);
    let pairs = [("a".to_owned(), "b c".to_owned())];
    let extracted = sendbeacon::extract(BodyInit::UrlSearchParams(&pairs));
    with_body.body = Some(extracted.unwrap().into_body());
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.push(document.fetch_later(with_body.clone(), after(600_000)).unwrap());
    }
    let rest = request(&document, "https://b.test/", 65_536 - 2 * 32 - 27 + 1);
    let refused = document.fetch_later(rest, after(600_000)).unwrap_err();
    let left = 65_536 - 2 * 32;
    assert_eq!(refused, FetchLaterError::QuotaExceeded { quota: left, requested: left + 1 });
}
