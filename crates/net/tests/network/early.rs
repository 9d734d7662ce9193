//! A server that answers while the request's body is still being written.

use std::{sync::Arc, time::Duration};

use futures_util::poll;
use http::HeaderValue;
use sendbeacon_fetch::{
    NetworkError, TimeoutKind,
    host::{Network, NetworkRequest},
};
use sendbeacon_net::HttpNetwork;
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::sync::Notify;

use crate::{
    frames::{DATA, END_STREAM, NO_ERROR, frame, response, rst_stream},
    support::{builder, pass, post, read, send, trusting},
};

/// More bytes than all buffers on the way hold.
const LARGE: usize = 32 << 20;

/// More bytes than the window of an HTTP/2 server.
const MEDIUM: usize = 1 << 20;

fn post_of(server: &RecordingServer, length: usize) -> NetworkRequest {
    let mut request = post(&server.url("/"), "");
    request.headers_mut().insert("content-length", HeaderValue::from(length));
    request.body = vec![b'x'; length].into();
    request
}

fn early() -> (u16, Vec<u8>) {
    (200, b"early".to_vec())
}

#[tokio::test]
async fn rest_of_the_body_is_sent_after_an_early_answer() {
    let server = RecordingServer::setup()
        .answers_early()
        .start(|_| Behavior::with_body(200, &[], b"early"))
        .await;
    let network = builder().build().unwrap();
    assert_eq!(send(&network, post_of(&server, MEDIUM)).await, Ok(early()));
    server.wait_for_body(0, MEDIUM).await;
    // The connection still works for the next request.
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok(early()));
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn connection_is_closed_if_the_server_reads_no_more() {
    let server = RecordingServer::setup()
        .answers_early()
        .start(|_| Behavior::RespondAndReadNoMore(Behavior::response(200, &[], b"early")))
        .await;
    let network = builder().build().unwrap();
    for sent in 1..=2 {
        assert_eq!(send(&network, post_of(&server, LARGE)).await, Ok(early()));
        assert_eq!((server.requests().len(), server.connections()), (sent, sent));
    }
}

#[tokio::test]
async fn answer_before_the_server_closes_the_connection_is_used() {
    let server = RecordingServer::setup()
        .answers_early()
        .start(|_| Behavior::RespondThenClose(Behavior::response(200, &[], b"early")))
        .await;
    let network = builder().build().unwrap();
    for sent in 1..=2 {
        assert_eq!(send(&network, post_of(&server, LARGE)).await, Ok(early()));
        assert_eq!((server.requests().len(), server.connections()), (sent, sent));
    }
}

#[tokio::test]
async fn close_or_reset_during_the_body_is_a_protocol_error() {
    for behavior in [Behavior::Close, Behavior::Reset] {
        let server =
            RecordingServer::setup().answers_early().start(move |_| behavior.clone()).await;
        let error = send(&builder().build().unwrap(), post_of(&server, LARGE)).await.unwrap_err();
        assert!(matches!(error, NetworkError::Protocol(_)), "{error:?}");
        assert_eq!((server.requests().len(), server.connections()), (1, 1));
    }
}

/// An HTTP/2 server that goes on reading a request after it has answered.
async fn reading_on() -> (RecordingServer, HttpNetwork) {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .answers_early()
        .start(|_| Behavior::with_body(200, &[], b"early"))
        .await;
    let network = trusting(&server).build().unwrap();
    (server, network)
}

