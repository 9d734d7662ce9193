//! The network of `sendbeacon`: [`Network`] over hyper and rustls, on tokio.
//!
//! [`HyperNetwork`] is everything below
//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch) for an engine without a
//! network stack of its own: HTTP/1.1 and HTTP/2, TLS with the platform's roots, and a
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
//! A fetch is to be begun and polled within a tokio runtime that has I/O and time enabled; outside of
//! one, tokio panics. Every connection is a task spawned on the runtime that polls the fetch which opens
//! it, and later fetches use that connection from wherever they are polled: let the runtime live as
//! long as the network. Requests have no tasks, unless an HTTP/2 server answers before it has taken the
//! whole body. Host names are looked up (unless by a [`Resolver`] of
//! the embedder's), and the platform's root certificates are read, on the runtime's blocking threads.
//! Idle connections need no timer: the pool looks at their age when it is next used.
//!
//! # Which way it goes
//!
//! Straight to the server, unless [`Proxies`] say otherwise; the environment's proxies are used if
//! they are asked for:
//!
//! ```
//! use std::sync::Arc;
//!
//! use sendbeacon_net::{HyperNetwork, ProxyRules};
//!
//! let proxies = Arc::new(ProxyRules::from_environment());
//! let network = HyperNetwork::builder().proxies(proxies).build();
//! ```
//!
//! Where the request has a client whose address space is known, the
//! [Local Network Access check](sendbeacon_fetch::local_network_access_check) is made before
//! connecting, and for each later request on the connection.
//!
//! # At most once
//!
//! A request is written again only when nobody can have acted on it: its connection turned out to be
//! closed before any byte of it was written, an HTTP/2 server said that it did not process it
//! (`REFUSED_STREAM`, or a `GOAWAY` that leaves it out), or a proxy answered 407 instead of passing it
//! on. That happens a few times at most. A connection lost otherwise is an error, whether or not the
//! server has acted on the request.

mod address_space;
mod body;
mod builder;
mod connect;
mod connection;
mod destination;
mod http2;
mod lease;
mod name_cache;
mod pool;
mod proxy;
mod request;
mod resolve;
mod route;
mod tls;
mod tls_close;
mod tunnel;

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    iter,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{self, Either},
};
use http::StatusCode;
use hyper::body::Body as _;
use sendbeacon_fetch::{
    AddressSpace, NetworkError, TimeoutKind,
    host::{
        BoxFuture, EmptyBody, LocalNetworkAccess, Network, NetworkRequest, NetworkResponse,
        ResponseBody,
    },
};
use tokio::time::timeout;

use self::{
    address_space::AccessCheck,
    body::{Http1Body, Http2Body, Progress},
    connect::Connector,
    http2::{Failure, Reading, Upload},
    lease::{Http1Lease, Http2Lease, Lease, Room},
    pool::{Checkout, Pool, PoolKey},
    request::{WireRequest, wire_request},
};
pub use self::{
    address_space::AddressesError,
    builder::HyperNetworkBuilder,
    proxy::{Proxies, Proxy, ProxyError, ProxyRules, Route},
    resolve::{Resolved, Resolver},
    tls::RootCertificateError,
};

/// How often a request is given to a connection before we stop believing that one will take it.
const MAX_ATTEMPTS: usize = 3;

/// [`Network`] over hyper: HTTP/1.1 and HTTP/2 with a partitioned connection pool.
///
/// Dropping it closes the idle connections; those in use are closed when they are done.
pub struct HyperNetwork {
    connector: Connector,
    pool: Arc<Pool>,
    local_network_access: Arc<dyn LocalNetworkAccess>,
    response_head_timeout: Duration,
}

impl HyperNetwork {
    /// A builder with the default settings.
    #[must_use]
    pub fn builder() -> HyperNetworkBuilder {
        HyperNetworkBuilder::default()
    }

