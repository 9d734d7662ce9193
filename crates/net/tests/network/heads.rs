//! Heads of HTTP/1.1 responses that are not quite right, and what browsers read in them.

use std::fmt::Write as _;

use http::HeaderMap;
use sendbeacon_fetch::{
    NetworkError,
    host::{Network, NetworkResponse},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer, Setup};

use crate::support::{builder, post, read, send, trusting};

type Read = Result<(u16, HeaderMap, Vec<u8>), NetworkError>;

/// Sends a request to a server that answers with `answer` and closes the connection.
async fn read_from(setup: Setup, answer: &[u8]) -> Read {
    let answer = Behavior::RespondThenClose(answer.to_vec());
    let server = setup.start(move |_| answer.clone()).await;
    let is_tls = server.url("/").starts_with("https");
    let network = if is_tls { trusting(&server) } else { builder() }.build().unwrap();
    let response = network.http_network_fetch(post(&server.url("/"), "x")).await;
    assert_eq!(server.requests().len(), 1);
    let NetworkResponse { status, headers, body, .. } = response?;
    Ok((status.as_u16(), headers, read(body).await?))
}

async fn read_answer(answer: impl AsRef<[u8]>) -> Read {
    read_from(RecordingServer::setup(), answer.as_ref()).await
}

/// The values of a header, as Latin-1.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.as_bytes().iter().copied().map(char::from).collect()).collect()
}

#[tokio::test]
async fn five_hundred_headers_are_read_in_their_order() {
    let mut head = "HTTP/1.1 103 Hints\r\n".to_owned() + &"link: </x>\r\n".repeat(200) + "\r\n";
    head += "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\n";
    for at in 0..499 {
        let _ = write!(head, "Set-Cookie: c={at};\r\n Secure\r\nx-{at} : {at}\r\n");
    }
    let (most, _) = head.split_at(head.find("x-254").expect("this header"));
    let answer = [most, "content-length: 4\r\n\r\nbodyX"].concat();
    let (status, headers, body) = read_answer(answer).await.unwrap();
    assert_eq!((status, headers.len(), &*body), (200, 511, &b"body"[..]));
    let cookies: Vec<_> = (0..255).map(|at| format!("c={at}; Secure")).collect();
    assert_eq!(values(&headers, "set-cookie"), cookies);
    assert_eq!(values(&headers, "x-253"), ["253"]);
    assert_eq!(values(&headers, "content-length"), ["4"]);
}

#[tokio::test]
async fn strange_line_costs_neither_the_redirect_nor_a_cookie() {
    for line in [
        "no colon",
        "a name: x",
        "a\u{1}name: x",
        ": no name",
        "x: a\u{1}b\u{7f}",
        "x: a\u{1}b\r\n folded",
        "fo\u{e4}: x",
        "no colon\r\n folded: x",
    ] {
        for end in ["\r\n", "\n"] {
            let head = format!(
                "HTTP/1.1 302 Found\r\n{line}\r\nLocation: /x\r\n{line}\r\nSet-Cookie: a=b\r\n\
                 {line}\r\nContent-Length: 0\r\n\r\n"
            );
            let bytes: Vec<u8> = head.replace("\r\n", end).chars().map(|c| c as u8).collect();
            let (status, headers, _) = read_answer(bytes).await.unwrap();
            assert_eq!(status, 302, "{line:?}");
            assert_eq!(values(&headers, "location"), ["/x"], "{line:?}");
            assert_eq!(values(&headers, "set-cookie"), ["a=b"], "{line:?}");
            assert_eq!(headers.len(), 3, "{line:?}");
        }
    }
}

#[tokio::test]
async fn folded_line_is_one_value_with_a_space() {
    for (line, value) in [
        ("Location: /a\r\n b", "/a b"),
        ("Location:\r\n\t/a\r\n  b", "/a b"),
        (" folded into nothing\r\nLocation : /a", "/a"),
        ("Location\t : /a", "/a"),
    ] {
        let head = format!("HTTP/1.1 302 Found\r\n{line}\r\nContent-Length: 0\r\n\r\n");
        let (_, headers, _) = read_answer(head).await.unwrap();
        assert_eq!(values(&headers, "location"), [value], "{line:?}");
        assert_eq!(headers.len(), 2);
    }
}

