//! Shutdown drains, and says what it could not.

use std::{sync::Arc, time::Duration};

use sendbeacon::{AbandonReason, Blob, NetworkError, Outcome};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::sync::Notify;

use crate::browser::{Browser, delivered};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_was_accepted_is_delivered_and_nothing_more_is_accepted() {
    let answer = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let answer = Arc::clone(&answer);
        move |_| Behavior::RespondWhen(Arc::clone(&answer), Behavior::response(204, &[], b""))
    })
    .await;
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
    let mut paths: Vec<_> = report.delivered.iter().map(|(info, _)| info.url.path()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/1", "/2"]);
    assert!(report.delivered.iter().all(|(_, outcome)| *outcome == delivered(204)));
    assert!(report.lost.is_empty());
    assert_eq!(second.await.delivered.len(), 2);
    let third = browser.agent.shutdown(LONG).await;
    assert!(third.delivered.is_empty() && third.lost.is_empty());
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
    assert!(report.delivered.is_empty());
    assert_eq!(report.lost.len(), 20);
    let lost = Outcome::Failed(NetworkError::Abandoned(AbandonReason::Shutdown));
    assert!(report.lost.iter().all(|(_, outcome)| *outcome == lost));
    assert_eq!(document.fetch_group().inflight().requests, 0);
}

#[test]
fn it_can_be_waited_for_without_a_runtime() {
    let browser = Browser::new();
    assert!(browser.agent.shutdown_blocking(LONG).delivered.is_empty());
}

#[tokio::test]
async fn dropping_the_user_agent_closes_intake_and_still_delivers() {
    let answer = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let answer = Arc::clone(&answer);
        move |_| Behavior::RespondWhen(Arc::clone(&answer), Behavior::response(204, &[], b""))
    })
    .await;
    let Browser { agent, events } = Browser::new();
    let url = url::Url::parse(&server.url("/")).unwrap();
    let document = agent.document(sendbeacon::Client::new(url, 1));
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
