//! Tests of content codings: a `fetch()` response is decoded, the response to a beacon is not.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use sendbeacon::{ChannelSink, EventKind, FetchTiming, InitiatorType, NetworkError};
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use crate::{
    browser::{Browser, LONG, delivered, read, request},
    server_that_waits_with,
};

/// `0123456789`, 2,000 times, as gzip.
const GZIP: &[u8] = b"\
    \x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc6\x49\x01\x00\x20\x08\x00\xb0\x4a\x78\x20\
    \xda\xbf\x98\x31\xf8\x6c\xaf\xc5\x98\x6b\xe7\xa9\xfb\xc2\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\
    \xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\
    \xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\x1a\xf7\x01\xf5\x82\xb6\x06\x20\x4e\x00\x00";

#[tokio::test]
async fn script_reads_a_decoded_body_and_the_timing_has_both_sizes() {
    let server =
        RecordingServer::start(|_| Behavior::with_body(200, &[("Content-Encoding", "gzip")], GZIP))
            .await;
    let (sink, events) = ChannelSink::new(100);
    let browser = Browser::with(|builder| builder.event_sink(sink));
    let document = browser.open(&server.url("/"));
    let kinds = [
        (false, InitiatorType::Fetch),
        (true, InitiatorType::Fetch),
        (false, InitiatorType::Script),
        (false, InitiatorType::Other),
    ];
    for (keepalive, initiator_type) in kinds {
        let mut request = request(&document, "/x", keepalive);
        request.initiator_type = initiator_type;
        let response = document.fetch_group().fetch(request).await.unwrap();
        assert_eq!(response.headers[CONTENT_ENCODING], "gzip");
        assert_eq!(read(response).await.unwrap(), b"0123456789".repeat(2_000));
    }
    assert_eq!(document.send_beacon("/b", None), Ok(true));
    browser.agent.shutdown(LONG).await;
    drop((document, browser));
    let sizes = |timing: FetchTiming| (timing.encoded_body_size, timing.decoded_body_size);
    let timings = events.iter().filter_map(|event| match event.kind {
        EventKind::Done { timing, .. } => Some(sizes(timing)),
        _ => None,
    });
    let encoded = GZIP.len() as u64;
    let mut expected = vec![(encoded, Some(20_000)); kinds.len()];
    expected.push((encoded, None));
    assert_eq!(timings.collect::<Vec<_>>(), expected);
    let requests = server.requests();
    assert_eq!(requests[0].header("accept-encoding"), Some("gzip, deflate, br, zstd"));
    assert_eq!(server.connections(), 1, "each body was read to its end");
}

#[tokio::test]
async fn a_keepalive_fetch_with_an_encoded_body_outlives_its_document() {
    let response = Behavior::response(200, &[("Content-Encoding", "gzip")], GZIP);
    let (server, answer) = server_that_waits_with(response).await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let pending = document.fetch_group().fetch(request(&document, "/x", true));
    server.wait_for(1).await;
    document.unload();
    drop((pending, document));
    answer.notify_one();
    assert_eq!(browser.events.wait_for(1).await, [("/x".into(), delivered(200))]);
}

#[tokio::test]
async fn a_body_that_is_not_gzip_as_its_header_says_ends_with_an_error() {
    let server = RecordingServer::start(|_| {
        Behavior::with_body(200, &[("Content-Encoding", "gzip")], b"not gzip at all")
    })
    .await;
    let browser = Browser::new();
    let document = browser.open(&server.url("/"));
    let response = document.fetch_group().fetch(request(&document, "/x", false)).await;
    let error = read(response.unwrap()).await.unwrap_err();
    assert!(matches!(error, NetworkError::ContentCoding(_)), "{error:?}");
}

#[tokio::test]
async fn an_embedder_that_sets_accept_encoding_gets_the_body_undecoded() {
    let body = Bytes::from_static(b"?");
    let server = RecordingServer::start({
        let body = body.clone();
        move |_| Behavior::with_body(200, &[("Content-Encoding", "dcb")], &body)
    })
    .await;
    let headers = [(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("dcb"))];
    let headers: http::HeaderMap = headers.into_iter().collect();
    let browser = Browser::with(|builder| builder.extra_headers(headers));
    let document = browser.open(&server.url("/"));
    let response = document.fetch_group().fetch(request(&document, "/x", false)).await;
    assert_eq!(read(response.unwrap()).await.unwrap(), body);
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("dcb"));
}

#[tokio::test]
async fn an_embedder_that_wants_no_codings_asks_for_none_and_gets_the_bytes_as_sent() {
    let server =
        RecordingServer::start(|_| Behavior::with_body(200, &[("Content-Encoding", "gzip")], GZIP))
            .await;
    let browser = Browser::with(|builder| builder.content_codings(false));
    let document = browser.open(&server.url("/"));
    let response = document.fetch_group().fetch(request(&document, "/x", false)).await;
    assert_eq!(read(response.unwrap()).await.unwrap(), GZIP);
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}
