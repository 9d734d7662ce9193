//! Which requests are sent again after the server has ended a connection that was idle, by policy.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use http::{HeaderName, HeaderValue, Method, header::CONTENT_LENGTH};
use sendbeacon_fetch::{
    AddressSpace, Client, NetworkError, Nonce,
    host::{Answer, LocalNetworkAccess, Network, NetworkRequest},
};
use sendbeacon_net::{HttpNetwork, ResendPolicy};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::yield_now,
};
use url::Url;

use crate::{
    frames::{PING, frame, no_content},
    support::{Reports, beacon, builder, losing, post, send, trusting},
};

const OK: Result<(u16, Vec<u8>), NetworkError> = Ok((204, Vec::new()));

/// Sends a first request, which is answered, and then `request`. Returns the answer, and what the network has reported
/// of the second.
async fn send_second(
    network: &HttpNetwork,
    mut request: NetworkRequest,
) -> (Result<(u16, Vec<u8>), NetworkError>, Vec<String>) {
    let first = beacon(request.url.as_str(), "first");
    assert_eq!(send(network, first).await, OK);
    let reports = Reports::of(&mut request);
    (send(network, request).await, reports.all())
}

fn connections(server: &RecordingServer) -> Vec<usize> {
    server.requests().iter().map(|request| request.connection).collect()
}

#[tokio::test]
async fn beacon_lost_on_a_kept_alive_connection_is_sent_once_more_on_a_new_one() {
    for by in [Behavior::Close, Behavior::Reset] {
        let server = RecordingServer::start(losing([1], by)).await;
        let network = builder().build().unwrap();
        let mut request = beacon(&server.url("/path?a=\"b\"|c"), "body");
        let header = HeaderName::from_static("x-own");
        request.headers_mut().insert(header, HeaderValue::from_bytes(b"a\xE4b").unwrap());
        let (answer, reports) = send_second(&network, request).await;
        assert_eq!(answer, OK);
        assert_eq!(reports, ["unsent", "in part", "again", "in part"]);
        assert_eq!(connections(&server), [0, 0, 1]);
        let requests = server.requests();
        assert_eq!(requests[1].head, requests[2].head);
        assert_eq!((&requests[1].body, &*requests[2].body), (&b"body".to_vec(), &b"body"[..]));
    }
}

#[tokio::test]
async fn long_head_and_long_body_are_sent_again_as_they_were() {
    for (path, body) in [(60_000, 0), (10, 60_000), (40_000, 20_000)] {
        let server = RecordingServer::start(losing([1], Behavior::Close)).await;
        let network = builder().build().unwrap();
        let mut request = beacon(&server.url(&format!("/{}", "x".repeat(path))), "");
        request.headers_mut().insert(CONTENT_LENGTH, body.into());
        request.body = b"\r\n\r\n".repeat(body / 4).into();
        assert_eq!(send_second(&network, request.clone()).await.0, OK);
        let requests = server.requests();
        assert_eq!(connections(&server), [0, 0, 1], "{path} {body}");
        assert_eq!(requests[1].head, requests[2].head);
        assert!(requests[2].body == request.body && requests[1].body == request.body);
    }
}

#[tokio::test]
async fn beacon_that_is_lost_again_fails_and_was_sent_twice() {
    let server = RecordingServer::start(losing([1, 2], Behavior::Close)).await;
    let network = builder().build().unwrap();
    let (answer, reports) = send_second(&network, beacon(&server.url("/"), "x")).await;
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
    assert_eq!(reports, ["unsent", "in part", "again", "in part"]);
    assert_eq!(connections(&server), [0, 0, 1]);
}

#[tokio::test]
async fn policy_and_kind_of_a_request_decide_whether_it_is_sent_again() {
    use ResendPolicy::{LikeChromium, Strict, Unawaited};
    assert_eq!(ResendPolicy::default(), Unawaited);
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::DELETE] {
        for (policy, is_awaited, is_resent) in [
            (Strict, false, false),
            (Strict, true, false),
            (Unawaited, false, true),
            (Unawaited, true, false),
            (LikeChromium, false, true),
            (LikeChromium, true, true),
        ] {
            let server = RecordingServer::start(losing([1], Behavior::Close)).await;
            let network = builder().resend_policy(policy).build().unwrap();
            let mut request = post(&server.url("/"), "");
            (request.method, request.is_awaited) = (method.clone(), is_awaited);
            let (answer, reports) = send_second(&network, request).await;
            let is_resent = is_resent || method.is_safe();
            assert_eq!(answer.is_ok(), is_resent, "{method} {policy:?} {is_awaited}");
            let expected: &[&str] = if is_resent {
                &["unsent", "in part", "again", "in part"]
            } else {
                &["unsent", "in part"]
            };
            assert_eq!(reports, expected);
        }
    }
}

