//! Which requests are sent again after an HTTP/2 server has refused them.

use std::sync::Arc;

use sendbeacon_fetch::NetworkError;
use sendbeacon_net::HttpNetwork;
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::sync::Notify;

use crate::{
    frames::{
        DATA, END_STREAM, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED, INTERNAL_ERROR, NO_ERROR,
        REFUSED_STREAM, frame, goaway, response, rst_stream,
    },
    support::{post, send, trusting},
};

const OK: Result<(u16, Vec<u8>), NetworkError> = Ok((204, Vec::new()));

/// How often the network sends a request at most.
const ATTEMPTS: usize = 3;

/// Sends a request to a server that handles the first one by `first`, and answers the others.
async fn send_to(
    first: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
) -> (Result<(u16, Vec<u8>), NetworkError>, RecordingServer) {
    let (answer, server, _) = send_and_stay(first).await;
    (answer, server)
}

/// Does the same, and also returns the network, so that its connections stay open.
async fn send_and_stay(
    first: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
) -> (Result<(u16, Vec<u8>), NetworkError>, RecordingServer, HttpNetwork) {
    let server = RecordingServer::start_http2(move |request| match request.index {
        0 => first(request),
        _ => Behavior::status(204),
    })
    .await;
    let network = trusting(&server).build().unwrap();
    let answer = send(&network, post(&server.url("/"), "x")).await;
    (answer, server, network)
}

fn assert_protocol<T: std::fmt::Debug>(answer: &Result<T, NetworkError>) {
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
}

#[tokio::test]
async fn refused_stream_is_sent_again_on_the_same_connection() {
    let (answer, server) =
        send_to(|request| Behavior::Frames(rst_stream(request.stream, REFUSED_STREAM))).await;
    assert_eq!(answer, OK);
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
    let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"x", b"x"]);
}

#[tokio::test]
async fn request_that_is_always_refused_fails() {
    let server = RecordingServer::start_http2(|request| {
        Behavior::Frames(rst_stream(request.stream, REFUSED_STREAM))
    })
    .await;
    assert_protocol(&send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await);
    assert_eq!(server.requests().len(), ATTEMPTS);
}

