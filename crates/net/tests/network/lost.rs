//! Requests whose connection is lost before the response: which of them are sent again.

use bytes::Bytes;
use http::{Method, header::CONTENT_LENGTH};
use sendbeacon_fetch::{NetworkError, host::NetworkRequest};
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use crate::support::{builder, losing, post, send, trusting};

const OK: Result<(u16, Vec<u8>), NetworkError> = Ok((204, Vec::new()));

/// A request without a body.
fn request(method: &Method, url: &str) -> NetworkRequest {
    let mut request = post(url, "");
    request.method = method.clone();
    request.headers_mut().remove(CONTENT_LENGTH);
    request
}

#[tokio::test]
async fn safe_request_lost_on_a_kept_alive_connection_is_sent_again() {
    for by in [Behavior::Close, Behavior::Reset] {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let server = RecordingServer::start(losing([1], by.clone())).await;
            let network = builder().build().unwrap();
            for _ in 0..2 {
                assert_eq!(send(&network, request(&method, &server.url("/"))).await, OK);
            }
            let requests = server.requests();
            let connections: Vec<_> = requests.iter().map(|request| request.connection).collect();
            assert_eq!(connections, [0, 0, 1], "{method} {by:?}");
            assert!(requests.iter().all(|request| request.method == method.as_str()));
        }
    }
}

#[tokio::test]
async fn safe_request_lost_on_a_new_connection_is_not_sent_again() {
    let server = RecordingServer::start(losing([0, 2], Behavior::Close)).await;
    let network = builder().build().unwrap();
    let answer = send(&network, request(&Method::GET, &server.url("/"))).await;
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn safe_request_that_is_lost_again_fails() {
    let server = RecordingServer::start(losing([1, 2], Behavior::Close)).await;
    let network = builder().build().unwrap();
    assert_eq!(send(&network, request(&Method::GET, &server.url("/"))).await, OK);
    let answer = send(&network, request(&Method::GET, &server.url("/"))).await;
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn request_that_is_not_safe_is_not_sent_again() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let server = RecordingServer::start(losing([1], Behavior::Close)).await;
        let network = builder().build().unwrap();
        let mut lost = request(&method, &server.url("/"));
        lost.body = Bytes::from_static(b"x");
        assert_eq!(send(&network, request(&Method::GET, &server.url("/"))).await, OK);
        let answer = send(&network, lost).await;
        assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
        assert_eq!(server.requests().len(), 2, "{method}");
    }
}

#[tokio::test]
async fn request_whose_response_has_begun_is_not_sent_again() {
    for begun in ["H", "HTTP/1.1 100 Continue\r\n\r\n", "\r\n"] {
        let by = Behavior::RespondThenClose(begun.into());
        let server = RecordingServer::start(losing([1], by)).await;
        let network = builder().build().unwrap();
        assert_eq!(send(&network, request(&Method::GET, &server.url("/"))).await, OK);
        let answer = send(&network, request(&Method::GET, &server.url("/"))).await;
        assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
        assert_eq!(server.requests().len(), 2, "{begun:?}");
    }
}

#[tokio::test]
async fn only_safe_request_lost_on_a_used_http2_connection_is_sent_again() {
    for by in [Behavior::Reset, Behavior::FramesThenClose(Vec::new())] {
        for (method, is_repeated) in [(Method::GET, true), (Method::DELETE, false)] {
            let server = RecordingServer::start_http2(losing([1], by.clone())).await;
            let network = trusting(&server).build().unwrap();
            assert_eq!(send(&network, request(&Method::GET, &server.url("/"))).await, OK);
            let answer = send(&network, request(&method, &server.url("/"))).await;
            assert_eq!(answer.is_ok(), is_repeated, "{method} {by:?} {answer:?}");
            let expected: &[usize] = if is_repeated { &[0, 0, 1] } else { &[0, 0] };
            let requests = server.requests();
            let connections: Vec<_> = requests.iter().map(|request| request.connection).collect();
            assert_eq!(connections, expected, "{method} {by:?}");
        }
    }
    let server = RecordingServer::start_http2(losing([0], Behavior::Reset)).await;
    let network = trusting(&server).build().unwrap();
    assert!(send(&network, request(&Method::GET, &server.url("/"))).await.is_err());
    assert_eq!(server.requests().len(), 1, "a new connection");
}