#[tokio::test]
async fn beacon_on_a_new_connection_or_with_a_begun_answer_is_not_sent_again() {
    let server = RecordingServer::start(losing([0], Behavior::Close)).await;
    let answer = send(&builder().build().unwrap(), beacon(&server.url("/"), "x")).await;
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 1);
    for begun in ["H", "HTTP/1.1 100 Continue\r\n\r\n", "\r\n"] {
        let by = Behavior::RespondThenClose(begun.into());
        let server = RecordingServer::start(losing([1], by)).await;
        let (answer, reports) =
            send_second(&builder().build().unwrap(), beacon(&server.url("/"), "x")).await;
        assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
        assert_eq!(
            (server.requests().len(), &*reports),
            (2, &["unsent", "in part"].map(String::from)[..])
        );
    }
}

#[tokio::test]
async fn answer_408_on_a_kept_alive_connection_counts_as_none() {
    let timeout = || Behavior::RespondThenClose(Behavior::response(408, &[], b"slow"));
    let answered = Ok((408, b"slow".to_vec()));
    for (policy, is_awaited, lost, expected) in [
        (ResendPolicy::Unawaited, false, 1, OK),
        (ResendPolicy::Unawaited, true, 1, answered.clone()),
        (ResendPolicy::LikeChromium, true, 1, OK),
        (ResendPolicy::Strict, false, 1, answered.clone()),
    ] {
        let server = RecordingServer::start(losing([lost], timeout())).await;
        let network = builder().resend_policy(policy).build().unwrap();
        let mut request = post(&server.url("/"), "x");
        request.is_awaited = is_awaited;
        assert_eq!(send_second(&network, request).await.0, expected, "{policy:?} {is_awaited}");
    }
    // On a new connection, 408 is the answer. So it is to the request that was sent again.
    let server = RecordingServer::start(move |_| timeout()).await;
    assert_eq!(send(&builder().build().unwrap(), beacon(&server.url("/"), "x")).await, answered);
    let server = RecordingServer::start(losing(
        [1, 2],
        Behavior::Respond(Behavior::response(408, &[], b"slow")),
    ))
    .await;
    let (answer, _) = send_second(&builder().build().unwrap(), beacon(&server.url("/"), "x")).await;
    assert_eq!((answer, connections(&server)), (answered, vec![0, 0, 1]));
    // A server that has sent an interim response has read the request.
    let hinted = [&b"HTTP/1.1 103 Early Hints\r\n\r\n"[..], &Behavior::response(408, &[], b"slow")];
    let hinted = Behavior::RespondThenClose(hinted.concat());
    let server = RecordingServer::start(losing([1], hinted)).await;
    let (answer, _) = send_second(&builder().build().unwrap(), beacon(&server.url("/"), "x")).await;
    assert_eq!((answer, server.requests().len()), (Ok((408, b"slow".to_vec())), 2));
    // Streams of HTTP/2 do not wait for each other.
    let server = RecordingServer::start_http2(losing([1], Behavior::status(408))).await;
    let network = trusting(&server).build().unwrap();
    let (answer, _) = send_second(&network, beacon(&server.url("/"), "x")).await;
    assert_eq!((answer, server.requests().len()), (Ok((408, vec![])), 2));
}

#[tokio::test]
async fn beacon_lost_on_http2_is_sent_again_if_the_server_said_nothing_since() {
    for by in [Behavior::Reset, Behavior::FramesThenClose(Vec::new())] {
        let server = RecordingServer::start_http2(losing([1], by)).await;
        let network = trusting(&server).build().unwrap();
        let (answer, reports) = send_second(&network, beacon(&server.url("/"), "x")).await;
        assert_eq!((answer, connections(&server)), (OK, vec![0, 0, 1]));
        assert_eq!(reports, ["unsent", "in part", "again", "in part"]);
        assert!(server.requests()[1..].iter().all(|request| request.body == b"x"));
    }
    // Any frame shows that the server was still there.
    let ping = Behavior::FramesThenClose(frame(PING, 0, 0, &[0; 8]));
    let server = RecordingServer::start_http2(losing([1], ping.clone())).await;
    let network = trusting(&server).build().unwrap();
    let (answer, _) = send_second(&network, beacon(&server.url("/"), "x")).await;
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 2);
    // A safe request may be sent again even if the server has read it.
    let server = RecordingServer::start_http2(losing([1], ping)).await;
    let network = trusting(&server).build().unwrap();
    let mut request = post(&server.url("/"), "");
    request.method = Method::GET;
    assert_eq!(send_second(&network, request).await.0, OK);
}

