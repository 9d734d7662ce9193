//! Tests of the shutdown: what it delivers, what it reports, and where it may be awaited.

use std::{
    cell::RefCell,
    sync::{Arc, mpsc},
    time::Duration,
};

use http::StatusCode;
use sendbeacon::{
    AbandonReason, Blob, Document, Event, EventSink, NetworkError, ShutdownReport,
    UserAgentBuilder,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{runtime::Handle, sync::Notify, task::spawn_blocking};

use crate::{
    browser::{Browser, LONG, client, delivered, scripted_network},
    server_that_waits,
};

#[tokio::test]
async fn a_shutdown_delivers_accepted_beacons_and_refuses_new_ones() {
    let (server, answer) = server_that_waits().await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    for path in ["/1", "/2"] {
        assert_eq!(document.send_beacon(path, Some("x".into())), Ok(true));
    }
    let first = browser.agent.shutdown(LONG);
    let second = browser.agent.shutdown(LONG);
    assert_eq!(document.send_beacon("/3", None), Ok(false));
    assert_eq!(browser.open(&server.url("/")).send_beacon("/4", None), Ok(false));
    server.wait_for(2).await;
    answer.notify_one();
    answer.notify_one();
    let report = first.await;
    let mut paths: Vec<_> = report.delivered.iter().map(|it| it.fetch.url.path()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/1", "/2"]);
    assert!(report.delivered.iter().all(|it| it.status == StatusCode::NO_CONTENT));
    assert!(report.completed && report.lost.is_empty());
    let second = second.await;
    assert!(second.completed);
    assert_eq!(second.delivered.len(), 2);
    let third = browser.agent.shutdown(LONG).await;
    assert!(!third.completed && third.delivered.is_empty() && third.lost.is_empty());
    assert!(!browser.agent.shutdown_blocking(LONG).completed);
}

#[tokio::test]
async fn the_deadline_ends_hanging_beacons_and_the_report_lists_them() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    for n in 0..20 {
        assert_eq!(document.send_beacon(&format!("/{n}"), Some("x".into())), Ok(true));
    }
    server.wait_for(6).await;
    let report = browser.agent.shutdown(Duration::from_millis(50)).await;
    assert!(report.completed && report.delivered.is_empty());
    assert_eq!(report.lost.len(), 20);
    assert!(report.lost.iter().all(|it| it.error == AbandonReason::Shutdown.into()));
    assert_eq!(document.fetch_group().inflight().requests, 0);
}

#[test]
fn shutdown_blocking_needs_no_runtime() {
    let report = Browser::new().agent.shutdown_blocking(LONG);
    assert!(report.completed && report.delivered.is_empty());
}

/// Makes a user agent on the runtime of the caller, and a document that has sent a beacon. The beacon is held
/// back.
fn open_on_this_runtime() -> (Browser, Document) {
    let runtime = Handle::current();
    let browser = Browser::with(|builder| builder.network(scripted_network()).runtime(runtime));
    browser.agent.important_loads(true);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    (browser, document)
}

#[tokio::test]
async fn shutdown_can_be_awaited_on_the_only_thread_of_the_runtime() {
    let (browser, _document) = open_on_this_runtime();
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed);
    assert_eq!(report.delivered.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_can_be_awaited_in_a_task_of_the_same_runtime() {
    let report = tokio::spawn(async {
        let (browser, _document) = open_on_this_runtime();
        browser.agent.shutdown(LONG).await
    });
    let report = report.await.unwrap();
    assert!(report.completed);
    assert_eq!(report.delivered.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn shutdown_blocking_works_on_a_blocking_thread_of_the_runtime() {
    let (browser, _document) = open_on_this_runtime();
    let report = spawn_blocking(move || browser.agent.shutdown_blocking(LONG)).await.unwrap();
    assert!(report.completed);
    assert_eq!(report.delivered.len(), 1);
}

/// Blocks the thread that drives the drain, and then awaits the drain.
async fn block_and_then_await_the_drain() {
    let (browser, document) = open_on_this_runtime();
    let report = browser.agent.shutdown_blocking(Duration::ZERO);
    assert!(!report.completed && report.delivered.is_empty() && report.lost.is_empty());
    assert_eq!(document.send_beacon("/late", None), Ok(false));
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed, "the first call began the drain and did not end it");
    assert_eq!(report.lost.len(), 1, "the deadline of the first call has passed");
}

#[tokio::test]
async fn shutdown_blocking_on_the_only_thread_returns_without_completion() {
    block_and_then_await_the_drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn shutdown_blocking_on_the_only_worker_returns_without_completion() {
    tokio::spawn(block_and_then_await_the_drain()).await.unwrap();
}

#[test]
fn a_dropped_runtime_gives_a_report_that_is_not_completed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (browser, document) = runtime.block_on(async { open_on_this_runtime() });
    let pending = browser.agent.shutdown(LONG);
    drop(runtime);
    assert!(!futures_util::FutureExt::now_or_never(pending).unwrap().completed);
    assert!(!browser.agent.shutdown_blocking(LONG).completed);
    assert_eq!(document.fetch_group().inflight().requests, 0);
}

/// Drops its user agent, after a shutdown if there is a sender for the report.
struct DropsUserAgent(Browser, Option<mpsc::Sender<ShutdownReport>>);

impl Drop for DropsUserAgent {
    fn drop(&mut self) {
        if let Some(sender) = self.1.take() {
            sender.send(self.0.agent.shutdown_blocking(LONG)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_is_delivered_although_a_panic_drops_the_user_agent() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (sender, reports) = mpsc::channel();
    let url = server.url("/");
    let unwinding = move |sender| {
        let guard = DropsUserAgent(Browser::new(), sender);
        let document = guard.0.open(&url);
        assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
        panic!("a panic that belongs to the test");
    };
    // The runtime catches the panic after the unwinding.
    for sender in [Some(sender), None] {
        let unwinding = unwinding.clone();
        spawn_blocking(move || unwinding(sender)).await.unwrap_err();
    }
    assert!(reports.recv().unwrap().completed);
    server.wait_for(2).await;
}

#[tokio::test]
async fn a_dropped_user_agent_delivers_accepted_beacons_and_refuses_new_ones() {
    let (server, answer) = server_that_waits().await;
    let Browser { agent, events } = Browser::new();
    let document = agent.document(client(&server.url("/")));
    assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    drop(agent);
    assert_eq!(document.send_beacon("/late", None), Ok(false));
    server.wait_for(1).await;
    answer.notify_one();
    assert_eq!(events.wait_for(1).await, [("/b".into(), delivered(204))]);
}

#[tokio::test]
async fn a_shutdown_waits_for_reservations_until_its_deadline() {
    let browser = Browser::new();
    let document = browser.open("http://a.test/");
    let group = document.fetch_group();
    let held = group.reserve_keepalive(65_000, 20).unwrap();
    assert!(group.reserve_keepalive(1_000, 20).is_none());
    assert_eq!(document.send_beacon("/b", Some("x".repeat(1_000).as_str().into())), Ok(false));
    let mut report = std::pin::pin!(browser.agent.shutdown(LONG));
    assert!(futures_util::FutureExt::now_or_never(&mut report).is_none());
    drop(held);
    assert!(report.await.lost.is_empty());
    assert_eq!(group.inflight().requests, 0);

    let browser = Browser::new();
    let document = browser.open("http://a.test/");
    let held = document.fetch_group().reserve_keepalive(1, 1);
    assert!(held.is_some());
    browser.agent.shutdown(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn a_shutdown_delivers_beacons_at_every_stage_of_their_fetch() {
    let site = RecordingServer::start(|_| Behavior::status(404)).await;
    let gate = Arc::new(Notify::new());
    let collector = RecordingServer::start({
        let gate = Arc::clone(&gate);
        move |request| {
            let headers = [
                ("Access-Control-Allow-Origin", request.header("origin").unwrap()),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Allow-Headers", "content-type"),
                ("Location", "/redirected"),
            ];
            let held = |status| {
                let response = Behavior::response(status, &headers[..], b"");
                Behavior::RespondWhen(Arc::clone(&gate), response)
            };
            match (&*request.method, &*request.target) {
                ("OPTIONS", _) | ("POST", "/answer") => held(204),
                ("POST", "/redirect") => held(307),
                _ => Behavior::with_headers(204, &headers),
            }
        }
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&site.url("/"));
    let json = Blob::with_mime("{}", &mime::APPLICATION_JSON);
    assert_eq!(document.send_beacon(&collector.url("/json"), Some((&json).into())), Ok(true));
    assert_eq!(document.send_beacon(&collector.url("/redirect"), Some("r".into())), Ok(true));
    assert_eq!(document.send_beacon(&collector.url("/answer"), Some("a".into())), Ok(true));
    collector.wait_for(3).await;
    drop(document);
    let report = browser.agent.shutdown(LONG);
    let open_the_gate = async {
        loop {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let report = tokio::select! {
        report = report => report,
        () = open_the_gate => unreachable!("this loop has no end"),
    };
    assert_eq!((report.delivered.len(), report.lost.len()), (3, 0), "{report:?}");
    let mut lines = crate::request_lines(&collector.requests());
    lines.sort();
    assert_eq!(
        lines,
        ["OPTIONS /json", "POST /answer", "POST /json", "POST /redirect", "POST /redirected"]
    );
}

/// A network that hangs, as a name lookup may, in a blocking call that nothing can end.
struct HangingLookup(Arc<std::sync::Mutex<mpsc::Receiver<()>>>);

impl Network for HangingLookup {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let end = Arc::clone(&self.0);
        Box::pin(async move {
            let _ = spawn_blocking(move || end.lock().unwrap().recv()).await;
            Err(NetworkError::Connect("the test has ended".into()))
        })
    }
}

/// An event sink that drops its sender when the thread of its first event ends.
struct ThreadEnd(std::sync::Mutex<Option<mpsc::Sender<()>>>);

impl EventSink for ThreadEnd {
    fn event(&self, _: Event) {
        thread_local! {
            static END: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
        }
        if let Some(sender) = self.0.lock().unwrap().take() {
            END.set(Some(sender));
        }
    }
}

#[test]
fn a_hanging_name_lookup_blocks_neither_the_shutdown_nor_the_thread() {
    let (_end, receiver) = mpsc::channel();
    let (sender, thread_end) = mpsc::channel();
    let network = Arc::new(HangingLookup(Arc::new(receiver.into())));
    let sink = Arc::new(ThreadEnd(Some(sender).into()));
    let agent = UserAgentBuilder::new(network).event_sink(sink).build().unwrap();
    let document = agent.document(client("http://a.test/"));
    assert_eq!(document.send_beacon("/", None), Ok(true));
    let report = agent.shutdown_blocking(Duration::from_millis(50));
    assert_eq!(report.lost[0].error, AbandonReason::Shutdown.into());
    assert_eq!(thread_end.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}
