//! How many connections are open, and which requests wait for one.

use std::{sync::Arc, time::Duration};

use futures_util::{future::join_all, poll};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::sync::Notify;

use crate::support::{builder, post, send, trusting};

const OK: Result<(u16, Vec<u8>), sendbeacon_fetch::NetworkError> = Ok((204, Vec::new()));

/// Answers at once, except that paths beginning with `/wait` are answered when the gate opens.
fn gated(gate: &Arc<Notify>) -> impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static {
    let gate = Arc::clone(gate);
    move |request| {
        if request.target.starts_with("/wait") {
            Behavior::RespondWhen(Arc::clone(&gate), Behavior::response(204, &[], b""))
        } else {
            Behavior::status(204)
        }
    }
}

fn targets(server: &RecordingServer) -> Vec<String> {
    server.requests().into_iter().map(|request| request.target).collect()
}

#[tokio::test]
async fn requests_beyond_the_limit_per_origin_wait_in_order() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start(gated(&gate)).await;
    let network = builder().max_connections_per_origin(2).build().unwrap();
    let urls: Vec<_> = (0..20).map(|i| server.url(&format!("/{i}"))).collect();
    let (first, second, answers, ()) = tokio::join!(
        send(&network, post(&server.url("/wait"), "x")),
        send(&network, post(&server.url("/wait"), "x")),
        join_all(urls.iter().map(|url| send(&network, post(url, "x")))),
        async {
            server.wait_for(2).await;
            // One of the two connections now serves all other requests.
            gate.notify_one();
            server.wait_for(22).await;
            gate.notify_one();
        }
    );
    assert_eq!([first, second], [OK; 2]);
    assert_eq!(answers, [OK; 20]);
    assert_eq!(server.connections(), 2);
    let expected: Vec<_> = (0..20).map(|i| format!("/{i}")).collect();
    assert_eq!(targets(&server)[2..], expected, "the server gets them in order");
}

#[tokio::test]
async fn connection_idle_for_longest_is_closed_to_make_room() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let secure = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let network = trusting(&secure).max_connections(2).build().unwrap();
    let get = async |host: &str| {
        send(&network, post(&format!("http://{host}:{}/", server.port()), "x")).await.unwrap();
    };
    send(&network, post(&secure.url("/"), "x")).await.unwrap();
    get("a.test").await;
    get("b.test").await;
    secure.wait_for_closed(1).await;
    send(&network, post(&secure.url("/"), "x")).await.unwrap();
    server.wait_for_closed(1).await;
    get("b.test").await;
    get("a.test").await;
    secure.wait_for_closed(2).await;
    assert_eq!((server.connections(), secure.connections()), (3, 2));
}

#[tokio::test]
async fn request_that_waits_longest_is_served_first_whatever_its_origin() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start(gated(&gate)).await;
    let network = builder().max_connections(1).build().unwrap();
    let url = |host: &str, path: &str| format!("http://{host}:{}{path}", server.port());
    let (first, second, third, ()) = tokio::join!(
        send(&network, post(&url("a.test", "/wait"), "x")),
        send(&network, post(&url("b.test", "/second"), "x")),
        send(&network, post(&url("a.test", "/third"), "x")),
        async {
            server.wait_for(1).await;
            gate.notify_one();
        }
    );
    assert_eq!([first, second, third], [OK; 3]);
    assert_eq!(targets(&server), ["/wait", "/second", "/third"]);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn limits_apply_to_http2_connections() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start_http2(gated(&gate)).await;
    let network = trusting(&server).max_connections(1).build().unwrap();
    let url = |host: &str, path: &str| format!("https://{host}:{}{path}", server.port());
    let (first, second, third, ()) = tokio::join!(
        send(&network, post(&url("a.test", "/wait"), "x")),
        send(&network, post(&url("b.test", "/second"), "x")),
        // The open connection serves this request, too.
        send(&network, post(&url("a.test", "/third"), "x")),
        async {
            server.wait_for(2).await;
            gate.notify_one();
        }
    );
    assert_eq!([first, second, third], [OK; 3]);
    assert_eq!(targets(&server), ["/wait", "/third", "/second"]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn requests_for_the_open_connection_do_not_starve_one_for_a_new_one() {
    const PASSING: usize = 32;
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start_http2(gated(&gate)).await;
    let network = trusting(&server).max_connections_per_origin(1).build().unwrap();
    let mut first = Box::pin(send(&network, post(&server.url("/wait"), "x")));
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        _ = server.wait_for(1) => {}
    }
    let mut own = post(&server.url("/own"), "x");
    own.force_new_connection = true;
    let mut own = Box::pin(send(&network, own));
    assert!(poll!(&mut own).is_pending());
    for _ in 0..PASSING {
        assert_eq!(send(&network, post(&server.url("/pass"), "x")).await, OK);
        assert!(poll!(&mut own).is_pending());
    }
    let mut last = Box::pin(send(&network, post(&server.url("/last"), "x")));
    assert!(poll!(&mut last).is_pending());
    gate.notify_one();
    let (first, own, last) = tokio::join!(first, own, last);
    assert_eq!([first, own, last], [OK; 3]);
    assert_eq!(targets(&server)[1 + PASSING..], ["/own", "/last"]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn request_dropped_while_it_waits_gives_up_its_place() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start(gated(&gate)).await;
    let network = builder().max_connections_per_origin(1).build().unwrap();
    let mut first = Box::pin(send(&network, post(&server.url("/wait"), "x")));
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        _ = server.wait_for(1) => {}
    }
    let mut second = Box::pin(send(&network, post(&server.url("/second"), "x")));
    let mut third = Box::pin(send(&network, post(&server.url("/third"), "x")));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    drop(second);
    gate.notify_one();
    assert_eq!(first.await, OK);
    assert_eq!(third.await, OK);
    assert_eq!(targets(&server), ["/wait", "/third"]);
}

