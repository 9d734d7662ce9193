//! Tests of `fetch()` through a fetch group: its response, its body, and how it is stopped.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use sendbeacon::{
    AbandonReason, Document, Inflight, NetworkError, PreflightFailure, Request, Scheduling,
    host::{
        Answer, BodyStream, BoxFuture, Network, NetworkRequest, NetworkResponse,
        ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers,
    },
};
use sendbeacon_testkit::{
    network::respond,
    server::{Behavior, RecordingServer},
};

use crate::{
    browser::{
        Browser, abandoned, delivered, failure, request, runtime_with_a_worker, scripted_network,
    },
    request_lines, server_that_waits,
};

/// The page of the tests.
const PAGE: &str = "http://a.test/";

/// A network that never completes a response.
///
/// The response to `/head` has a head and one chunk; the rest of its body never comes. No response to
/// another URL begins. A fetch of `/drop` panics when it is dropped.
struct StallingNetwork;

/// A body that has one chunk and never ends.
struct OneChunk(Option<Bytes>);

impl BodyStream for OneChunk {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        self.0.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(chunk))))
    }
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a panic that belongs to the test");
    }
}

impl Network for StallingNetwork {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(async move {
            if request.url.path() == "/head" {
                let body = Box::pin(OneChunk(Some("half".into())));
                return Ok(NetworkResponse::new(http::StatusCode::OK, HeaderMap::new(), body));
            }
            let _guard = (request.url.path() == "/drop").then(|| PanicsOnDrop);
            std::future::pending().await
        })
    }

    fn network_changed(&self) {
        panic!("a panic that belongs to the test");
    }
}

fn open() -> (Browser, Document) {
    let browser = Browser::with(|builder| builder.network(Arc::new(StallingNetwork)));
    let document = browser.open(PAGE);
    (browser, document)
}

#[tokio::test]
async fn a_body_that_an_unload_cuts_off_ends_with_an_error() {
    let (_browser, document) = open();
    let pending = document.fetch_group().fetch(request(&document, "/head", false));
    let mut response = pending.await.unwrap();
    assert_eq!(response.chunk().await, Some(Ok("half".into())));
    document.unload();
    let terminated = NetworkError::Abandoned(AbandonReason::Terminated);
    assert_eq!(response.chunk().await, Some(Err(terminated)));
    assert_eq!(response.chunk().await, None);
}

