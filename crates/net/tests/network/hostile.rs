//! An HTTP/1.1 server that answers with arbitrary bytes.

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sendbeacon_fetch::NetworkError;
use sendbeacon_testkit::server::{Behavior, RecordingServer};

use crate::support::{builder, post, send};

/// Random bytes, and pieces of HTTP in any order.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 26] = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 999 \r\n",
        b"HTTP/1.0 204\r\n",
        b"HTTP/2 200\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Keep-Alive: timeout=99999999999999999999, =\r\n",
        b"Connection: close\r\n",
        b"\xff: \xff\r\n",
        b" folded\r\n",
        b"HTTP/1.7 103 \x01\r\n",
        b"Content-Length : \"5, 5\", 5\n",
        b"content-length: aaaah\r\n\t\r\n",
        b"Location:\x01 /\x7f\x01\x02\n",
        b"Location\r\n",
        b"\x1f\r",
        b"\n",
        b":",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"hello",
    ];
    let piece = (0..PIECES.len()).prop_map(|at| PIECES[at]);
    prop_oneof![
        vec(any::<u8>(), 0..60),
        vec(piece.clone(), 0..8).prop_map(|pieces| pieces.concat()),
        vec(piece, 0..8)
            .prop_map(|pieces| [b"HTTP/1.1 200 OK\r\n", pieces.concat().as_slice()].concat()),
    ]
}

#[test]
fn any_answer_is_a_response_or_an_error_and_the_next_request_works() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config::with_cases(256));
    let result = runner.run(&answer(), |answer| {
        runtime.block_on(async {
            let server = RecordingServer::start(move |request| match &*request.target {
                "/hostile" => Behavior::RespondThenClose(answer.clone()),
                _ => Behavior::status(204),
            })
            .await;
            let network = builder().build().unwrap();
            match send(&network, post(&server.url("/hostile"), "x")).await {
                Ok(_) | Err(NetworkError::Protocol(_)) => {}
                Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
            }
            let next = send(&network, post(&server.url("/next"), "x")).await;
            prop_assert_eq!(next, Ok((204, Vec::new())));
            let requests = server.requests();
            let hostile = requests.iter().filter(|request| request.target == "/hostile");
            prop_assert_eq!(hostile.count(), 1, "the request is sent once");
            Ok(())
        })
    });
    result.unwrap();
}
