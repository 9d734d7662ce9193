//! Tests of servers, networks and runtimes that fail: each costs one beacon and nothing else.

use std::{sync::Arc, time::Duration};

use sendbeacon::{
    AbandonReason, Inflight, NetworkError, Timeouts,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use crate::browser::{Browser, delivered, failure, runtime_with_a_worker};

#[tokio::test]
async fn a_garbled_closed_or_reset_connection_costs_one_beacon() {
    let server = RecordingServer::start(|request| match &*request.target {
        "/garbage" => Behavior::RespondThenClose(b"\0\xff not HTTP\r\n\r\n".to_vec()),
        "/close" => Behavior::Close,
        "/reset" => Behavior::Reset,
        "/short" => {
            Behavior::RespondThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx".to_vec())
        }
        _ => Behavior::status(204),
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    for (n, path) in ["/garbage", "/close", "/reset"].into_iter().enumerate() {
        assert_eq!(document.send_beacon(path, Some("x".into())), Ok(true));
        let outcomes = browser.events.wait_for(2 * n + 1).await;
        let (done, outcome) = &outcomes[2 * n];
        assert_eq!(done, path);
        assert!(matches!(failure(outcome), NetworkError::Protocol(_)), "{outcome:?}");
        assert_eq!(document.fetch_group().inflight(), Inflight::default());
        // The next beacon is delivered.
        assert_eq!(document.send_beacon("/ok", Some("x".into())), Ok(true));
        let outcomes = browser.events.wait_for(2 * n + 2).await;
        assert_eq!(outcomes[2 * n + 1], ("/ok".into(), delivered(204)));
    }
    // The head of the response came, so the beacon is delivered although the body breaks off.
    assert_eq!(document.send_beacon("/short", None), Ok(true));
    let outcomes = browser.events.wait_for(7).await;
    assert_eq!(outcomes[6], ("/short".into(), delivered(200)));
    let count = |path| server.requests().iter().filter(|request| request.target == path).count();
    // A beacon that is lost on a connection that was idle is sent once more. The first `/ok` and those behind it are
    // on new connections, whose beacons are not.
    assert_eq!(["/garbage", "/close", "/reset", "/ok", "/short"].map(count), [1, 2, 2, 3, 1]);
}

#[tokio::test]
async fn a_beacon_without_an_answer_holds_its_quota_until_the_timeout() {
    let server = RecordingServer::start(|request| match &*request.target {
        "/hang" => Behavior::Hang,
        _ => Behavior::status(204),
    })
    .await;
    let timeouts = Timeouts::default().with_fetch(Duration::from_secs(3));
    let browser = Browser::with(|builder| builder.timeouts(timeouts));
    let document = browser.open(&server.url("/"));
    assert_eq!(document.send_beacon("/hang", Some("x".into())), Ok(true));
    server.wait_for(1).await;
    assert_eq!(document.send_beacon("/ok", Some("x".into())), Ok(true));
    let outcomes = browser.events.wait_for(2).await;
    assert_eq!(outcomes[0], ("/ok".into(), delivered(204)));
    let NetworkError::Timeout { kind, after } = failure(&outcomes[1].1) else {
        panic!("{outcomes:?}")
    };
    assert_eq!((kind, after), (sendbeacon::TimeoutKind::Fetch, timeouts.fetch));
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn a_beacon_is_delivered_although_the_response_body_never_ends() {
    let server = RecordingServer::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n";
        Behavior::Respond([&head[..], &b"x".repeat(200_000)].concat())
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    assert_eq!(document.send_beacon("/endless", None), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/endless".into(), delivered(200))]);
}

#[tokio::test]
async fn an_unknown_host_and_a_bad_port_are_network_errors() {
    let browser = Browser::with(|builder| builder.try_again(false));
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("http://nx.invalid/", None), Ok(true));
    assert!(matches!(failure(&browser.events.wait_for(1).await[0].1), NetworkError::Dns { .. }));
    assert_eq!(document.send_beacon("http://127.0.0.1:25/", None), Ok(true));
    assert_eq!(failure(&browser.events.wait_for(2).await[1].1), NetworkError::BadPort(25));
}

/// A network that panics for `/panic-early` at the call and for `/panic` at the first poll. It never answers
/// any other request.
struct BadNetwork;

impl Network for BadNetwork {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        assert!(request.url.path() != "/panic-early", "a panic that belongs to the test");
        Box::pin(async move {
            assert!(request.url.path() != "/panic", "a panic that belongs to the test");
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_panic_in_the_network_costs_one_beacon() {
    let browser = Browser::with(|builder| builder.network(Arc::new(BadNetwork)));
    let document = browser.open("http://a.test/");
    for (n, path) in ["/panic", "/panic-early"].into_iter().enumerate() {
        assert_eq!(document.send_beacon(path, Some("x".into())), Ok(true));
        let outcomes = browser.events.wait_for(n + 1).await;
        assert_eq!((&*outcomes[n].0, failure(&outcomes[n].1)), (path, AbandonReason::Panic.into()));
    }
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[test]
fn a_beacon_gets_the_outcome_dropped_when_the_runtime_is_dropped() {
    let runtime = runtime_with_a_worker();
    let handle = runtime.handle().clone();
    let browser = Browser::with(|builder| builder.network(Arc::new(BadNetwork)).runtime(handle));
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/1", Some("x".into())), Ok(true));
    drop(runtime);
    let outcomes = browser.events.outcomes();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(failure(&outcomes[0].1), AbandonReason::Dropped.into());
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    assert_eq!(document.send_beacon("/2", None), Ok(false), "the network side has gone");
}