    fn fetch(
        &self,
        request: NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> impl Future<Output = Result<NetworkResponse, NetworkError>> + Send {
        match self.wired(request, proxy) {
            Ok(wired) => Either::Left(self.send(wired)),
            Err(error) => Either::Right(future::ready(Err(error))),
        }
    }

    /// The request, and what is to be known of it to send it: all that its future has to keep.
    fn wired(
        &self,
        request: NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<Wired<'_>, NetworkError> {
        let key = Arc::new(self.pool.key(&request, proxy)?);
        Ok(Wired {
            check: AccessCheck::of(&request, &*self.local_network_access).map(Box::new),
            needs_new: request.force_new_connection,
            request: Box::new(wire_request(request, key.is_to_proxy())?),
            key,
        })
    }

    async fn send(&self, wired: Wired<'_>) -> Result<NetworkResponse, NetworkError> {
        let Wired { key, check, needs_new, request: mut unsent } = wired;
        let mut room = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let lease =
                self.obtain_a_connection(&key, needs_new, room.take(), check.as_deref()).await?;
            let reason = match lease {
                Lease::Http1(lease) => match self.fetch_over_http1(lease, unsent).await? {
                    Attempt::Answered(response) => return Ok(response),
                    Attempt::Unsent(again) => {
                        let Unsent { request, lease, reason } = *again;
                        unsent = request;
                        // Where one idle connection was dead its siblings probably are.
                        room = Some(lease.into_room(&self.pool));
                        reason
                    }
                },
                Lease::Http2(lease) => match self.fetch_over_http2(lease, &unsent).await {
                    Ok(response) => return Ok(response),
                    Err(Failure::Final(reason)) => return Err(reason),
                    Err(Failure::Unprocessed(reason)) => reason,
                },
            };
            if attempts == MAX_ATTEMPTS {
                return Err(reason);
            }
        }
    }

    /// [Obtain a connection](https://fetch.spec.whatwg.org/#concept-connection-obtain), in the room
    /// that the request has already, if any. It holds neither while somebody is asked for permission.
    async fn obtain_a_connection(
        &self,
        key: &Arc<PoolKey>,
        needs_new: bool,
        mut room: Option<Room>,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<Lease, NetworkError> {
        loop {
            let checkout = match room.take() {
                Some(room) => Checkout::Room(room),
                None => self.pool.checkout(key, needs_new).await?,
            };
            let refusal = match checkout {
                Checkout::Open(Lease::Http1(mut lease)) => {
                    if !lease.is_ready().await {
                        room = Some(lease.into_room(&self.pool));
                        continue;
                    }
                    match may_reach(check, lease.connection.address_space).await {
                        Ok(()) => return Ok(Lease::Http1(lease)),
                        Err(refusal) => {
                            lease.give_back();
                            refusal
                        }
                    }
                }
                Checkout::Open(Lease::Http2(lease)) => {
                    if !lease.is_ready().await {
                        lease.retire();
                        continue;
                    }
                    match may_reach(check, lease.connection.address_space).await {
                        Ok(()) => return Ok(Lease::Http2(lease)),
                        Err(refusal) => refusal,
                    }
                }
                Checkout::Room(room) => {
                    // Boxed: few requests make a connection, and all would have to have room for it.
                    let made = Box::pin(self.connector.connect(key, check)).await;
                    match room.fill(made) {
                        Err(refusal @ NetworkError::LocalNetworkAccess { .. }) => refusal,
                        made => return made,
                    }
                }
            };
            match check {
                Some(check) if check.asked().await => {}
                _ => return Err(refusal),
            }
        }
    }

    async fn fetch_over_http1(
        &self,
        mut lease: Http1Lease,
        request: Box<WireRequest>,
    ) -> Result<Attempt, NetworkError> {
        let progress = request.body().progress.clone();
        let answer = pin!(lease.connection.sender.try_send_request(*request));
        let response = match self.in_time(answer, progress).await? {
            Ok(response) => response,
            Err(mut error) => {
                return match error.take_message() {
                    // Not a byte of it was written.
                    Some(request) => {
                        let request = Box::new(request);
                        let reason = protocol_error(error.error());
                        Ok(Attempt::Unsent(Box::new(Unsent { request, lease, reason })))
                    }
                    None => Err(protocol_error(error.error())),
                };
            }
        };
        let (head, incoming) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NetworkError::Protocol("101 without an Upgrade request".to_owned()));
        }
        lease.heed(&head.headers, self.pool.limits.http1_idle);
        let body: ResponseBody = if incoming.is_end_stream() {
            // Nobody need read an empty body for its connection to be of use again.
            lease.give_back();
            Box::pin(EmptyBody)
        } else {
            Box::pin(Http1Body::new(incoming, lease))
        };
        let mut response = NetworkResponse::new(head.status, head.headers, body);
        response.version = Some(head.version);
        Ok(Attempt::Answered(response))
    }

    async fn fetch_over_http2(
        &self,
        lease: Http2Lease,
        request: &WireRequest,
    ) -> Result<NetworkResponse, Failure> {
        let (mut answer, mut upload) = lease.connection.send(request)?;
        let progress = upload.as_ref().map(|upload| upload.progress.clone());
        let answer = pin!(poll_fn(|cx| {
            let _ = Upload::poll_send(&mut upload, cx);
            answer.poll_unpin(cx)
        }));
        let answer = self.in_time(answer, progress).await.map_err(|late| {
            // Perhaps it is only this request that takes so long. Perhaps the connection is dead,
            // and others need not find out, too.
            lease.retire();
            Failure::Final(late)
        })?;
        let (head, stream) = http2::checked(answer)?.into_parts();
        let reading = Reading::begin(upload, lease);
        let body: ResponseBody = if stream.is_end_stream() {
            reading.end();
            Box::pin(EmptyBody)
        } else {
            Box::pin(Http2Body::new(stream, reading))
        };
        let mut response = NetworkResponse::new(head.status, head.headers, body);
        response.version = Some(head.version);
        Ok(response)
    }

    /// The answer, if it comes in time after the server has last taken a part of the request; `progress`
    /// says when that was, unless the request is written at once.
    async fn in_time<T>(
        &self,
        mut answer: Pin<&mut impl Future<Output = T>>,
        progress: Option<Progress>,
    ) -> Result<T, NetworkError> {
        let mut left = self.response_head_timeout;
        loop {
            if let Ok(answer) = timeout(left, answer.as_mut()).await {
                return Ok(answer);
            }
            let after = self.response_head_timeout;
            let silent = progress.as_ref().map_or(after, |it| it.last_taken().elapsed());
            if silent >= after {
                return Err(NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after });
            }
            left = after.saturating_sub(silent);
        }
    }
}