#[tokio::test]
async fn beacon_on_an_http2_connection_without_an_answer_so_far_is_not_sent_again() {
    let server = RecordingServer::start_http2(|request| match request.index {
        0 => Behavior::Hang,
        1 => Behavior::Reset,
        _ => Behavior::Frames(no_content(request.stream)),
    })
    .await;
    let network = trusting(&server).build().unwrap();
    let (first, second) = tokio::join!(send(&network, beacon(&server.url("/"), "x")), async {
        server.wait_for(1).await;
        send(&network, beacon(&server.url("/"), "x")).await
    });
    assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn many_beacons_lost_on_one_http2_connection_share_the_next_one() {
    let server =
        RecordingServer::start_http2(|request| match (request.connection, request.index) {
            (0, 0) | (1.., _) => Behavior::status(204),
            (0, 10) => Behavior::Reset,
            _ => Behavior::Hang,
        })
        .await;
    let network = trusting(&server).build().unwrap();
    assert_eq!(send(&network, beacon(&server.url("/"), "x")).await, OK);
    let beacons = [(); 10].map(|()| send(&network, beacon(&server.url("/"), "x")));
    let answers = futures_util::future::join_all(beacons).await;
    assert_eq!(answers, [(); 10].map(|()| OK));
    assert_eq!((server.requests().len(), server.connections()), (21, 2));
}

#[tokio::test]
async fn loss_is_the_error_if_no_other_connection_can_be_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(connection.read(&mut buffer).await.unwrap() > 0);
        connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert!(connection.read(&mut buffer).await.unwrap() > 0);
        drop(listener);
    };
    let network = builder().build().unwrap();
    let ((answer, reports), ()) = tokio::join!(send_second(&network, beacon(&url, "x")), server);
    assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
    assert_eq!(reports, ["unsent", "in part"]);
}

#[tokio::test]
async fn beacon_lost_after_the_network_has_changed_is_not_sent_again() {
    for http2 in [false, true] {
        let shared = Arc::new(OnceLock::<HttpNetwork>::new());
        let handler = {
            let shared = Arc::clone(&shared);
            move |request: &RecordedRequest| {
                if request.index != 1 {
                    return Behavior::status(204);
                }
                shared.get().unwrap().network_changed();
                Behavior::Reset
            }
        };
        let server = if http2 {
            RecordingServer::start_http2(handler).await
        } else {
            RecordingServer::start(handler).await
        };
        let network = if http2 { trusting(&server) } else { builder() }.build().unwrap();
        let network = shared.get_or_init(|| network);
        let (answer, _) = send_second(network, beacon(&server.url("/"), "x")).await;
        assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{answer:?}");
        assert_eq!(server.requests().len(), 2);
    }
}

/// Permits everything, and counts the questions.
struct Counting(AtomicUsize);

impl LocalNetworkAccess for Counting {
    fn permits(&self, _: &Client, _: &Url, _: AddressSpace) -> Answer<bool> {
        self.0.fetch_add(1, SeqCst);
        Answer::Ready(true)
    }
}

#[tokio::test]
async fn local_network_access_is_checked_anew_for_the_other_connection() {
    let server = RecordingServer::start(losing([1], Behavior::Close)).await;
    let permission = Arc::new(Counting(AtomicUsize::new(0)));
    let network = builder().local_network_access(Arc::clone(&permission) as _).build().unwrap();
    let mut client = Client::new(Url::parse("https://page.test/").unwrap(), Nonce::from_u128(1));
    client.address_space = Some(AddressSpace::Public);
    let request = beacon(&server.url("/"), "x").with_client(Arc::new(client));
    for (asked, expected) in [(1, 1), (3, 3)] {
        assert_eq!(send(&network, request.clone()).await, OK);
        assert_eq!((permission.0.load(SeqCst), server.requests().len()), (asked, expected));
    }
}

#[tokio::test]
async fn server_that_closes_each_connection_soon_after_its_answer_loses_no_beacon() {
    const COUNT: usize = 2_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let server = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            for turn in 0.. {
                let (mut connection, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"body") {
                        if connection.read_buf(&mut request).await.unwrap() == 0 {
                            return;
                        }
                    }
                    seen.fetch_add(1, SeqCst);
                    connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                    // Never reads the next request, which may be on its way.
                    for _ in 0..turn % 7 {
                        yield_now().await;
                    }
                });
            }
        }
    });
    let network = builder().build().unwrap();
    for turn in 0..COUNT {
        assert_eq!(send(&network, beacon(&url, "body")).await, OK, "{turn}");
        for _ in 0..turn % 3 {
            yield_now().await;
        }
    }
    server.abort();
    assert_eq!(seen.load(SeqCst), COUNT);
}
