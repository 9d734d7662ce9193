//! Tests of the order of quitting, and of beacons that were answered elsewhere.

use std::time::Duration;

use sendbeacon::{BodyInit, TypeError};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::browser::{Browser, LONG, scripted_network};

/// A browser on the runtime of the caller, whose clock may be virtual.
fn browser_on_this_runtime() -> Browser {
    Browser::with(|builder| builder.network(scripted_network()).runtime(Handle::current()))
}

#[tokio::test(start_paused = true)]
async fn quitting_waits_for_the_beacons_of_closing_documents() {
    let browser = browser_on_this_runtime();
    let [first, second] = ["http://a.test/", "http://b.test/"].map(|url| browser.open(url));
    let quit = tokio::spawn(browser.agent.quit(LONG));
    for document in [first, second] {
        tokio::time::sleep(LONG / 8).await;
        assert!(!quit.is_finished());
        assert_eq!(document.send_beacon("/bye", Some("x".into())), Ok(true));
    }
    let report = quit.await.unwrap();
    assert!(report.completed && report.lost.is_empty(), "{report:?}");
    assert_eq!(browser.events.wait_for(2).await.len(), 2);
    assert_eq!(browser.open("http://a.test/").send_beacon("/late", None), Ok(false));
}

#[tokio::test(start_paused = true)]
async fn quitting_waits_half_the_deadline_for_a_document_that_stays() {
    let browser = browser_on_this_runtime();
    let document = browser.open("http://a.test/");
    let begun = Instant::now();
    let report = browser.agent.quit(Duration::from_secs(10)).await;
    assert!(report.completed);
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&begun.elapsed()));
    assert_eq!(document.send_beacon("/late", None), Ok(false));
}

#[tokio::test]
async fn quitting_needs_no_document_and_works_once() {
    let browser = Browser::scripted();
    assert!(browser.agent.quit(LONG).await.completed);
    assert!(!browser.agent.quit(LONG).await.completed);
}

#[tokio::test]
async fn an_answered_beacon_is_sent_where_a_new_one_is_refused() {
    let browser = Browser::scripted();
    let document = browser.open("http://a.test/");
    let body = vec![b'x'; 50_000];
    let body = || Some(BodyInit::from(&body[..]));
    browser.agent.important_loads(true);
    for path in ["/1", "/2"] {
        assert!(document.send_answered_beacon(path, body()).unwrap().is_some());
    }
    assert_eq!(document.fetch_group().inflight().body_bytes, 100_000);
    assert_eq!(document.send_beacon("/3", body()), Ok(false));
    // The page went into the back/forward cache before its beacon arrived.
    document.pagehide(true);
    assert!(document.send_answered_beacon("/4", None).unwrap().is_some());
    let drain = browser.agent.shutdown(LONG);
    assert_eq!(document.send_beacon("/5", None), Ok(false));
    let report = drain.await;
    assert!(report.completed && report.lost.is_empty());
    let outcomes = browser.events.wait_for(3).await;
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
    assert_eq!(document.fetch_group().inflight().body_bytes, 0);
    // The network side ends just after its report.
    let refused = async {
        while document.send_answered_beacon("/6", None).unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, refused).await.unwrap();
}

#[tokio::test]
async fn an_answered_beacon_that_no_document_may_send_is_refused() {
    let browser = Browser::scripted();
    let document = browser.open("https://a.test/");
    assert_eq!(document.send_answered_beacon("http://a.test/mixed", None), Ok(None));
    let error = document.send_answered_beacon("data:,x", None).unwrap_err();
    assert!(matches!(error, TypeError::NotHttp { .. }));
    document.unload();
    assert_eq!(document.send_answered_beacon("/", None), Ok(None));
    assert_eq!(document.fetch_group().inflight().requests, 0);
}
