//! Requests over HTTP/2.

use std::{sync::Arc, time::Duration};

use futures_util::{future::join_all, poll};
use http::{HeaderValue, Method};
use sendbeacon_fetch::{NetworkError, host::Network};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::sync::Notify;

use crate::{
    frames::no_content,
    support::{connection_key, pass, post, read, send, trusting},
};

#[tokio::test]
async fn request_has_an_authority_and_no_connection_headers() {
    let server = RecordingServer::start_http2(|_| Behavior::with_body(200, &[], b"ok")).await;
    let url = format!("https://user:secret@a.test:{}/collect?x=1#fragment", server.port());
    let mut request = post(&url, "hello");
    for (name, value) in [
        ("host", "evil.test"),
        ("x-a", "1"),
        ("te", "trailers"),
        ("connection", "x-a"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x-a", "2"),
        ("upgrade", "websocket"),
    ] {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let answer = send(&trusting(&server).build().unwrap(), request).await;
    assert_eq!(answer, Ok((200, b"ok".to_vec())));

    let request = &server.requests()[0];
    assert_eq!(request.version, "HTTP/2");
    let authority = format!("a.test:{}", server.port());
    let expected = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", &authority),
        (":path", "/collect?x=1"),
        ("content-length", "5"),
        ("x-a", "1, 2"),
    ];
    assert_eq!(request.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(request.body, b"hello");
}

#[tokio::test]
async fn empty_post_has_a_content_length_of_zero_and_get_has_none() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).build().unwrap();
    send(&network, post(&server.url("/"), "")).await.unwrap();
    let mut get = post(&server.url("/"), "");
    get.method = Method::GET;
    get.headers_mut().clear();
    send(&network, get).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].header("content-length"), Some("0"));
    assert_eq!(requests[1].header("content-length"), None);
}

#[tokio::test]
async fn longest_url_and_a_large_body_are_sent() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).build().unwrap();
    // The recording server takes heads of up to 16 KiB.
    let path = format!("/{}", "a".repeat(15_000));
    let mut request = post(&server.url(&path), "");
    request.headers_mut().insert("content-length", HeaderValue::from(1_000_000));
    request.body = vec![b'x'; 1_000_000].into();
    send(&network, request).await.unwrap();
    assert_eq!(server.requests()[0].target, path);
    assert_eq!(server.requests()[0].body.len(), 1_000_000);
}

/// Sends `count` requests at once to a server that answers when all have arrived. Returns the number of
/// connections that they used.
async fn connections_for(count: usize, protocols: &[&str]) -> usize {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::setup()
        .tls(protocols)
        .start({
            let gate = Arc::clone(&gate);
            move |_| Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(200, &[], b"ok"))
        })
        .await;
    let network = trusting(&server).build().unwrap();
    let (answers, ()) = tokio::join!(
        join_all((0..count).map(|_| send(&network, post(&server.url("/"), "x")))),
        async {
            server.wait_for(count).await;
            gate.notify_waiters();
        }
    );
    assert_eq!(answers, vec![Ok((200, b"ok".to_vec())); count]);
    server.connections()
}

#[tokio::test]
async fn requests_wait_for_a_connection_that_is_being_made_and_share_it() {
    assert_eq!(connections_for(50, &["h2", "http/1.1"]).await, 1);
}

#[tokio::test]
async fn requests_that_waited_for_http2_open_connections_for_http1() {
    assert_eq!(connections_for(4, &["http/1.1"]).await, 4);
}