#[tokio::test]
async fn control_bytes_in_a_location_are_percent_encoded() {
    for (value, location) in [
        ("\u{1}\u{2} /a\u{1}b\u{7f}\tc\u{1f}\u{1} ", "/a%01b%7F\tc"),
        ("/a\r\n \u{1}b", "/a %01b"),
        ("\u{1}", ""),
    ] {
        let head = format!("HTTP/1.1 302 Fo\u{1}und\r\nlocation:{value}\r\n\r\n");
        let (status, headers, _) = read_answer(head).await.unwrap();
        assert_eq!(status, 302);
        assert_eq!(values(&headers, "location"), [location], "{value:?}");
    }
}

#[tokio::test]
async fn three_hundred_headers_and_256_kib_are_read() {
    let mut head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n".to_owned();
    for number in 0..300 {
        let _ = write!(head, "X-{number}: {}\r\n", "a".repeat(840));
    }
    assert!(head.len() > 240 * 1024);
    let (_, headers, body) = read_answer(head + "\r\nbody").await.unwrap();
    assert_eq!((headers.len(), body), (301, b"body".to_vec()));
}

#[tokio::test]
async fn header_with_too_long_a_name_is_left_out() {
    let name = "a".repeat(70_000);
    let head = format!("HTTP/1.1 200 OK\r\n{name}: b\r\nContent-Length: 4\r\n\r\nbody");
    let (_, headers, body) = read_answer(head).await.unwrap();
    assert_eq!((headers.len(), body), (1, b"body".to_vec()));
}

#[tokio::test]
async fn content_length_is_what_fetch_extracts() {
    for (lines, length) in [
        ("Content-Length: 30", Some(30)),
        ("Content-Length: 30,30", Some(30)),
        ("Content-Length: 30\r\nContent-Length: 30, 30", Some(30)),
        ("Content-Length: 030", Some(30)),
        ("Content-Length:\r\n 30", Some(30)),
        ("Content-Length : 30", Some(30)),
        ("Content-Length: 30,42", None),
        ("Content-Length: 42\r\nContent-Length: 30", None),
        ("Content-Length: 30,", None),
        ("Content-Length: ,30", None),
        ("Content-Length: 30\r\nContent-Length: \t", None),
        ("Content-Length: \r\nContent-Length: 30", None),
        ("Content-Length: aaaah, nah", None),
        ("Content-Length: 030, 30", None),
        ("Content-Length: 030\r\nContent-Length: 30", None),
        ("Content-Length:30\r\nContent-Length:,\r\nContent-Length:30", None),
        ("Content-Length: \"30\", 30", None),
        ("Content-Length: aaaah", Some(42)),
        ("Content-Length: aaaah\r\nContent-Length: aaaah", Some(42)),
        ("Content-Length: 42s", Some(42)),
        ("Content-Length: 30s", Some(42)),
        ("Content-Length: -1", Some(42)),
        ("Content-Length: +30", Some(42)),
        ("Content-Length: 0x20", Some(42)),
        ("Content-Length: 3 0", Some(42)),
        ("Content-Length: 30.", Some(42)),
        ("Content-Length: \"30\"", Some(42)),
        ("Content-Length: \"30, 42\"", Some(42)),
        ("Content-Length: ", Some(42)),
        ("Content-Length: 30\u{1}", Some(42)),
        ("Content-Length: 99999999999999999999", None),
        ("Content-Length: 18446744073709551615", None),
    ] {
        let read =
            read_answer(format!("HTTP/1.1 200 OK\r\nX: y\r\n{lines}\r\n\r\n{:a<42}", "")).await;
        match length {
            Some(length) => assert_eq!(read.unwrap().2.len(), length, "{lines:?}"),
            None => assert!(matches!(read, Err(NetworkError::Protocol(_))), "{lines:?}: {read:?}"),
        }
    }
}