#[tokio::test]
async fn room_granted_to_a_request_that_is_dropped_goes_to_the_next() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start(gated(&gate)).await;
    let network = builder().max_connections_per_origin(1).build().unwrap();
    let mut first = Box::pin(send(&network, post(&server.url("/wait"), "x")));
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        _ = server.wait_for(1) => {}
    }
    let mut second = Box::pin(send(&network, post(&server.url("/second"), "x")));
    let mut third = Box::pin(send(&network, post(&server.url("/third"), "x")));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    gate.notify_one();
    assert_eq!(first.await, OK);
    // By now the room belongs to the second request, which has not been polled since.
    drop(second);
    assert_eq!(third.await, OK);
    assert_eq!(targets(&server), ["/wait", "/third"]);
}

#[tokio::test]
async fn lost_connection_makes_room_for_waiting_requests() {
    let server = RecordingServer::start(|request| match &*request.target {
        "/lost" => Behavior::Reset,
        _ => Behavior::with_headers(204, &[("connection", "close")]),
    })
    .await;
    let network = builder().max_connections_per_origin(1).build().unwrap();
    let (lost, answers) = tokio::join!(
        send(&network, post(&server.url("/lost"), "x")),
        join_all((0..5).map(|_| send(&network, post(&server.url("/"), "x")))),
    );
    assert!(lost.is_err());
    assert_eq!(answers, [OK; 5]);
    assert_eq!((server.requests().len(), server.connections()), (6, 6));
}

#[tokio::test]
async fn connect_timeout_does_not_run_while_a_request_waits_for_room() {
    let gate = Arc::new(Notify::new());
    let server = RecordingServer::start(gated(&gate)).await;
    let network = builder()
        .max_connections(1)
        .connect_timeout(Duration::from_secs(30))
        .response_head_timeout(Duration::from_secs(1_000_000))
        .build()
        .unwrap();
    let url = format!("http://b.test:{}/", server.port());
    let (first, second, ()) = tokio::join!(
        send(&network, post(&server.url("/wait"), "x")),
        send(&network, post(&url, "x")),
        async {
            server.wait_for(1).await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(3600)).await;
            tokio::time::resume();
            gate.notify_one();
        }
    );
    assert_eq!([first, second], [OK; 2]);
}

/// Sends and drops requests of all kinds. Afterwards, `MAX` connections can still be open at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_in_the_pool_is_lost_however_requests_end() {
    const MAX: usize = 3;
    let behavior = |request: &RecordedRequest| match request.target.as_bytes()[1] {
        b'0' => Behavior::Hang,
        b'1' => Behavior::Reset,
        b'2' => Behavior::with_headers(204, &[("keep-alive", "timeout=0")]),
        b'3' => Behavior::with_body(200, &[], &vec![b'x'; 100_000]),
        _ => Behavior::status(204),
    };
    let plain = RecordingServer::start(behavior).await;
    let secure = RecordingServer::start_http2(behavior).await;
    let network =
        trusting(&secure).max_connections_per_origin(2).max_connections(MAX).build().unwrap();
    let network = Arc::new(network);
    let tasks = (0..400_usize).map(|i| {
        let network = Arc::clone(&network);
        let url = match i % 4 {
            0 => secure.url(&format!("/{}", i % 7)),
            // The certificate does not name this host.
            1 => format!("https://x.localhost:{}/", secure.port()),
            2 => format!("http://b.test:{}/{}", plain.port(), i % 7),
            _ => plain.url(&format!("/{}", i % 7)),
        };
        tokio::spawn(async move {
            let mut request = post(&url, "x");
            request.force_new_connection = i % 11 == 0;
            let mut fetch = Box::pin(send(&network, request));
            for _ in 0..i % 40 {
                if poll!(&mut fetch).is_ready() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            // Drops the requests that hang, and some of the others.
            if url.ends_with("/0") || i % 3 == 0 {
                return;
            }
            let _ = fetch.await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }

    let urls = ["127.0.0.1", "a.test", "b.test"]
        .map(|host| format!("http://{host}:{}/0?last", plain.port()));
    let all_at_once = async {
        let is_last = |request: &&RecordedRequest| request.target == "/0?last";
        let mut requests = plain.requests();
        while requests.iter().filter(is_last).count() < MAX {
            requests = plain.wait_for(requests.len() + 1).await;
        }
    };
    tokio::select! {
        answers = join_all(urls.iter().map(|url| send(&network, post(url, "x")))) => {
            panic!("{answers:?}")
        }
        () = all_at_once => {}
    }
}