#[tokio::test]
async fn stream_reset_for_another_reason_is_not_sent_again() {
    let others = (0..=13).filter(|code| ![REFUSED_STREAM, HTTP_1_1_REQUIRED].contains(code));
    for code in others.chain([0xFFFF_FFFF]) {
        let (answer, server) =
            send_to(move |request| Behavior::Frames(rst_stream(request.stream, code))).await;
        assert_protocol(&answer);
        assert_eq!(server.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn request_that_the_server_wants_over_http1_is_sent_again_over_http1() {
    for refusal in [|id| rst_stream(id, HTTP_1_1_REQUIRED), |_| goaway(0, HTTP_1_1_REQUIRED)] {
        let server = RecordingServer::setup().tls(&["h2", "http/1.1"]);
        let server = server.start(move |request| match &*request.version {
            "HTTP/2" => Behavior::Frames(refusal(request.stream)),
            _ => Behavior::status(204),
        });
        let server = server.await;
        let network = trusting(&server).build().unwrap();
        for _ in 0..2 {
            assert_eq!(send(&network, post(&server.url("/"), "x")).await, OK);
        }
        let requests = server.requests();
        let versions: Vec<_> = requests.iter().map(|request| &*request.version).collect();
        assert_eq!(versions, ["HTTP/2", "HTTP/1.1", "HTTP/2", "HTTP/1.1"]);
        assert!(requests.iter().all(|request| request.body == b"x"));
    }
}

#[tokio::test]
async fn server_that_wants_http1_and_does_not_speak_it_is_an_error() {
    let (answer, server) =
        send_to(|request| Behavior::Frames(rst_stream(request.stream, HTTP_1_1_REQUIRED))).await;
    assert!(matches!(answer, Err(NetworkError::Tls(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn stream_reset_does_not_end_its_connection() {
    let server = RecordingServer::start_http2(|request| match request.index {
        0 => Behavior::Frames(rst_stream(request.stream, INTERNAL_ERROR)),
        _ => Behavior::status(204),
    })
    .await;
    let network = trusting(&server).build().unwrap();
    assert_protocol(&send(&network, post(&server.url("/"), "x")).await);
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, OK);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn refusal_after_the_head_of_the_response_is_an_error() {
    let (answer, server) = send_to(|request| {
        let head = response(request.stream, 0, &[(":status", "200")]);
        Behavior::Frames([head, rst_stream(request.stream, REFUSED_STREAM)].concat())
    })
    .await;
    assert_protocol(&answer);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn request_above_the_goaway_is_sent_again_on_another_connection() {
    for code in [NO_ERROR, INTERNAL_ERROR, ENHANCE_YOUR_CALM] {
        for closes in [false, true] {
            let (answer, server) = send_to(move |_| {
                let frames = goaway(0, code);
                if closes { Behavior::FramesThenClose(frames) } else { Behavior::Frames(frames) }
            })
            .await;
            assert_eq!(answer, OK, "{code} {closes}");
            assert_eq!((server.requests().len(), server.connections()), (2, 2));
            server.wait_for_closed(1).await;
        }
    }
}

#[tokio::test]
async fn request_above_every_goaway_fails() {
    let server =
        RecordingServer::start_http2(|_| Behavior::FramesThenClose(goaway(0, NO_ERROR))).await;
    assert_protocol(&send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await);
    assert_eq!((server.requests().len(), server.connections()), (ATTEMPTS, ATTEMPTS));
}

#[tokio::test]
async fn request_not_above_the_goaway_is_answered() {
    for last_stream in [1, 101, 0x7FFF_FFFF] {
        let server = RecordingServer::start_http2(move |request| match request.index {
            0 => Behavior::Frames(
                [
                    goaway(last_stream, NO_ERROR),
                    response(request.stream, END_STREAM, &[(":status", "204")]),
                ]
                .concat(),
            ),
            _ => Behavior::status(204),
        })
        .await;
        let network = trusting(&server).build().unwrap();
        for _ in 0..2 {
            assert_eq!(send(&network, post(&server.url("/"), "x")).await, OK);
        }
        // After the GOAWAY, the connection takes no other request, and is closed.
        assert_eq!((server.requests().len(), server.connections()), (2, 2));
        server.wait_for_closed(1).await;
    }
}

#[tokio::test]
async fn goaway_on_an_idle_connection_closes_it() {
    let (answer, server, _network) = send_and_stay(|request| {
        let answer = response(request.stream, END_STREAM, &[(":status", "204")]);
        Behavior::Frames([answer, goaway(request.stream, NO_ERROR)].concat())
    })
    .await;
    assert_eq!(answer, OK);
    server.wait_for_closed(1).await;
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn request_not_above_the_goaway_is_not_sent_again() {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        for last_stream in [1, 0x7FFF_FFFF] {
            let (answer, server) =
                send_to(move |_| Behavior::FramesThenClose(goaway(last_stream, code))).await;
            assert_protocol(&answer);
            assert_eq!((server.requests().len(), server.connections()), (1, 1));
        }
    }
}

#[tokio::test]
async fn last_goaway_counts() {
    let (answer, server) = send_to(|_| {
        Behavior::Frames([goaway(0x7FFF_FFFF, NO_ERROR), goaway(0, NO_ERROR)].concat())
    })
    .await;
    assert_eq!(answer, OK);
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

#[tokio::test]
async fn goaway_after_the_head_of_the_response_is_an_error() {
    let (answer, server) = send_to(|request| {
        let head = response(request.stream, 0, &[(":status", "200")]);
        let body = frame(DATA, 0, request.stream, b"body");
        Behavior::Frames([head, body, goaway(0, NO_ERROR)].concat())
    })
    .await;
    assert_protocol(&answer);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn goaway_between_two_requests_sends_only_the_later_one_again() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start_http2({
        let gate = Arc::clone(&gate);
        move |request| match (&*request.target, request.connection) {
            ("/first", _) => {
                Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(200, &[], b"first"))
            }
            (_, 0) => Behavior::Frames(goaway(request.stream - 2, NO_ERROR)),
            _ => Behavior::status(204),
        }
    })
    .await;
    let network = trusting(&server).build().unwrap();
    let (first, second) = tokio::join!(send(&network, post(&server.url("/first"), "x")), async {
        server.wait_for(1).await;
        let second = send(&network, post(&server.url("/second"), "x")).await;
        gate.notify_one();
        second
    });
    assert_eq!((first, second), (Ok((200, b"first".to_vec())), OK));
    let requests = server.requests();
    let seen: Vec<_> =
        requests.iter().map(|request| (&*request.target, request.connection)).collect();
    assert_eq!(seen, [("/first", 0), ("/second", 0), ("/second", 1)]);
    server.wait_for_closed(1).await;
}

#[tokio::test]
async fn request_on_a_connection_that_ends_is_not_sent_again() {
    for behavior in [Behavior::Close, Behavior::Reset, Behavior::FramesThenClose(Vec::new())] {
        let (answer, server) = send_to(move |_| behavior.clone()).await;
        assert_protocol(&answer);
        assert_eq!((server.requests().len(), server.connections()), (1, 1));
    }
}

#[tokio::test]
async fn idle_connection_that_the_server_has_closed_is_replaced() {
    let server = RecordingServer::start_http2(|_| {
        Behavior::RespondThenClose(Behavior::response(200, &[], b"ok"))
    })
    .await;
    let network = trusting(&server).build().unwrap();
    for sent in 1..=3 {
        let answer = send(&network, post(&server.url("/"), "x")).await;
        assert_eq!(answer, Ok((200, b"ok".to_vec())));
        server.wait_for_closed(sent).await;
        assert_eq!((server.requests().len(), server.connections()), (sent, sent));
    }
}
