//! An HTTP/2 server that breaks the protocol.

use std::{
    cell::Cell,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sendbeacon_fetch::{NetworkError, TimeoutKind, host::Network};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};

use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, NO_ERROR, PING,
        PUSH_PROMISE, REFUSED_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, goaway, no_content,
        response, rst_stream, setting,
    },
    support::{after, pass, post, send, trusting},
};

/// Sends a request to a server that answers with `frames`. The server must have seen it exactly once.
async fn answer_to(
    frames: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> Result<(u16, Vec<u8>), NetworkError> {
    let server = RecordingServer::start_http2(move |request: &RecordedRequest| {
        Behavior::Frames(frames(request.stream))
    })
    .await;
    let answer = send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await;
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    answer
}

fn assert_protocol<T: std::fmt::Debug>(answer: &Result<T, NetworkError>, what: &str) {
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{what}: {answer:?}");
}

#[tokio::test]
async fn frames_that_break_the_protocol_are_a_protocol_error() {
    type Frames = fn(u32) -> Vec<u8>;
    let ok = [(":status", "200")];
    let cases: [(&str, Frames); 20] = [
        ("data before the head", |id| frame(DATA, END_STREAM, id, b"x")),
        ("data on stream 0", |_| frame(DATA, 0, 0, b"x")),
        ("head on a stream that is not open", |id| no_content(id + 2)),
        ("head on a stream of the server", |_| no_content(2)),
        ("push promise although push is off", |id| {
            let promised = [&2_u32.to_be_bytes()[..], &block(&[(":method", "GET")])].concat();
            frame(PUSH_PROMISE, END_HEADERS, id, &promised)
        }),
        ("frame larger than allowed", |id| frame(DATA, 0, id, &vec![0; 16_385])),
        ("ping of 7 bytes", |_| frame(PING, 0, 0, &[0; 7])),
        ("settings on a stream", |id| frame(SETTINGS, 0, id, &[])),
        ("settings of 5 bytes", |_| frame(SETTINGS, 0, 0, &[0; 5])),
        ("window above the maximum", |_| setting(4, 0x8000_0000)),
        ("frame size below the minimum", |_| setting(5, 1)),
        ("window update of zero", |_| frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("window update above the maximum", |_| {
            frame(WINDOW_UPDATE, 0, 0, &0x7FFF_FFFF_u32.to_be_bytes()).repeat(2)
        }),
        ("continuation without a head", |id| frame(CONTINUATION, END_HEADERS, id, &[])),
        ("head interrupted by a ping", |id| {
            [frame(HEADERS, 0, id, &[]), frame(PING, 0, 0, &[0; 8])].concat()
        }),
        ("malformed compression", |id| frame(HEADERS, END_HEADERS, id, &[0xFF; 16])),
        ("head with a status that is no number", |id| response(id, 1, &[(":status", "abc")])),
        ("head with a status that is too low", |id| response(id, 1, &[(":status", "099")])),
        ("head with an upper case letter", |id| response(id, 1, &[(":status", "200"), ("X", "1")])),
        ("head that is not HTTP/2", |_| b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    ];
    for (what, frames) in cases {
        assert_protocol(&answer_to(frames).await, what);
        // Errors of the connection are errors after the head of the response, too.
        if !what.contains("head") && !what.contains("data before") {
            let late = move |id| [response(id, 0, &ok), frames(id)].concat();
            assert_protocol(&answer_to(late).await, what);
        }
    }
}

#[tokio::test]
async fn malformed_response_is_a_protocol_error_of_its_stream_alone() {
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("no status", &[("x", "1")]),
        ("two statuses", &[(":status", "200"), (":status", "200")]),
        ("status after another header", &[("x", "1"), (":status", "200")]),
        ("header that HTTP/2 forbids", &[(":status", "200"), ("connection", "close")]),
        (
            "lengths that contradict",
            &[(":status", "200"), ("content-length", "1"), ("content-length", "2")],
        ),
    ];
    for (what, headers) in cases {
        let server = RecordingServer::start_http2(move |request| match request.index {
            0 => Behavior::Frames(response(request.stream, END_STREAM, headers)),
            _ => Behavior::status(204),
        })
        .await;
        let network = trusting(&server).build().unwrap();
        assert_protocol(&send(&network, post(&server.url("/"), "x")).await, what);
        assert_eq!(server.requests().len(), 1, "{what}");
        assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((204, vec![])), "{what}");
        assert_eq!(server.connections(), 1, "{what}");
    }
}

#[tokio::test]
async fn body_that_contradicts_its_content_length_is_a_protocol_error() {
    for body in ["", "abcd", "abcdef"] {
        let answer = answer_to(|id| {
            let head = response(id, 0, &[(":status", "200"), ("content-length", "5")]);
            [head, frame(DATA, END_STREAM, id, body.as_bytes())].concat()
        })
        .await;
        assert_protocol(&answer, body);
    }
    let answer =
        answer_to(|id| response(id, END_STREAM, &[(":status", "200"), ("content-length", "5")]))
            .await;
    assert_protocol(&answer, "no body at all");
}

#[tokio::test]
async fn body_that_is_reset_is_an_error_after_the_bytes_that_came() {
    for code in [NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM] {
        let server = RecordingServer::start_http2(move |request| {
            let id = request.stream;
            let head = response(id, 0, &[(":status", "200")]);
            Behavior::Frames([head, frame(DATA, 0, id, b"ab"), rst_stream(id, code)].concat())
        })
        .await;
        let network = trusting(&server).build().unwrap();
        let mut response = network.http_network_fetch(post(&server.url("/"), "x")).await.unwrap();
        let mut next =
            async || std::future::poll_fn(|cx| response.body.as_mut().poll_chunk(cx)).await;
        assert_eq!(next().await.unwrap().unwrap(), "ab");
        assert_protocol(&next().await.unwrap(), "reset");
        assert_eq!(next().await, None);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn trailers_are_skipped() {
    let answer = answer_to(|id| {
        let head = response(id, 0, &[(":status", "200")]);
        let trailers = response(id, END_STREAM, &[("x-trailer", "1")]);
        [head, frame(DATA, 0, id, b"body"), trailers].concat()
    })
    .await;
    assert_eq!(answer, Ok((200, b"body".to_vec())));
}

#[tokio::test]
async fn any_number_of_interim_responses_is_skipped() {
    let answer = answer_to(|id| {
        let hints = response(id, 0, &[(":status", "103"), ("link", "</x>")]);
        [hints.repeat(2000), no_content(id)].concat()
    })
    .await;
    assert_eq!(answer, Ok((204, vec![])));
}

#[tokio::test]
async fn interim_response_that_ends_the_stream_is_a_protocol_error() {
    let answer = answer_to(|id| response(id, END_STREAM, &[(":status", "103")])).await;
    assert_protocol(&answer, "103 and no more");
}

#[tokio::test]
async fn head_of_more_bytes_or_headers_than_the_limit_is_a_protocol_error() {
    let of_headers = |count: usize| {
        answer_to(move |id| {
            let mut headers = vec![("x", "1"); count];
            headers.insert(0, (":status", "204"));
            response(id, END_STREAM, &headers)
        })
    };
    assert_eq!(of_headers(512).await, Ok((204, vec![])));
    assert_protocol(&of_headers(513).await, "513 headers");

    // Each header counts as its name, its value and 32 bytes: 284 in all.
    let of_bytes = |count: usize| {
        answer_to(move |id| {
            let name = "x".repeat(126);
            let value = "y".repeat(126);
            let mut headers = vec![(&*name, &*value); count];
            headers.insert(0, (":status", "204"));
            let block = block(&headers);
            let mut frames = Vec::new();
            let mut chunks = block.chunks(16_384).peekable();
            let mut kind = HEADERS;
            while let Some(chunk) = chunks.next() {
                let end_stream = if kind == HEADERS { END_STREAM } else { 0 };
                let end_headers = if chunks.peek().is_none() { END_HEADERS } else { 0 };
                frames.extend(frame(kind, end_stream | end_headers, id, chunk));
                kind = CONTINUATION;
            }
            frames
        })
    };
    // Within the limit on bytes, and above the limit on headers.
    let NetworkError::Protocol(text) = of_bytes(256 * 1024 / 284 - 1).await.unwrap_err() else {
        panic!("a protocol error");
    };
    assert!(text.message().contains("512 headers"), "{text}");
    // Above both limits: h2 rejects the head before its headers are counted.
    let NetworkError::Protocol(text) = of_bytes(256 * 1024 / 284 + 1).await.unwrap_err() else {
        panic!("a protocol error");
    };
    assert!(!text.message().contains("512 headers"), "{text}");
}

#[tokio::test]
async fn endless_continuation_frames_are_a_protocol_error() {
    for part in [&[][..], &block(&[("x", "1")])] {
        let part = part.to_vec();
        let answer = answer_to(move |id| {
            let begin = frame(HEADERS, END_STREAM, id, &block(&[(":status", "204")]));
            let more = frame(CONTINUATION, 0, id, &part).repeat(20_000);
            [begin, more, frame(CONTINUATION, END_HEADERS, id, &[])].concat()
        })
        .await;
        assert_protocol(&answer, "continuations");
    }
}

/// Frames that a server may send any number of times, and that cause work.
fn floods() -> [(&'static str, Vec<u8>); 5] {
    [
        ("settings", setting(4, 65_535)),
        ("empty settings", frame(SETTINGS, 0, 0, &[])),
        ("ping", frame(PING, 0, 0, &[7; 8])),
        ("window update", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("unknown", frame(0x55, 0xFF, 0, &[0; 100])),
    ]
}

#[tokio::test]
async fn flood_of_frames_before_the_answer_is_tolerated() {
    for (what, flood) in floods() {
        let answer = answer_to(move |id| [flood.repeat(5000), no_content(id)].concat()).await;
        assert_eq!(answer, Ok((204, vec![])), "{what}");
    }
}

#[tokio::test]
async fn flood_of_frames_in_place_of_an_answer_is_a_timeout() {
    for (what, flood) in floods() {
        // A server that does not read HTTP/2 ignores the acknowledgements of its frames.
        let server = RecordingServer::setup()
            .tls(&["h2"])
            .deaf()
            .start(move |_| {
                Behavior::RespondAndReadNoMore([setting(4, 65_535), flood.repeat(5000)].concat())
            })
            .await;
        let limit = Duration::from_secs(120);
        let network = trusting(&server).response_head_timeout(limit).build().unwrap();
        let expected = NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after: limit };
        // The connection is not used again.
        for sent in 1..=2 {
            let sending = send(&network, post(&server.url("/"), "x"));
            let answer = after(limit, server.wait_for(sent), sending).await;
            assert_eq!(answer, Err(expected.clone()), "{what}");
            assert_eq!((server.requests().len(), server.connections()), (sent, sent));
        }
    }
}

#[tokio::test]
async fn flood_of_empty_data_frames_comes_to_an_end() {
    let answer = answer_to(|id| {
        let head = response(id, 0, &[(":status", "200")]);
        let end = frame(DATA, END_STREAM, id, b"x");
        [head, frame(DATA, 0, id, &[]).repeat(20_000), end].concat()
    })
    .await;
    assert!(
        matches!(&answer, Ok((200, body)) if body == b"x")
            || matches!(answer, Err(NetworkError::Protocol(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn server_that_allows_no_streams_is_a_timeout() {
    let server =
        RecordingServer::setup().tls(&["h2"]).max_streams(0).start(|_| Behavior::status(204)).await;
    let limit = Duration::from_secs(120);
    let network = trusting(&server).response_head_timeout(limit).connect_timeout(Duration::MAX);
    let network = network.build().unwrap();
    // The first request may be sent before the settings arrive. The server then refuses it.
    for _ in 0..2 {
        // The test cannot see that a request waits for its stream, so it lets time pass until the end.
        let is_over = Cell::new(false);
        let sending = async {
            let answer = send(&network, post(&server.url("/"), "x")).await;
            is_over.set(true);
            answer.unwrap_err()
        };
        let passing = async {
            while !is_over.get() {
                pass(limit).await;
            }
        };
        let (error, ()) = tokio::join!(sending, passing);
        let expected = NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after: limit };
        assert!(error == expected || matches!(error, NetworkError::Protocol(_)), "{error:?}");
    }
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn server_that_negotiates_http2_and_speaks_another_protocol_fails() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0",
        b"",
    ] {
        let server = RecordingServer::setup()
            .tls(&["h2"])
            .deaf()
            .start(|_| Behavior::RespondThenClose(answer.to_vec()))
            .await;
        let result = send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await;
        assert_protocol(&result, &answer.escape_ascii().to_string());
        let methods: Vec<_> = server.requests().into_iter().map(|request| request.method).collect();
        assert_eq!(methods, ["PRI"]);
    }
}

#[tokio::test]
async fn server_that_chooses_http2_and_is_silent_is_a_timeout() {
    let server = RecordingServer::setup().tls(&["h2"]).deaf().start(|_| Behavior::Hang).await;
    let limit = Duration::from_secs(120);
    let network = trusting(&server).response_head_timeout(limit).build().unwrap();
    let sending = send(&network, post(&server.url("/"), "x"));
    let answer = after(limit, server.wait_for(1), sending).await;
    let expected = NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after: limit };
    assert_eq!(answer, Err(expected));
    server.wait_for_closed(1).await;
}

/// Pieces of HTTP/2 in any order, with random bytes between them.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    // All pieces are of the first stream. A request that is sent again may be on another stream.
    let piece = prop_oneof![
        Just(response(1, 0, &[(":status", "200")])),
        Just(response(1, END_STREAM, &[(":status", "204")])),
        Just(response(1, 0, &[(":status", "103")])),
        Just(frame(DATA, 0, 1, b"body")),
        Just(frame(DATA, END_STREAM, 1, b"")),
        Just(rst_stream(1, REFUSED_STREAM)),
        Just(rst_stream(1, INTERNAL_ERROR)),
        Just(goaway(0, NO_ERROR)),
        Just(goaway(1, INTERNAL_ERROR)),
        Just(setting(3, 0)),
        Just(setting(4, 0)),
        Just(frame(PING, 0, 0, &[0; 8])),
        Just(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        (0..12_u8, any::<u8>(), 0..4_u32, vec(any::<u8>(), 0..20))
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)),
        vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

#[test]
fn any_frames_are_a_response_or_an_error_and_the_next_request_works() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // All cases share one server and one network, because reading the platform's root certificates takes
    // long.
    let frames = Arc::new(Mutex::new(Vec::new()));
    let server = runtime.block_on(RecordingServer::start_http2({
        let frames = Arc::clone(&frames);
        move |request| match &*request.target {
            "/hostile" => Behavior::FramesThenClose(frames.lock().unwrap().clone()),
            _ => Behavior::status(204),
        }
    }));
    let network = trusting(&server).build().unwrap();
    let mut runner = TestRunner::new(Config::with_cases(256));
    let result = runner.run(&pieces(), |answer| {
        let may_resend = [rst_stream(1, REFUSED_STREAM), goaway(0, NO_ERROR)]
            .iter()
            .any(|piece| answer.windows(piece.len()).any(|window| window == piece));
        *frames.lock().unwrap() = answer;
        runtime.block_on(async {
            let before = server.requests().len();
            network.network_changed();
            match send(&network, post(&server.url("/hostile"), "x")).await {
                Ok(_) | Err(NetworkError::Protocol(_)) => {}
                Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
            }
            let next = send(&network, post(&server.url("/next"), "x")).await;
            prop_assert_eq!(next, Ok((204, Vec::new())));
            let hostile = server.requests().len() - before - 1;
            prop_assert!(hostile == 1 || may_resend && hostile <= 3, "sent {} times", hostile);
            Ok(())
        })
    });
    result.unwrap();
}
