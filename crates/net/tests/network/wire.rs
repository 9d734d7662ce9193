//! What a request and a response look like on an HTTP/1.1 connection.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use sendbeacon_fetch::{NetworkError, host::Network};
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use crate::support::{builder, post, send};

#[tokio::test]
async fn post_has_a_host_header_and_then_its_own_headers_as_browsers_write_them() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let mut request = post(&server.url("/collect?x=1"), "hello");
    for (name, value) in [
        ("content-type", &b"text/plain;charset=UTF-8"[..]),
        ("x-twice", b"1"),
        ("x-obs", b"\xe4\xff"),
        ("x-twice", b"2"),
    ] {
        let name = HeaderName::from_static(name);
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let answer = send(&builder().build().unwrap(), request).await;
    assert_eq!(answer, Ok((204, vec![])));

    let requests = server.requests();
    let mut expected = format!("POST /collect?x=1 HTTP/1.1\r\nHost: {}\r\n", server.addr());
    expected += "Content-Length: 5\r\nContent-Type: text/plain;charset=UTF-8\r\n";
    expected += "X-Twice: 1, 2\r\nX-Obs: \u{e4}\u{ff}\r\n\r\n";
    let expected: Vec<u8> = expected.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(requests[0].head.escape_ascii().to_string(), expected.escape_ascii().to_string());
    assert_eq!(requests[0].body, b"hello");
}

#[tokio::test]
async fn empty_post_has_a_content_length_of_zero() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    send(&builder().build().unwrap(), post(&server.url("/"), "")).await.unwrap();
    let expected =
        format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", server.addr());
    assert_eq!(server.requests()[0].head, expected.as_bytes());
}

#[tokio::test]
async fn get_has_no_content_length() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let mut request = post(&server.url("/"), "");
    request.method = Method::GET;
    request.headers_mut().clear();
    send(&builder().build().unwrap(), request).await.unwrap();
    let expected = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.addr());
    assert_eq!(server.requests()[0].head, expected.as_bytes());
}

#[tokio::test]
async fn large_body_arrives_complete() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let body: Bytes = (0..1_000_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let mut request = post(&server.url("/"), "");
    request.headers_mut().insert("content-length", HeaderValue::from(body.len()));
    request.body = body.clone();
    send(&builder().build().unwrap(), request).await.unwrap();
    assert!(server.requests()[0].body == body);
}

#[tokio::test]
async fn fragment_and_credentials_of_the_url_are_not_sent() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let url = format!("http://user:secret@a.test:{}/x?y#fragment", server.port());
    send(&builder().build().unwrap(), post(&url, "")).await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.target, "/x?y");
    assert_eq!(request.header("host"), Some(&*format!("a.test:{}", server.port())));
    assert_eq!(request.headers.len(), 2);
}

#[tokio::test]
async fn longest_url_is_sent_and_a_longer_one_is_an_error() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();

    let longest = format!("/{}", "a".repeat(65_533));
    send(&network, post(&server.url(&longest), "")).await.unwrap();
    assert!(server.requests()[0].target == longest);

    let error = send(&network, post(&server.url(&(longest + "a")), "")).await.unwrap_err();
    assert!(matches!(&error, NetworkError::Unsendable(text) if text.contains("65535")), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn interim_responses_are_skipped() {
    let server = RecordingServer::start(|_| {
        let interim =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        let last = Behavior::response(200, &[("x-final", "1")], b"ok");
        Behavior::Respond([&interim[..], &last].concat())
    })
    .await;
    let network = builder().build().unwrap();
    let response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(response.status, 200);
    assert!(response.headers.contains_key("x-final"));
    assert!(!response.headers.contains_key("link"));
    // The connection still works for the next request.
    assert_eq!(crate::support::read(response.body).await.unwrap(), b"ok");
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((200, b"ok".to_vec())));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn response_headers_keep_their_bytes_and_repetitions() {
    let server = RecordingServer::start(|_| {
        Behavior::Respond(b"HTTP/1.1 204 \xfc\r\nX-A: \xe4\x80\r\nx-a: \t2 \r\n\r\n".to_vec())
    })
    .await;
    let network = builder().build().unwrap();
    let response = network.http_network_fetch(post(&server.url("/"), "")).await.unwrap();
    let values: Vec<_> =
        response.headers.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(values, [&b"\xe4\x80"[..], b"2"]);
}

#[tokio::test]
async fn chunked_body_with_trailers_is_read_to_its_end() {
    let server = RecordingServer::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Behavior::Respond(format!("{head}2\r\nab\r\n1\r\nc\r\n0\r\nx-t: 1\r\n\r\n").into_bytes())
    })
    .await;
    let network = builder().build().unwrap();
    for _ in 0..2 {
        assert_eq!(send(&network, post(&server.url("/"), "")).await, Ok((200, b"abc".to_vec())));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn localhost_and_names_under_it_are_the_loopback_address() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    for host in ["localhost", "x.localhost", "localhost."] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(send(&network, post(&url, "")).await, Ok((204, vec![])), "{host}");
    }
}

#[tokio::test]
async fn host_and_framing_headers_of_the_caller_are_replaced() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let mut request = post(&server.url("/"), "x");
    request.headers_mut().insert("host", HeaderValue::from_static("evil.test"));
    request.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
    send(&builder().build().unwrap(), request).await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.header("host"), Some(&*format!("127.0.0.1:{}", server.port())));
    assert_eq!(request.header("transfer-encoding"), None);
    assert_eq!((request.header("content-length"), &*request.body), (Some("1"), &b"x"[..]));
}
