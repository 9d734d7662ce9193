//! The Local Network Access check, before connecting and on open connections.

use std::{
    io,
    net::{Ipv6Addr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::poll;
use sendbeacon_fetch::{
    AddressSpace::{self, Local, Loopback, Public},
    Client, NetworkError, Nonce,
    host::{Answer, LocalNetworkAccess, NetworkRequest},
};
use sendbeacon_net::{HttpNetwork, ProxyRules};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::sync::Notify;
use url::Url;

use crate::support::{Everything, builder, pass, post, send, trusting};

/// A request of the document at `page`, which was loaded from an address in `space`.
fn request_of(page: &str, space: Option<AddressSpace>, url: &str) -> NetworkRequest {
    let mut client = Client::new(Url::parse(page).unwrap(), Nonce::from_u128(1));
    client.address_space = space;
    post(url, "x").with_client(Arc::new(client))
}

/// Answers `permits` once its gate opens, and records the questions.
struct Permission {
    permits: bool,
    gate: Arc<Notify>,
    asked: Mutex<Vec<(String, String, AddressSpace)>>,
}

impl Permission {
    fn new(permits: bool) -> Arc<Self> {
        let gate = Arc::new(Notify::new());
        Arc::new(Self { permits, gate, asked: Mutex::default() })
    }
}

impl LocalNetworkAccess for Permission {
    fn permits(&self, client: &Client, url: &Url, target: AddressSpace) -> Answer<bool> {
        let asked = (client.origin.to_string(), url.to_string(), target);
        self.asked.lock().unwrap().push(asked);
        let (permits, gate) = (self.permits, Arc::clone(&self.gate));
        Answer::Later(Box::pin(async move {
            gate.notified().await;
            permits
        }))
    }
}

const PAGE: &str = "https://page.test/";

#[tokio::test]
async fn less_public_address_is_refused_before_connecting() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    for target in [Loopback, Local, Public] {
        for client in [Loopback, Local, Public] {
            let network = builder().add_address_space(&server.addr().to_string(), target).unwrap();
            let request = request_of(PAGE, Some(client), &server.url("/"));
            let answer = send(&network.build().unwrap(), request).await;
            let expected = if target < client {
                Err(NetworkError::LocalNetworkAccess { client, target })
            } else {
                Ok((204, vec![]))
            };
            assert_eq!(answer, expected, "{client} to {target}");
        }
    }
    // No refused request made a connection.
    assert_eq!(server.requests().len(), 6);
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn request_without_a_known_client_address_space_is_not_refused() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    send(&network, request_of(PAGE, None, &server.url("/"))).await.unwrap();
    send(&network, post(&server.url("/"), "x")).await.unwrap();
}

#[tokio::test]
async fn same_trustworthy_origin_is_never_refused() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    // A plain http URL is potentially trustworthy if its host is a loopback address or localhost.
    for (host, is_trustworthy) in [("127.0.0.1", true), ("localhost", true), ("a.test", false)] {
        let url = format!("http://{host}:{}/", server.port());
        let answer = send(&network, request_of(&url, Some(Public), &url)).await;
        assert_eq!(answer.is_ok(), is_trustworthy, "{answer:?}");
    }
}

#[tokio::test]
async fn open_connection_is_refused_to_a_client_that_may_not_reach_it() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().build().unwrap();
    send(&network, request_of(PAGE, Some(Loopback), &server.url("/"))).await.unwrap();
    let refused = NetworkError::LocalNetworkAccess { client: Public, target: Loopback };
    let answer = send(&network, request_of(PAGE, Some(Public), &server.url("/"))).await;
    assert_eq!(answer, Err(refused));
    assert_eq!(server.requests().len(), 1);
}

/// Without the Local Network Access check, these requests would be blocked as mixed content.
#[tokio::test]
async fn mixed_content_goes_only_to_addresses_that_are_known_to_be_local() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let url = format!("http://printer.local:{}/", server.port());
    let permission = Permission::new(true);
    for target in [Local, Loopback, Public] {
        let network = builder()
            .add_host_mapping("printer.local", server.addr().ip())
            .add_address_space("127.0.0.0/8", target)
            .unwrap()
            .local_network_access(permission.clone())
            .build()
            .unwrap();
        permission.gate.notify_one();
        let answer = send(&network, request_of(PAGE, Some(Public), &url)).await;
        let refusal = NetworkError::LocalNetworkAccess { client: Public, target };
        assert_eq!(answer, if target == Local { Ok((204, vec![])) } else { Err(refusal) });
    }

    // A proxy does not tell where it connects.
    let proxy = format!("http://{}", server.addr());
    let proxies = ProxyRules::new(&proxy, "", "");
    let network = builder().proxies(Arc::new(proxies)).build().unwrap();
    let answer = send(&network, request_of(PAGE, Some(Public), &url)).await;
    let refusal = NetworkError::LocalNetworkAccess { client: Public, target: Public };
    assert_eq!(answer, Err(refusal));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn permission_may_take_longer_than_the_connect_timeout() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let permission = Permission::new(true);
    let network = builder()
        .local_network_access(permission.clone())
        .connect_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let request = request_of(PAGE, Some(Public), &server.url("/"));
    tokio::time::pause();
    let (answer, ()) = tokio::join!(send(&network, request.clone()), async {
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(server.connections(), 0);
        permission.gate.notify_one();
        tokio::time::resume();
    });
    assert_eq!(answer, Ok((204, vec![])));

    // The network asks for the next request, too, although the connection is open.
    permission.gate.notify_one();
    send(&network, request).await.unwrap();
    assert_eq!(server.connections(), 1);
    let asked = ("https://page.test".to_owned(), server.url("/"), Loopback);
    assert_eq!(*permission.asked.lock().unwrap(), [asked.clone(), asked]);
}

