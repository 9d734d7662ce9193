//! What the network tells about a response beside its headers: the times of its connection, and its status message.

use std::{sync::Arc, time::Instant};

use sendbeacon_fetch::host::{ConnectionTiming, Network, NetworkResponse};
use sendbeacon_net::HttpNetwork;
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};

use crate::{
    frames::{no_content, response},
    support::{builder, post, read, trusting},
};

async fn fetch(network: &HttpNetwork, url: &str) -> NetworkResponse {
    network.http_network_fetch(post(url, "x")).await.unwrap()
}

/// Fetches the URL, reads the body, and returns the timing of the connection.
async fn timing(network: &HttpNetwork, url: &str) -> Arc<ConnectionTiming> {
    let response = fetch(network, url).await;
    read(response.body).await.unwrap();
    response.info.unwrap().connection_timing.clone().unwrap()
}

/// Checks that the connection was made after `start`, in order.
fn assert_in_order(timing: &ConnectionTiming, start: Instant) {
    let ConnectionTiming {
        domain_lookup_start,
        domain_lookup_end,
        connection_start,
        connection_end,
        secure_connection_start,
        ..
    } = *timing;
    let secure = secure_connection_start.unwrap_or(connection_end);
    let times =
        [start, domain_lookup_start, domain_lookup_end, connection_start, secure, connection_end];
    assert!(times.is_sorted(), "{timing:?}");
}

#[tokio::test]
async fn each_response_has_the_timing_of_its_connection() {
    let server = RecordingServer::start(|_| Behavior::with_body(200, &[], b"ok")).await;
    let network = builder().build().unwrap();
    let url = format!("http://a.test:{}/", server.port());
    let start = Instant::now();
    let first = timing(&network, &url).await;
    assert_in_order(&first, start);
    assert_eq!(first.secure_connection_start, None);
    let again = Instant::now();
    let second = timing(&network, &url).await;
    assert_eq!((server.connections(), &second), (1, &first));

    let clamped = second.clamp(again);
    assert_eq!((clamped.domain_lookup_start, clamped.connection_end), (again, again));
}

#[tokio::test]
async fn the_timing_of_a_connection_over_tls_has_the_start_of_the_handshake() {
    for http2 in [false, true] {
        let answer = |_: &RecordedRequest| Behavior::status(204);
        let server = if http2 {
            RecordingServer::start_http2(answer).await
        } else {
            RecordingServer::start_tls(answer).await
        };
        let network = trusting(&server).build().unwrap();
        let start = Instant::now();
        let timing = timing(&network, &server.url("/")).await;
        assert_in_order(&timing, start);
        assert!(timing.secure_connection_start.is_some());
        assert!(timing.clamp(Instant::now()).secure_connection_start.is_some());
    }
}

#[tokio::test]
async fn the_first_interim_response_of_http2_has_its_time() {
    let server = RecordingServer::start_http2(|request: &RecordedRequest| {
        let id = request.stream;
        let hints = response(id, 0, &[(":status", "103"), ("link", "</x>")]);
        let hints = if request.target == "/hints" { hints.repeat(3) } else { Vec::new() };
        Behavior::Frames([hints, no_content(id)].concat())
    })
    .await;
    let network = trusting(&server).build().unwrap();
    let start = Instant::now();
    let info = fetch(&network, &server.url("/hints")).await.info.unwrap();
    assert!(info.first_interim_response_start.is_some_and(|at| at >= start));
    let info = fetch(&network, &server.url("/x")).await.info.unwrap();
    assert_eq!(info.first_interim_response_start, None);
}

#[tokio::test]
async fn the_first_interim_response_of_http1_has_its_time() {
    let server = RecordingServer::start(|request: &RecordedRequest| {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
        let hints = if request.target == "/hints" { hints.repeat(3) } else { String::new() };
        Behavior::Respond(format!("{hints}HTTP/1.1 204 No Content\r\n\r\n").into_bytes())
    })
    .await;
    let network = builder().build().unwrap();
    let start = Instant::now();
    let response = fetch(&network, &server.url("/hints")).await;
    let info = response.info.unwrap();
    assert!(info.first_interim_response_start.is_some_and(|at| at >= start));
    let response = fetch(&network, &server.url("/x")).await;
    let info = response.info.unwrap();
    assert_eq!((info.first_interim_response_start, server.connections()), (None, 1));
}

#[tokio::test]
async fn the_status_message_is_the_reason_phrase_of_http1() {
    let server = RecordingServer::start(|request| {
        let line = match &*request.target {
            "/own" => "299 My (own) one",
            "/usual" => "404 Not Found",
            "/empty" => "200 ",
            _ => "200",
        };
        Behavior::Respond(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    })
    .await;
    let network = builder().build().unwrap();
    for (path, message) in
        [("/own", &b"My (own) one"[..]), ("/usual", b"Not Found"), ("/empty", b""), ("/none", b"")]
    {
        let info = fetch(&network, &server.url(path)).await.info.unwrap();
        assert_eq!(&*info.status_message, message, "{path}");
    }
    let server = RecordingServer::start_http2(|_: &RecordedRequest| Behavior::status(204)).await;
    let response = fetch(&trusting(&server).build().unwrap(), &server.url("/")).await;
    assert!(response.info.unwrap().status_message.is_empty(), "HTTP/2 has none");
}