/// Checks anew where an open connection goes: whoever it was made for may go where this client may not.
async fn may_reach(
    check: Option<&AccessCheck<'_>>,
    target: Option<AddressSpace>,
) -> Result<(), NetworkError> {
    match (check, target) {
        (Some(check), Some(target)) => check.check(target).await,
        _ => Ok(()),
    }
}

/// What became of a request on an HTTP/1.1 connection.
enum Attempt {
    Answered(NetworkResponse),
    Unsent(Box<Unsent>),
}

/// A request as it waits for its connection.
struct Wired<'a> {
    key: Arc<PoolKey>,
    check: Option<Box<AccessCheck<'a>>>,
    needs_new: bool,
    request: Box<WireRequest>,
}

/// A request whose connection was dead already.
struct Unsent {
    request: Box<WireRequest>,
    lease: Http1Lease,
    reason: NetworkError,
}

impl Network for HyperNetwork {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        self.fetch_on_any_route(request)
    }

    fn network_changed(&self) {
        self.connector.names.forget();
        self.connector.tls.forget();
        self.pool.network_changed();
    }
}

impl fmt::Debug for HyperNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperNetwork").finish_non_exhaustive()
    }
}

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
    use bytes::Bytes;
    use http::Method;
    use sendbeacon_fetch::{Nonce, PartitionKey, Site, host::ConnectionKey};
    use sendbeacon_testkit::server::{Behavior, RecordingServer};
    use url::Url;

    use super::*;
    use crate::connection::{Connection, Http1Connection};

    /// The server's end closes just before the request is written, when the pool has already
    /// found the connection good.
    #[tokio::test]
    async fn request_given_to_a_connection_that_has_just_died_is_sent_on_another() {
        let server = RecordingServer::start(|_| Behavior::status(204)).await;
        let partition =
            PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(0)), second_key: None };
        let url = Url::parse(&server.url("/")).unwrap();
        let connection = ConnectionKey::new(partition, false);
        let request = NetworkRequest::new(Method::POST, url, connection)
            .with_body(Bytes::from_static(b"once"));
        let network = HyperNetwork::builder().build();

        let (client_end, server_end) = tokio::io::duplex(1024);
        let mut connection = Http1Connection::open(client_end, None).await.unwrap();
        connection.sender.ready().await.unwrap();
        let key = Arc::new(network.pool.key(&request, None).unwrap());
        let Ok(Checkout::Room(room)) = network.pool.checkout(&key, false).await else {
            panic!("there is room");
        };
        let Ok(Lease::Http1(lease)) = room.fill(Ok(Connection::Http1(connection))) else {
            panic!("it is HTTP/1.1");
        };
        lease.give_back();
        drop(server_end);
        // Nothing else runs on this thread before the pool is asked.
        let Ok(Checkout::Open(Lease::Http1(mut lease))) = network.pool.checkout(&key, false).await
        else {
            panic!("a connection that does not know of its end yet");
        };
        assert!(lease.is_ready().await);
        lease.give_back();

        let response = network.http_network_fetch(request).await.unwrap();
        assert_eq!(response.status, 204);
        let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"once"]);
    }
}