#[tokio::test]
async fn waiting_request_connects_when_the_connecting_one_is_dropped() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).build().unwrap();
    let mut first = Box::pin(send(&network, post(&server.url("/first"), "x")));
    let second = async {
        // One poll lets the first request begin to connect.
        tokio::select! {
            biased;
            answer = &mut first => panic!("{answer:?}"),
            () = std::future::ready(()) => {}
        }
        let mut second = Box::pin(send(&network, post(&server.url("/second"), "x")));
        tokio::select! {
            biased;
            answer = &mut second => panic!("{answer:?}"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        second.await
    };
    assert_eq!(second.await, Ok((204, vec![])));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn failed_connection_fails_every_request_that_waited_for_it() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    // The network does not trust the server.
    let network = crate::support::builder().build().unwrap();
    let answers = join_all((0..3).map(|_| send(&network, post(&server.url("/"), "x")))).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(answers[0].is_err());
    assert_eq!(server.connections(), 1);
    // The next request makes another connection.
    send(&network, post(&server.url("/"), "x")).await.unwrap_err();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn connection_is_not_shared_between_partitions_flags_or_origins() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).build().unwrap();
    let keys =
        [("a.test", 0, true), ("a.test", 1, true), ("a.test", 0, false), ("b.test", 0, true)];
    for (host, partition, credentials) in keys.into_iter().chain(keys) {
        let mut request = post(&format!("https://{host}:{}/", server.port()), "x");
        request.connection = connection_key(partition, credentials);
        send(&network, request).await.unwrap();
    }
    let used: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[tokio::test]
async fn requests_beyond_the_servers_limit_wait_for_a_stream() {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .max_streams(2)
        .start(|_| Behavior::with_body(200, &[], b"ok"))
        .await;
    let network = trusting(&server).build().unwrap();
    // After the first response, the client knows the server's settings.
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    let answers = join_all((0..20).map(|_| send(&network, post(&server.url("/"), "x")))).await;
    assert_eq!(answers, vec![Ok((200, b"ok".to_vec())); 20]);
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 21);
}

#[tokio::test]
async fn requests_beyond_a_stream_limit_not_yet_known_are_sent_again() {
    let server = RecordingServer::setup()
        .tls(&["h2"])
        .max_streams(2)
        .start(|_| Behavior::with_body(200, &[], b"ok"))
        .await;
    let network = trusting(&server).build().unwrap();
    let answers = join_all((0..20).map(|_| send(&network, post(&server.url("/"), "x")))).await;
    assert_eq!(answers, vec![Ok((200, b"ok".to_vec())); 20]);
    // The server does not count the streams that it refused.
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[tokio::test]
async fn connection_idle_for_too_long_is_closed_and_not_reused() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).http2_idle_timeout(Duration::from_secs(60)).build().unwrap();
    for (seconds, connections) in [(0, 1), (59, 1), (60, 2)] {
        pass(Duration::from_secs(seconds)).await;
        send(&network, post(&server.url("/"), "x")).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn idle_timeout_of_http1_does_not_apply_to_http2() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).idle_timeout(Duration::ZERO).build().unwrap();
    for _ in 0..2 {
        send(&network, post(&server.url("/"), "x")).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn fetch_dropped_before_its_answer_resets_only_its_stream() {
    let server = RecordingServer::start_http2(|request| match &*request.target {
        "/hang" => Behavior::Hang,
        _ => Behavior::status(204),
    })
    .await;
    let network = trusting(&server).build().unwrap();
    tokio::select! {
        answer = send(&network, post(&server.url("/hang"), "x")) => panic!("{answer:?}"),
        _ = server.wait_for(1) => {}
    }
    server.wait_for_reset_streams(1).await;
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn body_dropped_before_its_end_resets_only_its_stream() {
    let server = RecordingServer::start_http2(|request| match &*request.target {
        "/endless" => {
            let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            Behavior::RespondForever(head, vec![b'x'; 1000])
        }
        _ => Behavior::status(204),
    })
    .await;
    let network = trusting(&server).build().unwrap();
    let endless = network.http_network_fetch(post(&server.url("/endless"), "x")).await.unwrap();
    // A body that nobody reads does not hold up other requests.
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    drop(endless);
    server.wait_for_reset_streams(1).await;
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn body_larger_than_the_flow_control_window_is_read() {
    let server =
        RecordingServer::start_http2(|_| Behavior::with_body(200, &[], &vec![b'x'; 300_000])).await;
    let (status, body) =
        send(&trusting(&server).build().unwrap(), post(&server.url("/"), "")).await.unwrap();
    assert_eq!((status, body.len()), (200, 300_000));
}

#[tokio::test]
async fn connection_is_not_used_for_new_requests_after_the_network_has_changed() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start_http2({
        let gate = Arc::clone(&gate);
        move |request: &RecordedRequest| match &*request.target {
            "/slow" => {
                Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(200, &[], b"slow"))
            }
            _ => Behavior::status(204),
        }
    })
    .await;
    let network = trusting(&server).build().unwrap();
    let slow = send(&network, post(&server.url("/slow"), "x"));
    let rest = async {
        server.wait_for(1).await;
        network.network_changed();
        send(&network, post(&server.url("/"), "x")).await.unwrap();
        assert_eq!(server.connections(), 2);
        gate.notify_one();
    };
    // The request under way goes on. The connection is closed when it is done.
    let (slow, ()) = tokio::join!(slow, rest);
    assert_eq!(slow, Ok((200, b"slow".to_vec())));
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn dropping_the_network_closes_a_connection_once_it_is_unused() {
    let server = RecordingServer::start_http2(|_| Behavior::with_body(200, &[], b"ok")).await;
    let network = trusting(&server).build().unwrap();
    let in_use = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
    drop(network);
    assert_eq!(read(in_use.body).await.unwrap(), b"ok");
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn forced_new_connection_replaces_the_shared_one() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).build().unwrap();
    let mut request = post(&server.url("/"), "x");
    for needs_new in [false, true, false] {
        request.force_new_connection = needs_new;
        send(&network, request.clone()).await.unwrap();
    }
    let used: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used, [0, 1, 1]);
    server.wait_for_closed(1).await;
}

