//! Which requests reuse an HTTP/1.1 connection.

use std::{sync::Arc, time::Duration};

use sendbeacon_fetch::host::{Network, NetworkRequest};
use sendbeacon_net::HttpNetwork;
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::sync::Notify;

use crate::support::{builder, connection_key, pass, post, read, send};

/// Sends the requests one after another, and returns the connection of each.
async fn connections_of(
    server: &RecordingServer,
    network: &HttpNetwork,
    requests: impl IntoIterator<Item = NetworkRequest>,
) -> Vec<usize> {
    for request in requests {
        send(network, request).await.unwrap();
    }
    server.requests().iter().map(|request| request.connection).collect()
}

#[tokio::test]
async fn connection_is_reused_for_the_same_key() {
    let server = RecordingServer::start(|_| Behavior::with_body(200, &[], b"body")).await;
    let requests = [(); 4].map(|()| post(&server.url("/"), "x"));
    let used = connections_of(&server, &builder().build().unwrap(), requests).await;
    assert_eq!(used, [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_is_reused_however_threads_interleave() {
    let server = RecordingServer::start(|_| Behavior::with_body(200, &[], b"body")).await;
    let network = builder().build().unwrap();
    for _ in 0..500 {
        send(&network, post(&server.url("/"), "x")).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn connection_of_an_empty_response_is_reused_if_nobody_reads_it() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    for _ in 0..2 {
        drop(network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn connection_is_not_shared_between_partitions_or_credentials_flags() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let keys = [(0, true), (1, true), (0, false), (1, false), (0, true), (1, false)];
    let requests = keys.map(|(partition, credentials)| {
        let mut request = post(&server.url("/"), "x");
        request.connection = connection_key(partition, credentials);
        request
    });
    let used = connections_of(&server, &builder().build().unwrap(), requests).await;
    assert_eq!(used, [0, 1, 2, 3, 0, 3]);
}

#[tokio::test]
async fn connection_is_not_shared_between_origins() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let requests = ["a.test", "b.test", "a.test", "127.0.0.1"]
        .map(|host| post(&format!("http://{host}:{}/", server.port()), "x"));
    let used = connections_of(&server, &builder().build().unwrap(), requests).await;
    assert_eq!(used, [0, 1, 0, 2]);
}

#[tokio::test]
async fn connection_idle_for_too_long_is_closed_and_not_reused() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = HttpNetwork::builder().build().unwrap();
    for (seconds, connections) in [(0, 1), (1, 1), (2, 2)] {
        pass(Duration::from_secs(seconds)).await;
        send(&network, post(&server.url("/"), "x")).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn server_can_shorten_the_idle_timeout() {
    let server =
        RecordingServer::start(|_| Behavior::with_headers(204, &[("keep-alive", "timeout=5")]))
            .await;
    let network = builder().build().unwrap();
    for (seconds, connections) in [(0, 1), (4, 1), (5, 2)] {
        pass(Duration::from_secs(seconds)).await;
        send(&network, post(&server.url("/"), "x")).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn server_that_closes_an_idle_connection_gets_each_request_once() {
    let server =
        RecordingServer::start(|_| Behavior::RespondThenClose(Behavior::response(200, &[], b"ok")))
            .await;
    let network = builder().build().unwrap();
    for sent in 1..=3 {
        let answer = send(&network, post(&server.url("/"), "x")).await;
        assert_eq!(answer, Ok((200, b"ok".to_vec())));
        server.wait_for_closed(sent).await;
        assert_eq!(server.requests().len(), sent);
    }
}

#[tokio::test]
async fn connection_is_closed_after_connection_close() {
    let server =
        RecordingServer::start(|_| Behavior::with_headers(200, &[("connection", "close")])).await;
    let requests = [(); 2].map(|()| post(&server.url("/"), "x"));
    assert_eq!(connections_of(&server, &builder().build().unwrap(), requests).await, [0, 1]);
}

#[tokio::test]
async fn concurrent_requests_have_a_connection_each() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let gate = Arc::clone(&gate);
        move |_| Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(204, &[], b""))
    })
    .await;
    let network = builder().build().unwrap();
    let (first, second, ()) = tokio::join!(
        send(&network, post(&server.url("/1"), "x")),
        send(&network, post(&server.url("/2"), "x")),
        async {
            server.wait_for(2).await;
            gate.notify_waiters();
        }
    );
    assert_eq!([first, second], [Ok((204, vec![])), Ok((204, vec![]))]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn zero_idle_timeout_closes_each_connection_after_its_request() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().idle_timeout(Duration::ZERO).build().unwrap();
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn connection_of_a_body_dropped_before_its_end_is_closed() {
    let server = RecordingServer::start(|_| {
        Behavior::Respond(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab".to_vec())
    })
    .await;
    let network = builder().build().unwrap();
    let response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
    drop(response);
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn connection_of_a_fetch_dropped_before_its_answer_is_closed() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let network = builder().build().unwrap();
    tokio::select! {
        answer = send(&network, post(&server.url("/"), "x")) => panic!("{answer:?}"),
        _ = server.wait_for(1) => {}
    }
    server.wait_for_closed(1).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn dropping_the_network_closes_idle_connections_only() {
    let server = RecordingServer::start(|request| match &*request.target {
        "/chunked" => Behavior::Respond(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n".to_vec(),
        ),
        _ => Behavior::status(204),
    })
    .await;
    let network = builder().build().unwrap();
    let request = post(&server.url("/chunked"), "x");
    let in_use = network.http_network_fetch(request).await.unwrap();
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    drop(network);
    server.wait_for_closed(1).await;
    assert_eq!(read(in_use.body).await.unwrap(), b"a");
    server.wait_for_closed(2).await;
}

#[tokio::test]
async fn connection_is_not_reused_after_the_network_has_changed() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    network.network_changed();
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn connection_in_use_while_the_network_changes_is_not_reused() {
    let server = RecordingServer::start(|_| Behavior::with_body(200, &[], b"body")).await;
    let network = builder().build().unwrap();
    let in_use = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
    network.network_changed();
    assert_eq!(read(in_use.body).await.unwrap(), b"body");
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn request_that_forces_a_new_connection_gets_one() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    let mut request = post(&server.url("/"), "x");
    send(&network, request.clone()).await.unwrap();
    request.force_new_connection = true;
    send(&network, request).await.unwrap();
    assert_eq!(server.connections(), 2);
}
