//! Tests of hyperlink auditing: the pings of a document that the user leaves.

use sendbeacon::{Inflight, NetworkError};
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use crate::{
    browser::{Browser, LONG, delivered, request},
    request_lines, server_that_waits,
};

#[tokio::test]
async fn a_ping_outlives_its_document_and_gives_its_quota_back() {
    let (server, answer) = server_that_waits().await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/d/page?q#f"));
    document.ping("/ping", "https://b.test/to", None);
    document.unload();
    let request = &server.wait_for(1).await[0];
    let port = server.port();
    assert_eq!(
        String::from_utf8_lossy(&request.head).trim_end(),
        format!(
            "POST /ping HTTP/1.1\r\n\
             Host: 127.0.0.1:{port}\r\n\
             Content-Type: text/ping\r\n\
             Ping-From: http://127.0.0.1:{port}/d/page?q#f\r\n\
             Ping-To: https://b.test/to\r\n\
             Accept: */*\r\n\
             Content-Length: 4\r\n\
             Origin: http://127.0.0.1:{port}\r\n\
             Sec-Fetch-Dest: empty\r\n\
             Sec-Fetch-Mode: no-cors\r\n\
             Sec-Fetch-Site: same-origin\r\n\
             User-Agent: sendbeacon/0.1.0\r\n\
             Accept-Encoding: gzip, deflate, br, zstd"
        )
    );
    assert_eq!(request.body, b"PING");
    let inflight = document.fetch_group().inflight();
    assert_eq!((inflight.requests, inflight.body_bytes), (1, 4));
    answer.notify_one();
    assert_eq!(browser.events.wait_for(1).await, [("/ping".into(), delivered(204))]);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

#[tokio::test]
async fn a_document_that_is_not_fully_active_sends_no_pings() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    document.pagehide(true);
    document.ping("/cached", "/to", None);
    document.pageshow(true);
    document.ping("/back", "/to", None);
    document.unload();
    document.ping("/gone", "/to", None);
    assert_eq!(browser.events.wait_for(1).await, [("/back".into(), delivered(204))]);
    browser.agent.shutdown(LONG).await;
    assert_eq!(request_lines(&server.requests()), ["POST /back"]);
}

#[tokio::test]
async fn pings_beyond_the_quota_are_not_sent() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let most = "x".repeat(65_536 - 4);
    assert_eq!(document.send_beacon("/b", Some((&*most).into())), Ok(true));
    document.ping("/1 /2", "/to", None);
    let inflight = document.fetch_group().inflight();
    assert_eq!((inflight.requests, inflight.body_bytes), (2, 65_536));
    // A keepalive fetch finds no room either: it shares the ledger.
    let mut request = request(&document, "/f", true);
    request.body = Some(bytes::Bytes::from_static(b"x").into());
    let refused = document.fetch_group().fetch(request).await;
    assert_eq!(refused.unwrap_err(), NetworkError::KeepaliveQuota);
}

#[cfg(all(unix, feature = "remote"))]
#[tokio::test]
async fn the_network_process_sends_the_pings_of_a_content_process() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let browser = Browser::new();
    let page = crate::remote::page_of(&server);
    let content = crate::remote::start_content_process(&browser, &page);
    let document = content.document(page);
    document.ping("ping //[ data:,", "to", None);
    drop(document);
    let outcomes = browser.events.wait_for(1).await;
    assert!(matches!(outcomes[..], [(_, sendbeacon::Outcome::Delivered { .. })]), "{outcomes:?}");
    let request = &server.requests()[0];
    assert_eq!(request.target, "/d/ping");
    assert_eq!(request.body, b"PING");
    assert_eq!(request.header("content-type"), Some("text/ping"));
    assert_eq!(request.header("ping-from"), Some(&*server.url("/d/page")));
    assert_eq!(request.header("ping-to"), Some(&*server.url("/d/to")));
}