#[tokio::test]
async fn abort_fetch_ends_keepalive_and_plain_fetches() {
    let (browser, document) = open();
    let kinds = [(true, true), (true, false), (false, true), (false, false)];
    for (n, (keepalive, is_running)) in kinds.into_iter().enumerate() {
        let pending = document.fetch_group().fetch(request(&document, "/x", keepalive));
        if is_running {
            browser.events.wait_for_started(pending.id()).await;
        }
        document.fetch_group().abort_fetch(pending.id());
        let aborted = NetworkError::Abandoned(AbandonReason::Aborted);
        assert_eq!(pending.await.unwrap_err(), aborted);
        assert_eq!(failure(&browser.events.wait_for(n + 1).await[n].1), aborted);
    }
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn dropping_the_response_stops_a_plain_fetch_with_a_stalled_body() {
    let (browser, document) = open();
    let pending = document.fetch_group().fetch(request(&document, "/head", false));
    let mut response = pending.await.unwrap();
    response.chunk().await.unwrap().unwrap();
    drop(response);
    assert_eq!(browser.events.wait_for(1).await, [("/head".into(), delivered(200))]);
}

#[tokio::test]
async fn a_plain_fetch_made_just_before_the_unload_is_stopped() {
    let (browser, document) = open();
    let pending = document.fetch_group().fetch(request(&document, "/x", false));
    document.unload();
    let terminated = NetworkError::Abandoned(AbandonReason::Terminated);
    assert_eq!(pending.await.unwrap_err(), terminated);
    assert_eq!(failure(&browser.events.wait_for(1).await[0].1), terminated);
}

#[tokio::test]
async fn a_network_that_panics_does_not_end_the_network_side() {
    let (browser, document) = open();
    browser.agent.network_changed();
    let pending = document.fetch_group().fetch(request(&document, "/drop", true));
    document.fetch_group().abort_fetch(pending.id());
    pending.await.unwrap_err();
    let pending = document.fetch_group().fetch(request(&document, "/head", true));
    assert_eq!(pending.await.unwrap().status, 200, "the network side still runs");
}

#[tokio::test]
async fn a_shutdown_keeps_its_deadline_when_the_user_agent_is_dropped() {
    let (browser, document) = open();
    assert_eq!(document.send_beacon("/x", None), Ok(true));
    let Browser { agent, .. } = browser;
    let report = agent.shutdown(Duration::from_millis(20));
    drop(agent);
    assert_eq!(report.await.lost.len(), 1);
}

#[test]
fn a_dropped_runtime_reports_the_outcome_and_ends_the_outstanding_work() {
    let runtime = runtime_with_a_worker();
    let handle = runtime.handle().clone();
    let browser =
        Browser::with(|builder| builder.network(Arc::new(StallingNetwork)).runtime(handle));
    let document = browser.open(PAGE);
    let pending = document.fetch_group().fetch(request(&document, "/head", true));
    let response = runtime.block_on(pending).unwrap();
    assert!(browser.events.is_busy());
    drop(runtime);
    assert_eq!(browser.events.outcomes(), [("/head".into(), delivered(200))]);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    assert!(!browser.events.is_busy());
    drop(response);
}

#[tokio::test]
async fn plain_fetches_that_hang_leave_a_connection_for_beacons() {
    let server = RecordingServer::start(|request| match &*request.target {
        "/b" => Behavior::status(204),
        _ => Behavior::Hang,
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let fetches = || document.fetch_group().fetch(request(&document, "/plain", false));
    let _hanging: Vec<_> = std::iter::repeat_with(fetches).take(20).collect();
    server.wait_for(5).await;
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/b".into(), delivered(204))]);
}

#[tokio::test]
async fn a_queued_plain_fetch_ends_when_its_pending_response_is_dropped() {
    let (server, answer) = server_that_waits().await;
    let scheduling = Scheduling::default().with_per_origin(1);
    let browser = Browser::with(|builder| builder.scheduling(scheduling));
    let document = browser.open(&server.url("/"));
    let fetch = |path| document.fetch_group().fetch(request(&document, path, false));
    let first = fetch("/first");
    server.wait_for(1).await;
    let queued = fetch("/queued");
    drop(queued);
    let unwanted = ("/queued".into(), abandoned(AbandonReason::Unwanted));
    assert_eq!(browser.events.wait_for(1).await, [unwanted]);
    answer.notify_one();
    first.await.unwrap();
    // The next fetch takes the place on the wire.
    answer.notify_one();
    fetch("/next").await.unwrap();
    assert_eq!(request_lines(&server.requests()), ["GET /first", "GET /next"]);
}

#[tokio::test]
async fn a_queued_keepalive_fetch_goes_on_when_its_pending_response_is_dropped() {
    let (server, answer) = server_that_waits().await;
    let scheduling = Scheduling::default().with_per_origin(1);
    let browser = Browser::with(|builder| builder.scheduling(scheduling));
    let document = browser.open(&server.url("/"));
    assert_eq!(document.send_beacon("/first", None), Ok(true));
    server.wait_for(1).await;
    drop(document.fetch_group().fetch(request(&document, "/queued", true)));
    answer.notify_one();
    answer.notify_one();
    let outcomes = browser.events.wait_for(2).await;
    assert_eq!(outcomes, ["/first", "/queued"].map(|path| (path.into(), delivered(204))));
    assert_eq!(request_lines(&server.requests()), ["POST /first", "GET /queued"]);
}

/// Answers each request for `/worker`.
struct Worker;

impl ServiceWorkers for Worker {
    fn handle_fetch(&self, request: &Request) -> Answer<ServiceWorkerAnswer> {
        Answer::Ready(match request.current_url().path() {
            "/worker" => {
                let response = respond(200, &[]).unwrap();
                ServiceWorkerAnswer::Response(ServiceWorkerResponse::new(response))
            }
            _ => ServiceWorkerAnswer::Network,
        })
    }
}

#[tokio::test]
async fn a_fetch_fails_offline_unless_a_service_worker_answers_it() {
    let network = scripted_network();
    let browser = Browser::with(|builder| {
        builder.network(Arc::clone(&network) as _).service_workers(Arc::new(Worker))
    });
    let document = browser.open(PAGE);
    let group = document.fetch_group();
    browser.agent.set_online(false);
    assert_eq!(document.send_beacon("/beacon", None), Ok(true));
    for keepalive in [false, true] {
        let fetch = |path| group.fetch(request(&document, path, keepalive));
        assert_eq!(fetch("/worker").await.unwrap().status, 200);
        assert_eq!(fetch("/network").await.unwrap_err(), NetworkError::Offline);
        let mut put = request(&document, "http://b.test/preflight", keepalive);
        put.method = http::Method::PUT;
        let failure = PreflightFailure::Network(Box::new(NetworkError::Offline));
        assert_eq!(group.fetch(put).await.unwrap_err(), failure.into());
    }
    assert!(network.sent().is_empty());
    browser.agent.set_online(true);
    assert_eq!(group.fetch(request(&document, "/network", false)).await.unwrap().status, 204);
    let outcomes = browser.events.wait_for(8).await;
    assert!(outcomes.contains(&("/beacon".into(), delivered(204))));
}
