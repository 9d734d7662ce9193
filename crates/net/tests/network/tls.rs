//! TLS: whom the network trusts, and whose sessions it resumes.

use std::{
    error::Error,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom, ring};
use sendbeacon_fetch::NetworkError;
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::support::{builder, connection_key, post, send, trusting};

#[tokio::test]
async fn added_root_certificate_is_trusted_for_names_and_addresses() {
    let server = RecordingServer::start_tls(|_| Behavior::with_body(200, &[], b"ok")).await;
    let network = trusting(&server).build().unwrap();
    for host in ["a.test", "localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/", server.port());
        let answer = send(&network, post(&url, "x")).await;
        assert_eq!(answer, Ok((200, b"ok".to_vec())), "{host}");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn tls_connection_is_reused() {
    let server = RecordingServer::start_tls(|_| Behavior::with_body(200, &[], b"ok")).await;
    let network = trusting(&server).build().unwrap();
    for _ in 0..3 {
        send(&network, post(&server.url("/"), "x")).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn unknown_root_certificate_is_a_tls_error_and_nothing_is_sent() {
    let server = RecordingServer::start_tls(|_| Behavior::status(204)).await;
    let error = send(&builder().build().unwrap(), post(&server.url("/"), "x")).await.unwrap_err();
    let NetworkError::Tls(text) = &error else { panic!("{error:?}") };
    assert!(text.message().contains("UnknownIssuer"), "{text}");
    let source = text.source().and_then(|source| source.downcast_ref::<rustls::Error>());
    assert!(matches!(source, Some(rustls::Error::InvalidCertificate(_))), "{source:?}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn certificate_for_another_name_is_a_tls_error() {
    let server = RecordingServer::start_tls(|_| Behavior::status(204)).await;
    let network =
        trusting(&server).add_host_mapping("c.test", Ipv4Addr::LOCALHOST.into()).build().unwrap();
    let url = format!("https://c.test:{}/", server.port());
    let error = send(&network, post(&url, "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn server_without_tls_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let network = builder().build().unwrap();
    let (answer, ()) = tokio::join!(send(&network, post(&url, "x")), async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    assert!(matches!(answer, Err(NetworkError::Tls(_))), "{answer:?}");
}

#[tokio::test]
async fn platform_root_certificates_are_not_trusted_if_turned_off() {
    let server = RecordingServer::start_tls(|_| Behavior::status(204)).await;
    let other = RecordingServer::start_tls(|_| Behavior::status(204)).await;
    let network = trusting(&server).platform_roots(false).build().unwrap();
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((204, vec![])));
    let error = send(&network, post(&other.url("/"), "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Tls(_)), "{error:?}");
    assert_eq!(other.requests(), []);

    let network = builder().platform_roots(false).build().unwrap();
    let error = send(&network, post(&server.url("/"), "x")).await.unwrap_err();
    let NetworkError::Tls(text) = &error else { panic!("{error:?}") };
    assert!(text.message().contains("no certificate can be verified"), "{text}");
}

#[tokio::test]
async fn session_is_resumed_in_its_own_partition_only() {
    let server = RecordingServer::start_tls(|_| Behavior::with_body(200, &[], b"ok")).await;
    // Every request makes a new connection.
    let network = trusting(&server).idle_timeout(Duration::ZERO).build().unwrap();
    let mut resumed = Vec::new();
    for (connection, (partition, credentials, host, is_resumed)) in [
        (0, true, "a.test", false),
        (0, true, "a.test", true),
        (1, true, "a.test", false),
        (0, false, "a.test", false),
        (0, true, "b.test", false),
        (1, true, "a.test", true),
        (0, false, "a.test", true),
        (0, true, "b.test", true),
        (0, true, "a.test", true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = post(&format!("https://{host}:{}/", server.port()), "x");
        request.connection = connection_key(partition, credentials);
        send(&network, request).await.unwrap();
        resumed.extend(is_resumed.then_some(connection));
        assert_eq!(server.resumed(), resumed, "{host} in {partition}, credentials {credentials}");
    }
}

#[tokio::test]
async fn cryptography_comes_from_the_given_provider() {
    /// The random numbers of ring, with a counter.
    #[derive(Debug)]
    struct Counting(AtomicUsize, &'static dyn SecureRandom);
    impl SecureRandom for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.fill(bytes)
        }
    }
    let server = RecordingServer::start_tls(|_| Behavior::status(204)).await;
    let ring = ring::default_provider();
    let random: &Counting = Box::leak(Box::new(Counting(AtomicUsize::new(0), ring.secure_random)));
    let provider = Arc::new(CryptoProvider { secure_random: random, ..ring });
    let network = trusting(&server).crypto_provider(provider).build().unwrap();
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((204, vec![])));
    assert!(random.0.load(Ordering::Relaxed) > 0);

    let nothing = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    let network = trusting(&server).crypto_provider(Arc::new(nothing)).build().unwrap();
    let error = send(&network, post(&server.url("/"), "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Tls(_)), "{error:?}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn server_without_a_common_protocol_is_a_tls_error() {
    // The server sends an alert.
    let server = RecordingServer::setup().tls(&["http/1.0"]).start(|_| Behavior::Hang).await;
    let error =
        send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await.unwrap_err();
    let NetworkError::Tls(text) = &error else { panic!("{error:?}") };
    assert!(text.message().contains("NoApplicationProtocol"), "{text}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn server_that_negotiates_no_protocol_gets_http1() {
    let server = RecordingServer::setup().tls(&[]).start(|_| Behavior::status(204)).await;
    let answer = send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await;
    assert_eq!(answer, Ok((204, vec![])));
    assert_eq!(server.requests()[0].version, "HTTP/1.1");
}

#[tokio::test]
async fn alert_after_the_handshake_is_a_protocol_error_and_not_sent_again() {
    let server =
        RecordingServer::setup().tls_for_known_clients().start(|_| Behavior::status(204)).await;
    let error =
        send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await.unwrap_err();
    let NetworkError::Protocol(text) = &error else { panic!("{error:?}") };
    assert!(text.message().contains("CertificateRequired"), "{text}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn missing_close_notify_is_an_error_only_if_the_body_is_too_short() {
    let ends = |head: &str| {
        let answer = Behavior::RespondThenHangUp(format!("HTTP/1.1 200 Fine\r\n{head}").into());
        async move {
            let server = RecordingServer::start_tls(move |_| answer.clone()).await;
            send(&trusting(&server).build().unwrap(), post(&server.url("/"), "x")).await
        }
    };
    assert_eq!(ends("\r\nall").await, Ok((200, b"all".to_vec())));
    assert_eq!(ends("Content-Length: 3\r\n\r\nall").await, Ok((200, b"all".to_vec())));
    for cut_off in
        ["Content-Length: 4\r\n\r\nall", "Transfer-Encoding: chunked\r\n\r\n3\r\nall\r\n"]
    {
        let answer = ends(cut_off).await;
        assert!(matches!(answer, Err(NetworkError::Protocol(_))), "{cut_off:?}: {answer:?}");
    }
}