#[tokio::test]
async fn rest_of_an_http2_body_is_sent_after_an_early_answer() {
    let (server, network) = reading_on().await;
    assert_eq!(send(&network, post_of(&server, MEDIUM)).await, Ok(early()));
    server.wait_for_body(0, MEDIUM).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn http2_body_is_sent_even_if_nobody_reads_the_answer() {
    let (server, network) = reading_on().await;
    let unread = network.http_network_fetch(post_of(&server, MEDIUM)).await.unwrap();
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok(early()));
    server.wait_for_body(0, MEDIUM).await;
    assert_eq!(read(unread.body).await, Ok(b"early".to_vec()));
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn http2_body_is_reset_when_the_answer_is_dropped() {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .answers_early()
        .start(|_| Behavior::RespondAndReadNoMore(Behavior::response(200, &[], b"early")))
        .await;
    let network = trusting(&server).build().unwrap();
    drop(network.http_network_fetch(post_of(&server, MEDIUM)).await.unwrap());
    server.wait_for_reset_streams(1).await;
}

#[tokio::test]
async fn http2_connection_is_reused_if_the_server_reads_no_more_of_a_body() {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .answers_early()
        .start(|_| Behavior::RespondAndReadNoMore(Behavior::response(200, &[], b"early")))
        .await;
    let network = trusting(&server).build().unwrap();
    for sent in 1..=2 {
        assert_eq!(send(&network, post_of(&server, MEDIUM)).await, Ok(early()));
        assert_eq!((server.requests().len(), server.connections()), (sent, 1));
    }
    pass(Duration::from_secs(30)).await;
    server.wait_for_reset_streams(2).await;
}

#[tokio::test]
async fn answer_followed_by_a_reset_of_the_body_is_used() {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .answers_early()
        .start(|request| {
            let id = request.stream;
            let head = response(id, 0, &[(":status", "200")]);
            let body = frame(DATA, END_STREAM, id, b"early");
            Behavior::Frames([head, body, rst_stream(id, NO_ERROR)].concat())
        })
        .await;
    assert_eq!(
        send(&trusting(&server).build().unwrap(), post_of(&server, MEDIUM)).await,
        Ok(early())
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn stream_with_an_unread_body_is_in_use_until_it_is_reset() {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .answers_early()
        .start(|request| match request.index {
            0 => Behavior::RespondAndReadNoMore(Behavior::response(200, &[], b"early")),
            _ => Behavior::status(204),
        })
        .await;
    let network = trusting(&server).max_connections(1).build().unwrap();
    assert_eq!(send(&network, post_of(&server, MEDIUM)).await, Ok(early()));
    // If the first connection were idle, it would be closed to make room for this request.
    let other = post(&format!("https://b.test:{}/", server.port()), "");
    let mut other = Box::pin(send(&network, other));
    assert!(poll!(&mut other).is_pending());
    pass(Duration::from_secs(29)).await;
    assert_eq!(send(&network, post(&server.url("/"), "")).await, Ok((204, vec![])));
    assert_eq!(server.requests()[1].connection, 0);
    pass(Duration::from_secs(1)).await;
    assert_eq!(other.await, Ok((204, vec![])));
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

/// A server that reads `turn` bytes of a request's body each time the gate opens.
async fn reads_in_turns(protocols: &[&str], turn: usize) -> (RecordingServer, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let setup = RecordingServer::setup().answers_early();
    let setup = if protocols.is_empty() { setup } else { setup.tls(protocols) };
    let server = setup.start({
        let gate = Arc::clone(&gate);
        move |_| {
            Behavior::ReadInTurns(Arc::clone(&gate), turn, Behavior::response(200, &[], b"late"))
        }
    });
    (server.await, gate)
}

#[tokio::test]
async fn upload_may_take_any_time_while_it_makes_progress() {
    for (protocols, length, turn) in [(&[][..], LARGE, LARGE / 4), (&["h2"], MEDIUM, MEDIUM / 4)] {
        let (server, gate) = reads_in_turns(protocols, turn).await;
        let network = if protocols.is_empty() { builder() } else { trusting(&server) };
        let network = network.response_head_timeout(Duration::from_secs(60)).build().unwrap();
        let (answer, ()) = tokio::join!(send(&network, post_of(&server, length)), async {
            for turns in 0..4 {
                server.wait_for_body(0, turns * turn).await;
                pass(Duration::from_secs(40)).await;
                gate.notify_one();
            }
        });
        assert_eq!(answer, Ok((200, b"late".to_vec())), "{protocols:?}");
    }
}

#[tokio::test]
async fn stalled_upload_is_a_timeout() {
    for (protocols, length, turn) in [(&[][..], LARGE, LARGE / 4), (&["h2"], MEDIUM, MEDIUM / 4)] {
        let (server, gate) = reads_in_turns(protocols, turn).await;
        let after = Duration::from_secs(60);
        let network = if protocols.is_empty() { builder() } else { trusting(&server) };
        let network = network.response_head_timeout(after).build().unwrap();
        let (answer, ()) = tokio::join!(send(&network, post_of(&server, length)), async {
            gate.notify_one();
            server.wait_for_body(0, turn).await;
            // The bytes in the buffers on the way count as taken, too, before the server is silent.
            for _ in 0..3 {
                pass(after).await;
            }
        });
        let expected = NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after };
        assert_eq!(answer, Err(expected), "{protocols:?}");
        assert_eq!(server.requests().len(), 1);
    }
}
