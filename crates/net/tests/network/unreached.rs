//! Requests that do not reach their server: which errors say that the request may be sent again.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use sendbeacon_fetch::{NetworkError, PartitionKey, TimeoutKind, host::Answer};
use sendbeacon_net::{Resolved, Resolver};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{
    proxies::through,
    support::{after, builder, post, send},
};

/// Sends a request to a server that does `something` with the connection. Returns the error.
async fn error_of<F: Future<Output = ()>>(something: impl FnOnce(TcpStream) -> F) -> NetworkError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let network = builder().build().unwrap();
    let (answer, ()) = tokio::join!(send(&network, post(&url, "x")), async {
        let (tcp, _) = listener.accept().await.unwrap();
        something(tcp).await;
    });
    answer.unwrap_err()
}

/// Reads the beginning of the TLS handshake.
async fn hello(tcp: &mut TcpStream) {
    tcp.read_exact(&mut [0; 5]).await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_has_not_reached_the_server() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let error = send(&builder().build().unwrap(), post(&url, "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Connect(_)) && error.is_unreached(), "{error:?}");
}

#[tokio::test]
async fn a_tls_handshake_that_is_cut_off_has_not_reached_the_server() {
    let ended = error_of(async |mut tcp| {
        hello(&mut tcp).await;
        // Everything is read, so that the close is no reset.
        while tcp.try_read(&mut [0; 4096]).is_ok() {}
        tcp.shutdown().await.unwrap();
    })
    .await;
    let reset = error_of(async |mut tcp| {
        hello(&mut tcp).await;
        tcp.set_zero_linger().unwrap();
    })
    .await;
    for (error, kind) in [(ended, ErrorKind::UnexpectedEof), (reset, ErrorKind::ConnectionReset)] {
        assert!(matches!(error, NetworkError::Tls(_)) && error.is_unreached(), "{error:?}");
        assert_eq!(error.io_kind(), Some(kind));
    }
}

#[tokio::test]
async fn an_alert_or_a_wrong_certificate_is_the_answer_of_the_server() {
    let alert = error_of(async |mut tcp| {
        hello(&mut tcp).await;
        // A fatal alert: handshake_failure.
        tcp.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
    })
    .await;
    let server = RecordingServer::start_tls(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    let certificate = send(&network, post(&server.url("/"), "x")).await.unwrap_err();
    for error in [alert, certificate] {
        assert!(matches!(error, NetworkError::Tls(_)) && !error.is_unreached(), "{error:?}");
    }
}

#[tokio::test]
async fn a_request_may_take_less_time_to_connect_than_the_network_allows() {
    // The server accepts connections, and never answers the TLS handshake.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let mut request = post(&url, "x");
    let limit = Duration::from_secs(10);
    request.connect_timeout = Some(limit);
    let network = builder().connect_timeout(Duration::from_secs(30)).build().unwrap();
    let mut accepted = None;
    let accept = async { accepted = silent.accept().await.ok() };
    let error = after(limit, accept, send(&network, request)).await.unwrap_err();
    assert_eq!(error, NetworkError::Timeout { kind: TimeoutKind::Connect, after: limit });
    assert!(error.is_unreached());
}

/// Fails with the error of this kind.
struct Fails(ErrorKind);

impl Resolver for Fails {
    fn resolve(&self, _: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
        Answer::Ready(Err(self.0.into()))
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_may_do_so_later_unless_secure_dns_has_failed() {
    for (kind, is_unreached) in [
        (ErrorKind::Other, true),
        (ErrorKind::TimedOut, true),
        (ErrorKind::InvalidData, false),
        (ErrorKind::PermissionDenied, false),
    ] {
        let network = builder().resolver(Arc::new(Fails(kind))).build().unwrap();
        let error = send(&network, post("http://nx.test/", "x")).await.unwrap_err();
        assert!(matches!(error, NetworkError::Dns { .. }), "{error:?}");
        assert_eq!(error.is_unreached(), is_unreached, "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_final_and_one_that_cannot_be_reached_is_not() {
    let proxy = RecordingServer::start(|_| Behavior::status(503)).await;
    let network = through(&[&proxy.url("")]).build().unwrap();
    let refused = send(&network, post("https://a.test/", "x")).await.unwrap_err();
    assert!(matches!(refused, NetworkError::Proxy(_)) && !refused.is_unreached(), "{refused:?}");

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let network = through(&[&format!("http://{}", socket.local_addr().unwrap())]).build().unwrap();
    let away = send(&network, post("https://a.test/", "x")).await.unwrap_err();
    assert!(matches!(away, NetworkError::Connect(_)) && away.is_unreached(), "{away:?}");
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request_was_written_may_have_reached_the_server() {
    for behavior in [Behavior::Close, Behavior::Reset] {
        let server = RecordingServer::start(move |_| behavior.clone()).await;
        let network = builder().build().unwrap();
        let error = send(&network, post(&server.url("/"), "x")).await.unwrap_err();
        assert!(matches!(error, NetworkError::Protocol(_)) && !error.is_unreached(), "{error:?}");
    }
}
