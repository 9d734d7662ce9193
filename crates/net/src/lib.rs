//! The network of `sendbeacon`: [`Network`] over hyper and rustls, on tokio.
//!
//! [`HyperNetwork`] is everything below
//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch) for an engine without a
//! network stack of its own: HTTP/1.1, TLS with the platform's roots, and a
//! [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool) that shares no
//! connection and no TLS session between network partitions, origins, and requests with and without
//! credentials.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use sendbeacon_fetch::host::{Network, NetworkRequest};
//! use sendbeacon_net::HyperNetwork;
//!
//! # async fn example(request: NetworkRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let network = HyperNetwork::builder()
//!     .add_root_certificates_pem(&std::fs::read("corporate-ca.pem")?)?
//!     .connect_timeout(Duration::from_secs(10))
//!     .build();
//! let response = network.http_network_fetch(request).await?;
//! println!("{}", response.status);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it runs
//!
//! A fetch is to be polled within a tokio runtime that has I/O and time enabled; outside of one,
//! tokio panics. Every connection is a task spawned on the runtime that polls the fetch which opens
//! it, and later fetches use that connection from wherever they are polled: let the runtime live
//! as long as the network. Host names are looked up, and the platform's root certificates are read,
//! on the runtime's blocking threads. Idle connections need no timer: the pool looks at their age
//! when it is next used.
//!
//! # At most once
//!
//! A request is written again only when its connection turned out to be closed before any byte of
//! it was written. A connection lost later is an error, whether or not the server has acted on
//! the request.

mod body;
mod builder;
mod connect;
mod connection;
mod pool;
mod request;
mod resolve;
mod tls;

use std::{error::Error, fmt, iter, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use sendbeacon_fetch::{
    NetworkError, TimeoutKind,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse, ResponseBody},
};
use tokio::time::timeout;

use self::{
    body::Body,
    connect::Connector,
    connection::Connection,
    pool::{Lease, Pool, PoolKey},
    request::wire_request,
};
pub use self::{builder::HyperNetworkBuilder, tls::RootCertificateError};

/// How often a request is given to a connection before we stop believing that the server keeps one
/// open.
const MAX_CONNECTIONS_PER_REQUEST: usize = 3;

/// [`Network`] over hyper: HTTP/1.1 with a partitioned connection pool.
///
/// Dropping it closes the idle connections; those in use are closed when they are done.
pub struct HyperNetwork {
    connector: Connector,
    pool: Arc<Pool>,
    response_head_timeout: Duration,
}

impl HyperNetwork {
    /// A builder with the default settings.
    #[must_use]
    pub fn builder() -> HyperNetworkBuilder {
        HyperNetworkBuilder::default()
    }

    async fn fetch(&self, request: NetworkRequest) -> Result<NetworkResponse, NetworkError> {
        let key = PoolKey::of(&request)?;
        let force_new_connection = request.force_new_connection;
        let mut unsent = wire_request(request)?;
        let mut idle = if force_new_connection { None } else { self.pool.take(&key).await };
        for _ in 0..MAX_CONNECTIONS_PER_REQUEST {
            // Where one idle connection was dead its siblings probably are: only the first try
            // uses one.
            let mut connection = match idle.take() {
                Some(connection) => connection,
                // Boxed, so that a request on a connection that is there takes no room for it.
                None => Box::pin(self.connector.connect(&key)).await?,
            };
            let answer = connection.sender.try_send_request(unsent);
            let after = self.response_head_timeout;
            match timeout(after, answer).await {
                Err(_) => {
                    return Err(NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after });
                }
                Ok(Ok(response)) => return self.response(key, connection, response),
                Ok(Err(mut error)) => match error.take_message() {
                    // Not a byte of it was written, so it may be sent again.
                    Some(request) => unsent = request,
                    None => return Err(protocol_error(&error.into_error())),
                },
            }
        }
        Err(NetworkError::Protocol(format!(
            "{key} closed {MAX_CONNECTIONS_PER_REQUEST} connections before a request was written"
        )))
    }

    fn response(
        &self,
        key: PoolKey,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<NetworkResponse, NetworkError> {
        let (head, incoming) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NetworkError::Protocol("101 without an Upgrade request".to_owned()));
        }
        let lease = Lease::new(&self.pool, key, connection, &head.headers);
        let body: ResponseBody = if incoming.is_end_stream() {
            // Nobody need read an empty body for its connection to be of use again.
            lease.give_back();
            Box::pin(None::<Bytes>)
        } else {
            Box::pin(Body::new(incoming, lease))
        };
        Ok(NetworkResponse { status: head.status, headers: head.headers, body })
    }
}

impl Network for HyperNetwork {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(self.fetch(request))
    }

    fn network_changed(&self) {
        self.pool.clear();
    }
}

impl fmt::Debug for HyperNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperNetwork").finish_non_exhaustive()
    }
}

/// A request as hyper takes it.
type WireRequest = Request<Full<Bytes>>;

fn protocol_error(error: &hyper::Error) -> NetworkError {
    NetworkError::Protocol(describe(error))
}

/// An error and what caused it, on one line.
fn describe(error: &(dyn Error + 'static)) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use sendbeacon_fetch::{PartitionKey, Site, host::ConnectionKey};
    use sendbeacon_testkit::server::{Behavior, RecordingServer};
    use url::Url;

    use super::*;

    /// The server's end closes just before the request is written, when the pool has already
    /// found the connection good.
    #[tokio::test]
    async fn request_given_to_a_connection_that_has_just_died_is_sent_on_another() {
        let server = RecordingServer::start(|_| Behavior::status(204)).await;
        let partition = PartitionKey { top_level_site: Site::Opaque(0), second_key: None };
        let request = NetworkRequest {
            method: Method::POST,
            url: Url::parse(&server.url("/")).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"once"),
            connection: ConnectionKey { partition, credentials: false },
            force_new_connection: false,
        };
        let network = HyperNetwork::builder().build();

        let (client_end, server_end) = tokio::io::duplex(1024);
        let mut connection = Connection::open(client_end).await.unwrap();
        connection.sender.ready().await.unwrap();
        let key = PoolKey::of(&request).unwrap();
        Lease::new(&network.pool, key.clone(), connection, &HeaderMap::new()).give_back();
        drop(server_end);
        // Nothing else runs on this thread before the pool is asked.
        let idle = network.pool.take(&key).await;
        let idle = idle.expect("a connection that does not know of its end yet");
        Lease::new(&network.pool, key, idle, &HeaderMap::new()).give_back();

        let response = network.http_network_fetch(request).await.unwrap();
        assert_eq!(response.status, 204);
        let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"once"]);
    }
}
