//! Shutdown drains, and says what it could not.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use http::StatusCode;
use sendbeacon::{
    AbandonReason, Blob, Client, Document, Event, EventSink, NetworkError, Nonce, ShutdownReport,
    UserAgentBuilder,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::{
    network::{ScriptedNetwork, respond},
    server::{Behavior, RecordingServer},
};
use tokio::{runtime::Handle, sync::Notify, task::spawn_blocking};

use crate::{
    browser::{Browser, delivered},
    holding_server,
};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_was_accepted_is_delivered_and_nothing_more_is_accepted() {
    let (server, answer) = holding_server().await;
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
async fn the_deadline_ends_what_hangs_and_the_report_names_it() {
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
    let lost = NetworkError::Abandoned(AbandonReason::Shutdown);
    assert!(report.lost.iter().all(|it| it.error == lost));
    assert_eq!(document.fetch_group().inflight().requests, 0);
}

#[test]
fn it_can_be_waited_for_without_a_runtime() {
    let report = Browser::new().agent.shutdown_blocking(LONG);
    assert!(report.completed && report.delivered.is_empty());
}

/// A user agent on the runtime that runs this, and a beacon of it that is held back.
fn on_this_runtime() -> (Browser, Document) {
    let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    let runtime = Handle::current();
    let browser = Browser::with(|builder| builder.network(network).runtime(runtime));
    browser.agent.important_loads(true);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    (browser, document)
}

#[tokio::test]
async fn it_can_be_awaited_on_the_one_thread_that_drains() {
    let (browser, _document) = on_this_runtime();
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed);
    assert_eq!(report.delivered.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_awaited_on_a_task_of_the_runtime_that_drains() {
    let report = tokio::spawn(async {
        let (browser, _document) = on_this_runtime();
        browser.agent.shutdown(LONG).await
    });
    let report = report.await.unwrap();
    assert!(report.completed);
    assert_eq!(report.delivered.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_can_be_blocked_for_on_a_thread_of_the_runtime_that_may_block() {
    let (browser, _document) = on_this_runtime();
    let report = spawn_blocking(move || browser.agent.shutdown_blocking(LONG)).await.unwrap();
    assert!(report.completed);
    assert_eq!(report.delivered.len(), 1);
}

async fn block_and_then_drain() {
    let (browser, document) = on_this_runtime();
    let report = browser.agent.shutdown_blocking(Duration::ZERO);
    assert!(!report.completed && report.delivered.is_empty() && report.lost.is_empty());
    assert_eq!(document.send_beacon("/late", None), Ok(false));
    let report = browser.agent.shutdown(LONG).await;
    assert!(report.completed, "the first call has begun it and not ended it");
    assert_eq!(report.lost.len(), 1, "its deadline has passed meanwhile");
}

#[tokio::test]
async fn to_block_the_one_thread_that_drains_ends_and_the_drain_goes_on_after_it() {
    block_and_then_drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn to_block_the_one_worker_of_a_runtime_is_no_different() {
    tokio::spawn(block_and_then_drain()).await.unwrap();
}

#[test]
fn a_runtime_that_has_gone_gives_a_report_that_is_not_completed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (browser, document) = runtime.block_on(async { on_this_runtime() });
    let pending = browser.agent.shutdown(LONG);
    drop(runtime);
    assert!(!futures_util::FutureExt::now_or_never(pending).unwrap().completed);
    assert!(!browser.agent.shutdown_blocking(LONG).completed);
    assert_eq!(document.fetch_group().inflight().requests, 0);
}

/// Shuts its user agent down when it is dropped, or only drops it.
struct OnDrop(Browser, Option<mpsc::Sender<ShutdownReport>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(sender) = self.1.take() {
            sender.send(self.0.agent.shutdown_blocking(LONG)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_that_unwinds_through_it_loses_nothing() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (sender, reports) = mpsc::channel();
    let url = server.url("/");
    let unwinding = move |sender| {
        let guard = OnDrop(Browser::new(), sender);
        let document = guard.0.open(&url);
        assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
        panic!("a panic that belongs to the test");
    };
    // A thread's panic is caught at its end, when it has unwound.
    for sender in [Some(sender), None] {
        let unwinding = unwinding.clone();
        spawn_blocking(move || unwinding(sender)).await.unwrap_err();
    }
    assert!(reports.recv().unwrap().completed);
    server.wait_for(2).await;
}

#[tokio::test]
async fn dropping_the_user_agent_closes_intake_and_still_delivers() {
    let (server, answer) = holding_server().await;
    let Browser { agent, events } = Browser::new();
    let url = url::Url::parse(&server.url("/")).unwrap();
    let document = agent.document(sendbeacon::Client::new(url, Nonce::from_u128(1)));
    assert_eq!(document.send_beacon("/b", Some("x".into())), Ok(true));
    drop(agent);
    assert_eq!(document.send_beacon("/late", None), Ok(false));
    server.wait_for(1).await;
    answer.notify_one();
    assert_eq!(events.wait_for(1).await, [("/b".into(), delivered(204))]);
}

#[tokio::test]
async fn an_engines_own_keepalive_request_is_waited_for_up_to_the_deadline() {
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
async fn what_waits_for_its_preflight_its_redirect_or_its_answer_when_all_closes_is_delivered() {
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
    let report = browser.agent.shutdown(Duration::from_secs(20));
    let open_the_gate = async {
        loop {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let report = tokio::select! {
        report = report => report,
        () = open_the_gate => unreachable!("it stays open"),
    };
    assert_eq!((report.delivered.len(), report.lost.len()), (3, 0), "{report:?}");
    let mut log = crate::log(&collector.requests());
    log.sort();
    assert_eq!(
        log,
        ["OPTIONS /json", "POST /answer", "POST /json", "POST /redirect", "POST /redirected"]
    );
}

/// Hangs as a name look-up may: in a call that nothing can end.
struct Stuck(Arc<std::sync::Mutex<mpsc::Receiver<()>>>);

impl Network for Stuck {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let stuck = Arc::clone(&self.0);
        Box::pin(async move {
            let _ = spawn_blocking(move || stuck.lock().unwrap().recv()).await;
            Err(NetworkError::Connect("it was let go".into()))
        })
    }
}

/// Tells when the thread it is first called on has ended.
struct ThreadEnd(std::sync::Mutex<Option<mpsc::Sender<()>>>);

impl EventSink for ThreadEnd {
    fn event(&self, _: Event) {
        thread_local!(static END: std::cell::RefCell<Option<mpsc::Sender<()>>> = const { std::cell::RefCell::new(None) });
        if let Some(sender) = self.0.lock().unwrap().take() {
            END.set(Some(sender));
        }
    }
}

#[test]
fn a_look_up_that_hangs_keeps_neither_the_caller_nor_the_thread() {
    let (_let_go, receiver) = mpsc::channel();
    let (sender, thread_end) = mpsc::channel();
    let network = Arc::new(Stuck(Arc::new(receiver.into())));
    let sink = Arc::new(ThreadEnd(Some(sender).into()));
    let agent = UserAgentBuilder::new(network).event_sink(sink).build().unwrap();
    let document =
        agent.document(Client::new("http://a.test/".parse().unwrap(), Nonce::from_u128(1)));
    assert_eq!(document.send_beacon("/", None), Ok(true));
    let report = agent.shutdown_blocking(Duration::from_millis(50));
    assert_eq!(report.lost[0].error, AbandonReason::Shutdown.into());
    assert_eq!(thread_end.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}
