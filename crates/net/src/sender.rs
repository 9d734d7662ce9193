//! Sends a request on one route, and waits for the head of the response.

use std::{
    borrow::Cow,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{self, Either},
};
use http::{Extensions, StatusCode, header::CONTENT_LENGTH};
use hyper::{body::Body as _, ext::ReasonPhrase};
use sendbeacon_fetch::{
    NetworkError, TimeoutKind,
    host::{EmptyBody, LocalNetworkAccess, NetworkRequest, NetworkResponse, ResponseBody},
};
use tokio::time::timeout;

use crate::{
    access_check::AccessCheck,
    connect::Connector,
    error::http1_error,
    http2::{self, Failure, Upload},
    pool::{
        key::PoolKey,
        lease::{Checkout, ConnectionLease, Http1Lease, Http2Lease, Pool, Room},
    },
    proxy::server::Proxy,
    request::{Http1Request, UnsentRequest},
    request_body::Progress,
    response_body::{Http1Body, Http2Body, Reading},
};

/// How often a request is given to a connection before it fails.
const MAX_ATTEMPTS: usize = 3;

/// Sends requests, each on one route.
pub(crate) struct RequestSender {
    pub(crate) connector: Connector,
    pub(crate) pool: Arc<Pool>,
    pub(crate) local_network_access: Arc<dyn LocalNetworkAccess>,
    pub(crate) response_head_timeout: Duration,
}

impl RequestSender {
    /// Sends a request directly or through `proxy`, and returns the head of the response.
    pub(crate) fn fetch(
        &self,
        request: NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> impl Future<Output = Result<NetworkResponse, NetworkError>> + Send {
        match self.prepare(request, proxy) {
            Ok(prepared) => Either::Left(self.send(prepared)),
            Err(error) => Either::Right(future::ready(Err(error))),
        }
    }

    /// Takes from the request what its future has to keep.
    fn prepare(
        &self,
        request: NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<Prepared<'_>, NetworkError> {
        let key = Arc::new(self.pool.key(&request, proxy)?);
        Ok(Prepared {
            check: AccessCheck::of(&request, &*self.local_network_access).map(Box::new),
            needs_new: request.force_new_connection,
            connect_timeout: request.connect_timeout,
            request: UnsentRequest::new(request, &key)?,
            key,
        })
    }

    async fn send(&self, prepared: Prepared<'_>) -> Result<NetworkResponse, NetworkError> {
        let Prepared { mut key, check, needs_new, connect_timeout, request: mut unsent } = prepared;
        let mut room = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let connection = (needs_new, connect_timeout);
            let lease =
                self.obtain_a_connection(&key, connection, room.take(), check.as_deref()).await?;
            let reason = match lease {
                ConnectionLease::Http1(lease) => {
                    match self.fetch_over_http1(lease, unsent.into_http1()?).await? {
                        Attempt::Answered(response) => return Ok(response),
                        Attempt::Unsent(again) => {
                            let Unsent { request, lease, reason } = *again;
                            unsent = UnsentRequest::Http1(request);
                            // If one idle connection was closed, its siblings probably are, too.
                            room = Some(lease.into_room(&self.pool));
                            reason
                        }
                    }
                }
                ConnectionLease::Http2(lease) => {
                    match self.fetch_over_http2(lease, &unsent).await {
                        Ok(response) => return Ok(response),
                        Err(Failure::Final(reason) | Failure::Lost(reason)) => return Err(reason),
                        Err(Failure::Unprocessed(reason)) => reason,
                        Err(Failure::Http1Required(reason)) => {
                            key = Arc::new(self.pool.key_over_http1(&key));
                            reason
                        }
                    }
                }
            };
            if attempts == MAX_ATTEMPTS {
                return Err(reason);
            }
        }
    }