#[tokio::test]
async fn content_length_that_says_no_length_stays_a_header() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Length: aaaah\r\nX: y\r\nContent-Length:\taaaah \r\n\r\n";
    let (_, headers, _) = read_answer(head).await.unwrap();
    assert_eq!(values(&headers, "content-length"), ["aaaah", "aaaah"]);
    assert_eq!(headers.len(), 3);
}

#[tokio::test]
async fn redirect_with_an_impossible_length_is_read() {
    let head = "HTTP/1.1 302 Found\r\nContent-Length: 99999999999999999999\r\nLocation: /x\r\n\r\n";
    let server = RecordingServer::start(move |_| Behavior::RespondThenClose(head.into())).await;
    let network = builder().build().unwrap();
    let response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(values(&response.headers, "location"), ["/x"]);
    assert_eq!(values(&response.headers, "content-length"), ["99999999999999999999"]);
    assert!(read(response.body).await.is_err());
}

#[tokio::test]
async fn transfer_coding_overrides_every_content_length() {
    for length in ["aaaah", "1, 2", "99999999999999999999"] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\n\r\n"
        );
        let (_, headers, body) = read_answer(head).await.unwrap();
        assert_eq!((values(&headers, "content-length"), body), (vec![length.into()], b"a".into()));
    }
}

#[tokio::test]
async fn minor_version_that_is_not_known_is_read_as_1() {
    for minor in 0..=9 {
        let answer = format!("HTTP/1.{minor} 200 OK\r\nContent-Length: 2\r\n\r\nok").into_bytes();
        let server = RecordingServer::start(move |_| Behavior::Respond(answer.clone())).await;
        let network = builder().build().unwrap();
        for _ in 0..2 {
            let answer = send(&network, post(&server.url("/"), "x")).await;
            assert_eq!(answer, Ok((200, b"ok".to_vec())), "{minor}");
        }
        // HTTP/1.0 closes a connection by default.
        assert_eq!(server.connections(), if minor == 0 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn head_that_ends_with_the_connection_is_read_unless_it_is_secure() {
    for head in [
        "HTTP/1.1 302 Found\r\nLocation: /x",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\n",
        "HTTP/1.1 302 Found\nLocation: /x\n",
        "\r\n\r\nHTTP/1.1 302 Found\nLocation: /x",
    ] {
        let (status, headers, body) = read_answer(head).await.unwrap();
        assert_eq!((status, body.len()), (302, 0), "{head:?}");
        assert_eq!(values(&headers, "location"), ["/x"], "{head:?}");
        let secure = RecordingServer::setup().tls(&["http/1.1"]);
        let read = read_from(secure, head.as_bytes()).await;
        assert!(matches!(read, Err(NetworkError::Protocol(_))), "{head:?}: {read:?}");
    }
}

#[tokio::test]
async fn body_that_looks_like_a_head_is_not_changed() {
    const STRANGE: &str = "HTTP/1.7 200 OK\r\nContent-Length: x\r\nLocation: \u{1}\r\n\r\n";
    let head = format!(
        "HTTP/1.1 100 Continue\r\nContent-Length: x\r\n\r\nHTTP/1.9 103 Hints\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX: 1\r\n\r\n",
        STRANGE.len()
    );
    let server = RecordingServer::start(move |request| {
        Behavior::Respond(if request.target == "/at-once" {
            format!("{head}{STRANGE}").into()
        } else {
            // The body comes in one piece, and its length before it.
            let length = STRANGE.len();
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{STRANGE}\r\n0\r\n\r\n").into()
        })
    })
    .await;
    let network = builder().build().unwrap();
    for path in ["/at-once", "/chunked", "/at-once", "/chunked"] {
        let answer = send(&network, post(&server.url(path), "x")).await;
        assert_eq!(answer, Ok((200, STRANGE.into())));
    }
    assert_eq!(server.connections(), 1);
}