#[tokio::test]
async fn request_that_waits_for_a_permission_holds_no_room_or_connection() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let permission = Permission::new(true);
    let network = builder()
        .max_connections(1)
        .idle_timeout(Duration::from_secs(2))
        .local_network_access(permission.clone())
        .build()
        .unwrap();
    let asking = || send(&network, request_of(PAGE, Some(Public), &server.url("/asking")));
    let other = async || {
        let request = request_of(PAGE, Some(Loopback), &server.url("/other"));
        assert_eq!(send(&network, request).await, Ok((204, vec![])));
    };
    // The first request makes a connection. The second request is given an open one.
    for connections in 1..=2 {
        let mut first = Box::pin(asking());
        while permission.asked.lock().unwrap().len() < connections {
            assert!(poll!(&mut first).is_pending());
            tokio::task::yield_now().await;
        }
        other().await;
        assert_eq!(server.connections(), connections);
        // The open connection becomes too old meanwhile, so the request gets another one.
        pass(Duration::from_secs(2)).await;
        permission.gate.notify_one();
        assert_eq!(first.await, Ok((204, vec![])));
        assert_eq!(server.connections(), connections + 1);
    }
    assert_eq!(permission.asked.lock().unwrap().len(), 2, "once each");
}

#[tokio::test]
async fn connection_given_back_unused_keeps_its_age() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().idle_timeout(Duration::from_secs(2)).build().unwrap();
    let request_in = |space| request_of(PAGE, Some(space), &server.url("/"));
    send(&network, request_in(Loopback)).await.unwrap();
    for _ in 0..2 {
        pass(Duration::from_secs(1)).await;
        send(&network, request_in(Public)).await.unwrap_err();
    }
    send(&network, request_in(Loopback)).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn denied_permission_is_a_local_network_access_error() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let permission = Permission::new(false);
    permission.gate.notify_one();
    let network = builder().local_network_access(permission).build().unwrap();
    let answer = send(&network, request_of(PAGE, Some(Local), &server.url("/"))).await;
    let refused = NetworkError::LocalNetworkAccess { client: Local, target: Loopback };
    assert_eq!(answer, Err(refused));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn permission_is_not_asked_for_outside_a_secure_context() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let permission = Permission::new(true);
    let network = builder().local_network_access(permission.clone()).build().unwrap();
    let page = "http://page.test/";
    let answer = send(&network, request_of(page, Some(Public), &server.url("/"))).await;
    let refused = NetworkError::LocalNetworkAccess { client: Public, target: Loopback };
    assert_eq!(answer, Err(refused));
    assert_eq!(*permission.asked.lock().unwrap(), []);
}

#[tokio::test]
async fn only_the_permitted_addresses_of_a_name_are_used() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let first = TcpListener::bind((Ipv6Addr::LOCALHOST, server.port())).unwrap();
    first.set_nonblocking(true).unwrap();
    let resolver = Arc::new(Everything(vec![Ipv6Addr::LOCALHOST.into(), server.addr().ip()]));
    let network = HttpNetwork::builder().resolver(resolver).add_address_space("127.0.0.1", Public);
    let network = network.unwrap().build().unwrap();
    let url = format!("http://a.test:{}/", server.port());
    assert_eq!(send(&network, request_of(PAGE, Some(Public), &url)).await, Ok((204, vec![])));
    assert_eq!(first.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn http2_connection_is_made_and_used_by_permitted_clients_only() {
    let server = RecordingServer::start_http2(|_| Behavior::status(204)).await;
    let permission = Permission::new(false);
    let network = trusting(&server).local_network_access(permission.clone()).build().unwrap();
    let refused = NetworkError::LocalNetworkAccess { client: Public, target: Loopback };
    // In the first round, the refused request would make the connection for both. In the second round, it
    // finds the connection open.
    for _ in 0..2 {
        let (first, second, ()) = tokio::join!(
            send(&network, request_of(PAGE, Some(Public), &server.url("/"))),
            send(&network, request_of(PAGE, None, &server.url("/"))),
            async { permission.gate.notify_one() },
        );
        assert_eq!(first, Err(refused.clone()));
        assert_eq!(second, Ok((204, vec![])));
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 2);
}