    /// [Obtain a connection](https://fetch.spec.whatwg.org/#concept-connection-obtain), in the room that
    /// the request already has, if any. The request holds neither a connection nor room while the
    /// embedder is asked for a permission.
    async fn obtain_a_connection(
        &self,
        key: &Arc<PoolKey>,
        (needs_new, connect_timeout): (bool, Option<Duration>),
        mut room: Option<Room>,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<ConnectionLease, NetworkError> {
        loop {
            let checkout = match room.take() {
                Some(room) => Checkout::Room(room),
                None => self.pool.checkout(key, needs_new).await?,
            };
            let refusal = match checkout {
                Checkout::Open(ConnectionLease::Http1(mut lease)) => {
                    if !lease.is_ready().await {
                        room = Some(lease.into_room(&self.pool));
                        continue;
                    }
                    match AccessCheck::repeat(check, lease.connection.address_space).await {
                        Ok(()) => return Ok(ConnectionLease::Http1(lease)),
                        Err(refusal) => {
                            lease.give_back();
                            refusal
                        }
                    }
                }
                Checkout::Open(ConnectionLease::Http2(lease)) => {
                    if !lease.is_ready().await {
                        lease.retire();
                        continue;
                    }
                    match AccessCheck::repeat(check, lease.connection.address_space).await {
                        Ok(()) => return Ok(ConnectionLease::Http2(lease)),
                        Err(refusal) => refusal,
                    }
                }
                Checkout::Room(room) => {
                    // Boxed: few requests make a connection, and every request's future would have room
                    // for it.
                    let made = Box::pin(self.connector.connect(key, connect_timeout, check)).await;
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
        request: Box<Http1Request>,
    ) -> Result<Attempt, NetworkError> {
        let progress = request.body().progress.clone();
        let connection = &mut lease.connection;
        let is_reused = std::mem::replace(&mut connection.is_used, true);
        // A safe method is idempotent (RFC 9110, section 9.2.2). The server may have closed the connection
        // before it got the request.
        let may_repeat = is_reused && request.method().is_safe();
        let copy = may_repeat.then(|| request.clone());
        connection.exchange.begin();
        let answer = pin!(connection.sender.try_send_request(*request));
        let response = match self.in_time(answer, progress).await? {
            Ok(response) => response,
            Err(mut error) => {
                // hyper gives the request back if no byte of it was written.
                let unsent = error.take_message().map(Box::new);
                let reason = http1_error(error.into_error());
                let is_lost = !lease.connection.exchange.is_answered();
                let Some(request) = unsent.or(copy.filter(|_| is_lost)) else {
                    return Err(reason);
                };
                return Ok(Attempt::Unsent(Box::new(Unsent { request, lease, reason })));
            }
        };
        let (mut head, incoming) = response.into_parts();
        if let Some(values) = lease.connection.exchange.take_content_lengths() {
            head.headers.remove(CONTENT_LENGTH);
            head.headers.extend(values.into_iter().map(|value| (CONTENT_LENGTH, value)));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NetworkError::Protocol("101 without an Upgrade request".into()));
        }
        let connection_timing = lease.connection.timing.clone();
        lease.follow(&head.headers, self.pool.limits.http1_idle);
        let body: ResponseBody = if incoming.is_end_stream() {
            // The connection of an empty body is free, even if nobody reads the body.
            lease.give_back();
            Box::pin(EmptyBody)
        } else {
            Box::pin(Http1Body::new(incoming, lease))
        };
        let mut response = NetworkResponse::new(head.status, head.headers, body);
        response.version = Some(head.version);
        let info = response.info.get_or_insert_default();
        info.status_message = status_message(head.status, &head.extensions);
        info.connection_timing = connection_timing;
        Ok(Attempt::Answered(response))
    }

    async fn fetch_over_http2(
        &self,
        lease: Http2Lease,
        request: &UnsentRequest,
    ) -> Result<NetworkResponse, Failure> {
        let (head, body) = request.to_http2().map_err(Failure::Final)?;
        let is_reused = lease.connection.is_used.swap(true, Relaxed);
        let may_repeat = is_reused && head.method().is_safe();
        let (mut answer, mut upload) = lease.connection.send(head, body)?;
        let progress = upload.as_ref().map(|upload| upload.progress.clone());
        let mut first_interim = None;
        let answer = pin!(poll_fn(|cx| {
            let _ = Upload::poll_send(&mut upload, cx);
            while let Poll::Ready(Some(Ok(_))) = answer.poll_informational(cx) {
                first_interim.get_or_insert_with(Instant::now);
            }
            answer.poll_unpin(cx)
        }));
        let answer = self.in_time(answer, progress).await.map_err(|late| {
            // Perhaps only this request takes so long. Perhaps the connection is dead, and other requests
            // need not find that out, too.
            lease.retire();
            Failure::Final(late)
        })?;
        let checked = http2::checked(answer).map_err(|failure| match failure {
            Failure::Lost(reason) if may_repeat => Failure::Unprocessed(reason),
            failure => failure,
        });
        let (head, stream) = checked?.into_parts();
        let connection_timing = lease.connection.timing.clone();
        let reading = Reading::begin(upload, lease);
        let body: ResponseBody = if stream.is_end_stream() {
            reading.end();
            Box::pin(EmptyBody)
        } else {
            Box::pin(Http2Body::new(stream, reading))
        };
        let mut response = NetworkResponse::new(head.status, head.headers, body);
        response.version = Some(head.version);
        let info = response.info.get_or_insert_default();
        info.connection_timing = connection_timing;
        info.first_interim_response_start = first_interim;
        Ok(response)
    }

    /// Waits for the answer. Fails if the server is silent for too long.
    ///
    /// The time begins again whenever the server takes a part of the request. `progress` has the time of the
    /// last part; it is `None` for a request that is written at once.
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

/// The reason phrase of an HTTP/1.1 response. hyper keeps it if it is not the usual one of its status.
fn status_message(status: StatusCode, extensions: &Extensions) -> Cow<'static, [u8]> {
    match extensions.get::<ReasonPhrase>() {
        Some(reason) => reason.as_bytes().to_vec().into(),
        None => status.canonical_reason().unwrap_or_default().as_bytes().into(),
    }
}

/// A request before it has a connection.
struct Prepared<'a> {
    key: Arc<PoolKey>,
    check: Option<Box<AccessCheck<'a>>>,
    needs_new: bool,
    connect_timeout: Option<Duration>,
    request: UnsentRequest,
}

/// The result of sending a request on an HTTP/1.1 connection.
enum Attempt {
    Answered(NetworkResponse),
    Unsent(Box<Unsent>),
}

/// A request whose connection turned out to be closed, and that may be sent on another one.
struct Unsent {
    request: Box<Http1Request>,
    lease: Http1Lease,
    reason: NetworkError,
}

#[cfg(test)]
mod tests {
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
                names: Names::new(HashMap::new(), Arc::new(SystemResolver)),
                address_spaces: AddressSpaces::default(),
                authorizations: ProxyAuthorizations::new(Arc::new(NoProxies)),
                timeout: time,
                tls: Tls::new(TlsSettings {
                    provider,
                    platform_roots: false,
                    extra_roots: Vec::new(),
                }),
            },
            pool: Arc::new(Pool::new(Limits {
                http1_idle: time,
                http2_idle: time,
                per_group: 1,
                overall: 1,
            })),
            local_network_access: Arc::new(RefuseAll),
            response_head_timeout: time,
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
        let request = NetworkRequest::new(Method::POST, url, connection)
            .with_body(Bytes::from_static(b"once"));
        let sender = sender();

        let (client_end, server_end) = tokio::io::duplex(1024);
        let mut connection = Http1Connection::open(client_end, false, None).await.unwrap();
        connection.sender.ready().await.unwrap();
        let key = Arc::new(sender.pool.key(&request, None).unwrap());
        let Ok(Checkout::Room(room)) = sender.pool.checkout(&key, false).await else {
            panic!("there is room");
        };
        let Ok(ConnectionLease::Http1(lease)) = room.fill(Ok(OpenConnection::Http1(connection)))
        else {
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

        let response = sender.fetch(request, None).await.unwrap();
        assert_eq!(response.status, 204);
        let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"once"]);
    }
}
