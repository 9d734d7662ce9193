//! A connection that closes at the very moment at which a request is written.

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use rustls::crypto::ring;
use sendbeacon_fetch::{
    Nonce, PartitionKey, Site,
    host::{ConnectionKey, RefuseAll},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use url::Url;

use super::*;
use crate::pool::lease::Checkout;
use crate::{
    address_space::AddressSpaces,
    connection::OpenConnection,
    http1::Http1Connection,
    pool::state::Limits,
    proxy::{authorizations::ProxyAuthorizations, routes::NoProxies},
    resolve::Names,
    resolver::SystemResolver,
    tls::{Tls, TlsSettings},
};

fn sender() -> RequestSender {
    let time = Duration::from_secs(60);
    let provider = Arc::new(ring::default_provider());
    RequestSender {
        connector: Connector {
            names: Names::new(HashMap::new(), Arc::new(SystemResolver::default())),
            address_spaces: AddressSpaces::default(),
            authorizations: ProxyAuthorizations::new(Arc::new(NoProxies)),
            send_queues: None,
            timeout: time,
            tls: Tls::new(TlsSettings { provider, platform_roots: false, extra_roots: Vec::new() }),
        },
        pool: Arc::new(Pool::new(Limits {
            http1_idle: time,
            http2_idle: time,
            per_group: 1,
            overall: 1,
        })),
        targets: Targets::default(),
        local_network_access: Arc::new(RefuseAll),
        response_head_timeout: time,
        resend_policy: ResendPolicy::default(),
    }
}

/// The server's end closes just before the request is written, when the pool has already found the
/// connection good.
#[tokio::test]
async fn request_given_to_a_connection_that_has_just_closed_is_sent_on_another() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let partition =
        PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(0)), second_key: None };
    let url = Url::parse(&server.url("/")).unwrap();
    let connection = ConnectionKey::new(partition, false);
    let request =
        NetworkRequest::new(Method::POST, url, connection).with_body(Bytes::from_static(b"once"));
    let sender = sender();

    let (client_end, server_end) = tokio::io::duplex(1024);
    let mut connection = Http1Connection::open(Box::new(client_end), false, None).await.unwrap();
    connection.sender.ready().await.unwrap();
    let key = Arc::new(sender.pool.key(&request, None).unwrap());
    let Ok(Checkout::Room(room)) = sender.pool.checkout(&key, false).await else {
        panic!("there is room");
    };
    let Ok(ConnectionLease::Http1(lease)) = room.fill(Ok(OpenConnection::Http1(connection))) else {
        panic!("it is HTTP/1.1");
    };
    lease.give_back();
    drop(server_end);
    // Nothing else runs on this thread before the pool is asked.
    let Ok(Checkout::Open(ConnectionLease::Http1(mut lease))) =
        sender.pool.checkout(&key, false).await
    else {
        panic!("a connection that does not know of its end yet");
    };
    assert!(lease.is_ready().await);
    lease.give_back();

    let fetching = sender.fetch(request, None);
    // Larger allocations than this are slow.
    assert!(size_of_val(&fetching) <= 1024, "{}", size_of_val(&fetching));
    let response = fetching.await.unwrap();
    assert_eq!(response.status, 204);
    let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"once"]);
}
