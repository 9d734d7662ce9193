//! HTTP/1.1 servers that fail, hang, or do not speak HTTP.

use std::{io::ErrorKind, time::Duration};

use sendbeacon_fetch::{NetworkError, TimeoutKind, host::Network};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::net::{TcpListener, TcpSocket};

use crate::support::{after, builder, post, read, send};

/// Sends a request to a server with this behaviour, and returns the error. The server must have seen the
/// request exactly once.
async fn error_of(behavior: Behavior) -> NetworkError {
    let server = RecordingServer::start(move |_| behavior.clone()).await;
    let error = send(&builder().build().unwrap(), post(&server.url("/"), "x")).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.connections(), 1);
    error
}

fn assert_protocol(error: &NetworkError) {
    assert!(matches!(error, NetworkError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn close_without_an_answer_is_an_error_and_nothing_is_sent_again() {
    let error = error_of(Behavior::Close).await;
    assert_protocol(&error);
    assert_eq!(error.io_kind(), Some(ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn reset_without_an_answer_is_an_error_and_nothing_is_sent_again() {
    let error = error_of(Behavior::Reset).await;
    assert_protocol(&error);
    assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn close_on_a_reused_connection_does_not_send_the_request_again() {
    let server = RecordingServer::start(|request| match request.index {
        0 => Behavior::status(204),
        _ => Behavior::Close,
    })
    .await;
    let network = builder().build().unwrap();
    send(&network, post(&server.url("/"), "x")).await.unwrap();
    assert_protocol(&send(&network, post(&server.url("/"), "x")).await.unwrap_err());
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn garbage_is_a_protocol_error() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "<html>HTTP/0.9</html>",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nb\0d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        assert_protocol(&error_of(Behavior::RespondThenClose(garbage.into())).await);
    }
}

#[tokio::test]
async fn head_of_more_bytes_or_headers_than_the_limit_is_a_protocol_error() {
    let long = "a".repeat(257 * 1024);
    assert_protocol(&error_of(Behavior::with_headers(204, &[("x", &long)])).await);
    assert_protocol(&error_of(Behavior::with_headers(204, &vec![("x", "1"); 513])).await);
}

#[tokio::test]
async fn head_of_exactly_the_limit_is_read() {
    const LENGTH: usize = 256 * 1024 - "HTTP/1.1 204 Status\r\nx: \r\n\r\n".len();
    for (length, is_read) in [(LENGTH, true), (LENGTH + 1, false)] {
        let server = RecordingServer::start(move |_| {
            Behavior::with_headers(204, &[("x", &*"a".repeat(length))])
        })
        .await;
        let network = builder().build().unwrap();
        let response = network.http_network_fetch(post(&server.url("/"), "")).await;
        assert_eq!(response.is_ok_and(|response| response.headers["x"].len() == length), is_read);
    }
}

#[tokio::test]
async fn body_cut_short_is_an_error_after_the_bytes_that_came() {
    for head in ["Content-Length: 5\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"] {
        let server = RecordingServer::start(move |_| {
            Behavior::RespondThenClose(format!("HTTP/1.1 200 OK\r\n{head}").into_bytes())
        })
        .await;
        let network = builder().build().unwrap();
        let mut response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
        assert_eq!(response.status, 200);
        let mut next =
            async || std::future::poll_fn(|cx| response.body.as_mut().poll_chunk(cx)).await;
        assert_eq!(next().await.unwrap().unwrap(), "ab");
        assert_protocol(&next().await.unwrap().unwrap_err());
        assert_eq!(next().await, None);
    }
}

#[tokio::test]
async fn malformed_chunks_are_an_error_after_the_head() {
    for chunks in ["x", "-1\r\n", "fffffffffffffffff\r\n", "2\r\nabc\r\n0\r\n\r\n", "\r\n"] {
        let server = RecordingServer::start(move |request| match request.index {
            0 => Behavior::RespondThenClose(
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into(),
            ),
            _ => Behavior::status(204),
        })
        .await;
        let network = builder().build().unwrap();
        assert_protocol(&send(&network, post(&server.url("/"), "x")).await.unwrap_err());
        assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((204, vec![])));
        assert_eq!((server.requests().len(), server.connections()), (2, 2), "{chunks:?}");
    }
}

#[tokio::test]
async fn bytes_after_the_end_of_a_response_close_the_connection() {
    let server = RecordingServer::start(|request| match request.index {
        0 => Behavior::Respond(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 418 No\r\n\r\n".to_vec(),
        ),
        _ => Behavior::status(204),
    })
    .await;
    let network = builder().build().unwrap();
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((200, b"ab".to_vec())));
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((204, vec![])));
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

#[tokio::test]
async fn endless_body_is_closed_when_it_is_dropped() {
    for head in ["", "Transfer-Encoding: chunked\r\n"] {
        let server = RecordingServer::start(move |_| {
            let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
            Behavior::RespondForever(head.into(), b"4\r\nmore\r\n".to_vec())
        })
        .await;
        let network = builder().build().unwrap();
        let mut response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
        let chunk = std::future::poll_fn(|cx| response.body.as_mut().poll_chunk(cx)).await;
        assert!(chunk.unwrap().unwrap().starts_with(if head.is_empty() { b"4" } else { b"more" }));
        drop(response);
        server.wait_for_closed(1).await;
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn endless_interim_responses_are_a_timeout() {
    let server = RecordingServer::start(|_| {
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
        Behavior::RespondForever(Vec::new(), hints)
    })
    .await;
    let limit = Duration::from_secs(120);
    let network = builder().response_head_timeout(limit).build().unwrap();
    let sending = send(&network, post(&server.url("/"), "x"));
    let answer = after(limit, server.wait_for(1), sending).await;
    let expected = NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after: limit };
    assert_eq!(answer, Err(expected));
    server.wait_for_closed(1).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn endless_head_is_a_protocol_error() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 ", "HTTP/1.1 103 Early Hints\r\n"] {
        for more in ["x: 1\r\n", "x"] {
            let behavior = Behavior::RespondForever(head.into(), more.into());
            assert_protocol(&error_of(behavior).await);
        }
    }
}

#[tokio::test]
async fn body_without_a_length_ends_with_the_connection() {
    let server = RecordingServer::start(|_| {
        Behavior::RespondThenClose(b"HTTP/1.1 200 OK\r\n\r\nabc".to_vec())
    })
    .await;
    let network = builder().build().unwrap();
    let response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(read(response.body).await.unwrap(), b"abc");
}

#[tokio::test]
async fn host_that_does_not_resolve_is_a_dns_error() {
    let error =
        send(&builder().build().unwrap(), post("http://nx.invalid/", "x")).await.unwrap_err();
    assert!(matches!(&error, NetworkError::Dns { host, .. } if host == "nx.invalid"), "{error:?}");
}

#[tokio::test]
async fn refused_connection_is_a_connect_error_that_names_the_server() {
    // A bound socket that does not listen reserves the port and refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    for host in ["a.test", "localhost"] {
        let url = format!("http://{host}:{port}/");
        let error = send(&builder().build().unwrap(), post(&url, "x")).await.unwrap_err();
        let NetworkError::Connect(text) = &error else { panic!("{error:?}") };
        assert!(text.message().starts_with(&format!("{host}:{port}: ")), "{text}");
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionRefused));
    }
}

#[tokio::test]
async fn server_that_takes_too_long_to_connect_to_is_a_timeout() {
    // The server accepts connections, and never answers the TLS handshake.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let limit = Duration::from_secs(30);
    let network = builder().connect_timeout(limit).build().unwrap();
    let mut accepted = None;
    let accept = async { accepted = silent.accept().await.ok() };
    let answer = after(limit, accept, send(&network, post(&url, "x"))).await;
    let expected = NetworkError::Timeout { kind: TimeoutKind::Connect, after: limit };
    assert_eq!(answer, Err(expected));
}

#[tokio::test]
async fn scheme_other_than_http_and_https_cannot_be_sent() {
    let error = send(&builder().build().unwrap(), post("ftp://a.test/", "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Unsendable(_)), "{error:?}");
}

#[tokio::test]
async fn server_that_does_not_answer_in_time_is_a_timeout_and_is_closed() {
    let server = RecordingServer::start(|_| Behavior::Hang).await;
    let limit = Duration::from_secs(120);
    let network = builder().response_head_timeout(limit).build().unwrap();
    let sending = send(&network, post(&server.url("/"), "x"));
    let answer = after(limit, server.wait_for(1), sending).await;
    let expected = NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after: limit };
    assert_eq!(answer, Err(expected));
    server.wait_for_closed(1).await;
}