/// A server that answers the first request and then nothing more on that connection.
async fn freezes() -> RecordingServer {
    RecordingServer::start_http2(|request| match request.index {
        0 => Behavior::FramesThenFreeze(no_content(request.stream)),
        _ => Behavior::status(204),
    })
    .await
}

const OK: Result<(u16, Vec<u8>), NetworkError> = Ok((204, Vec::new()));

#[tokio::test]
async fn idle_connection_is_used_again_if_the_server_still_answers() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&server).build().unwrap();
    for _ in 0..3 {
        let both = || send(&network, post(&server.url("/"), "x"));
        assert_eq!(tokio::join!(both(), both()), (OK, OK));
        pass(Duration::from_secs(10)).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (6, 1));
}

#[tokio::test]
async fn request_is_not_written_to_an_idle_connection_whose_server_is_gone() {
    let server = freezes().await;
    let network = trusting(&server).build().unwrap();
    assert_eq!(send(&network, post(&server.url("/1"), "x")).await, OK);
    pass(Duration::from_secs(10)).await;
    let mut second = Box::pin(send(&network, post(&server.url("/2"), "x")));
    let mut third = Box::pin(send(&network, post(&server.url("/3"), "x")));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    pass(Duration::from_secs(5)).await;
    // Both are sent on one new connection.
    assert_eq!(tokio::join!(second, third), (OK, OK));
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn request_dropped_during_the_ping_leaves_the_ping_to_the_next_one() {
    let server = freezes().await;
    let network = trusting(&server).build().unwrap();
    assert_eq!(send(&network, post(&server.url("/1"), "x")).await, OK);
    pass(Duration::from_secs(10)).await;
    let mut second = Box::pin(send(&network, post(&server.url("/2"), "x")));
    let mut third = Box::pin(send(&network, post(&server.url("/3"), "x")));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    drop(second);
    assert!(poll!(&mut third).is_pending());
    pass(Duration::from_secs(5)).await;
    assert_eq!(third.await, OK);
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/1", "/3"]);
    assert_eq!(server.connections(), 2);
}
