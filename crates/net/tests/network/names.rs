//! Host names: what the resolver is asked, and which addresses are tried.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use sendbeacon_fetch::{
    ErrorDetail, NetworkError, PartitionKey, Site,
    host::{Answer, Network},
};
use sendbeacon_net::{HttpNetwork, Resolved, Resolver};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::net::TcpSocket;

use crate::support::{connection_key, post, send};

/// A resolver that gives the same addresses for every name but one, and records the questions.
#[derive(Default)]
struct Scripted {
    addresses: Vec<IpAddr>,
    asked: Mutex<Vec<(String, u128)>>,
}

impl Resolver for Scripted {
    fn resolve(&self, name: &str, partition: &PartitionKey) -> Answer<io::Result<Resolved>> {
        let Site::Opaque(site) = partition.top_level_site else { panic!("{partition:?}") };
        self.asked.lock().unwrap().push((name.to_owned(), site.to_u128()));
        if name == "nx.example" {
            return Answer::Ready(Err(io::Error::other("no such name")));
        }
        let addresses = self.addresses.clone();
        Answer::Later(Box::pin(async { Ok(Resolved::new(addresses)) }))
    }
}

/// A network that keeps no connections, and whose names all have these addresses.
fn network(addresses: &[&str]) -> (HttpNetwork, Arc<Scripted>) {
    let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    let resolver = Arc::new(Scripted { addresses, ..Scripted::default() });
    let builder = HttpNetwork::builder().idle_timeout(Duration::ZERO);
    (builder.resolver(resolver.clone()).build().unwrap(), resolver)
}

#[tokio::test]
async fn resolver_is_asked_once_for_a_name_in_each_partition() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (network, resolver) = network(&["127.0.0.1"]);
    for (host, site) in [("a.test", 1), ("A.test", 1), ("a.test", 2), ("b.test", 1), ("a.test", 2)]
    {
        let mut request = post(&format!("http://{host}:{}/", server.port()), "x");
        request.connection = connection_key(site, true);
        send(&network, request.clone()).await.unwrap();
        // The credentials flag makes no difference to names.
        request.connection.credentials = false;
        send(&network, request).await.unwrap();
    }
    let asked = [("a.test", 1), ("a.test", 2), ("b.test", 1)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!(*resolver.asked.lock().unwrap(), asked);
    assert_eq!(server.requests().len(), 10);

    network.network_changed();
    send(&network, post(&format!("http://a.test:{}/", server.port()), "x")).await.unwrap();
    assert_eq!(resolver.asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn resolver_is_not_asked_for_localhost_addresses_and_mapped_names() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let resolver = Arc::new(Scripted::default());
    let network = HttpNetwork::builder()
        .resolver(resolver.clone())
        .add_host_mapping("mapped.test", [127, 0, 0, 1].into())
        .build()
        .unwrap();
    for host in ["localhost", "x.localhost.", "127.0.0.1", "mapped.test"] {
        send(&network, post(&format!("http://{host}:{}/", server.port()), "x")).await.unwrap();
    }
    assert!(resolver.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn failure_of_the_resolver_is_a_dns_error_with_its_reason() {
    let (network, _) = network(&[]);
    let failed = ErrorDetail::new("no such name").with_kind(io::ErrorKind::Other);
    for (host, reason) in [("nx.example", failed), ("a.test", "it has no addresses".into())] {
        let error = send(&network, post(&format!("http://{host}/"), "x")).await.unwrap_err();
        assert_eq!(error, NetworkError::Dns { host: host.to_owned(), reason });
    }
}

#[tokio::test]
async fn next_address_is_tried_when_one_refuses() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    // A bound socket that does not listen reserves the port and refuses connections.
    let refusing = TcpSocket::new_v6().unwrap();
    refusing.bind(SocketAddr::from((Ipv6Addr::LOCALHOST, server.port()))).unwrap();
    let (network, _) = network(&["::1", "::1", "127.0.0.1"]);
    let url = format!("http://a.test:{}/", server.port());
    assert_eq!(send(&network, post(&url, "x")).await, Ok((204, vec![])));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn next_address_is_tried_while_one_is_silent() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    // Nobody accepts connections there. Once the queue is full, the system does not answer either.
    let silent = TcpSocket::new_v6().unwrap();
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, server.port()));
    silent.bind(address).unwrap();
    let _silent = silent.listen(1).unwrap();
    let mut queue = Vec::new();
    while let Ok(tcp) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queue.push(tcp);
    }
    let (network, _) = network(&["::1", "::1", "127.0.0.1"]);
    let url = format!("http://a.test:{}/", server.port());
    assert_eq!(send(&network, post(&url, "x")).await, Ok((204, vec![])));
    assert_eq!(server.connections(), 1);
}
