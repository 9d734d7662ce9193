//! Sends a request on one route, and waits for the head of the response.

mod obtain;

use std::{
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
use http::{StatusCode, header::CONTENT_LENGTH};
use hyper::body::Body as _;
use sendbeacon_fetch::{
    NetworkError, TimeoutKind,
    host::{
        EmptyBody, LocalNetworkAccess, NetworkRequest, NetworkResponse, Progress, ResponseBody,
        Transmission,
    },
};
use tokio::time::timeout;

use crate::{
    access_check::AccessCheck,
    connect::Connector,
    error::http1_error,
    http2::{self, Upload},
    pool::{
        key::PoolKey,
        lease::{ConnectionLease, Http1Lease, Http2Lease, Pool},
    },
    proxy::server::Proxy,
    request::{Http1Request, UnsentRequest},
    request_body::LastTaken,
    resend::{Failure, ResendPolicy, is_ended_by_peer, is_reset},
    response_body::{Http1Body, Http2Body, Reading},
    response_head::reason_phrase,
    targets::{Target, Targets},
};

/// How often a request is given to a connection before it fails.
const MAX_ATTEMPTS: usize = 3;

/// Sends requests, each on one route.
pub(crate) struct RequestSender {
    pub(crate) connector: Connector,
    pub(crate) pool: Arc<Pool>,
    pub(crate) targets: Targets,
    pub(crate) local_network_access: Arc<dyn LocalNetworkAccess>,
    pub(crate) response_head_timeout: Duration,
    pub(crate) resend_policy: ResendPolicy,
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
        mut request: NetworkRequest,
        proxy: Option<Arc<Proxy>>,
    ) -> Result<Prepared<'_>, NetworkError> {
        let transmission = std::mem::take(&mut request.transmission);
        transmission.report(Progress::Unsent);
        let Target { key, uris } = self.targets.of(&request, proxy, &self.pool)?;
        Ok(Prepared {
            transmission,
            is_safe: request.method.is_safe(),
            may_resend: self.resend_policy.allows(&request.method, request.is_awaited),
            check: AccessCheck::of(&request, &*self.local_network_access).map(Box::new),
            needs_new: request.force_new_connection,
            connect_timeout: request.connect_timeout,
            request: UnsentRequest::new(request, uris, key.tls)?,
            key,
        })
    }

    async fn send(&self, prepared: Prepared<'_>) -> Result<NetworkResponse, NetworkError> {
        let Prepared {
            mut key,
            check,
            needs_new,
            connect_timeout,
            request: mut unsent,
            transmission,
            is_safe,
            may_resend,
        } = prepared;
        let mut room = None;
        let mut attempts = 0;
        // Why the request was sent in vain. Boxed: every request's future has room for it.
        let mut lost: Option<Box<NetworkError>> = None;
        let mut is_told = true;
        loop {
            attempts += 1;
            let (is_lost, check) = (lost.is_some(), check.as_deref());
            let wanted = Wanted { needs_new, is_lost, connect_timeout };
            let obtained = self.obtain_a_connection(&key, wanted, room.take(), check);
            let lease = match obtained.await {
                Ok(lease) => lease,
                // An error of connecting would say that nothing was written.
                Err(error) => return Err(lost.map_or(error, |reason| *reason)),
            };
            if let (Some(reason), false) = (&lost, is_told) {
                is_told = true;
                transmission.sent_again(reason);
            }
            transmission.report(Progress::InPart);
            if let Some(noted) = transmission.before_writing() {
                noted.await;
            }
            // A server may act on each copy. If the method is not safe, there are two at most.
            let may_resend = may_resend && (is_safe || !is_lost);
            let failure = match lease {
                ConnectionLease::Http1(lease) => {
                    let request = unsent.into_http1()?;
                    match self.fetch_over_http1(lease, request, &transmission, may_resend).await? {
                        Attempt::Answered(response) => return Ok(response),
                        Attempt::Failed(failed) => {
                            let Failed { request, lease, failure } = *failed;
                            unsent = request;
                            // If one idle connection was closed, its siblings probably are, too.
                            room = Some(lease.into_room(&self.pool));
                            failure
                        }
                    }
                }
                ConnectionLease::Http2(lease) => {
                    match self.fetch_over_http2(lease, &unsent, &transmission, may_resend).await {
                        Ok(response) => return Ok(response),
                        Err(failure) => failure,
                    }
                }
            };
            if matches!(failure, Failure::Unwritten(_)) && !is_lost {
                transmission.report(Progress::Unsent);
            }
            match failure {
                Failure::Final(reason) => return Err(reason),
                // The server has accepted each connection and has ended it before a byte was written.
                Failure::Unwritten(NetworkError::Protocol(detail))
                    if attempts == MAX_ATTEMPTS && !is_lost =>
                {
                    return Err(NetworkError::Connect(detail));
                }
                failure if attempts == MAX_ATTEMPTS => {
                    return Err(lost.map_or_else(|| failure.into_reason(), |reason| *reason));
                }
                Failure::Unwritten(_) | Failure::Unprocessed(_) => {}
                Failure::Http1Required(_) => key = Arc::new(self.pool.key_over_http1(&key)),
                Failure::Lost(reason) => {
                    lost = Some(Box::new(reason));
                    is_told = false;
                }
            }
        }
    }

    async fn fetch_over_http1(
        &self,
        mut lease: Http1Lease,
        request: Box<Http1Request>,
        transmission: &Transmission,
        may_resend: bool,
    ) -> Result<Attempt, NetworkError> {
        let last_taken = request.body().last_taken.clone();
        let connection = &mut lease.connection;
        // The server may have closed a connection that was idle before it got the request.
        let is_reused = std::mem::replace(&mut connection.is_used, true);
        let may_resend = may_resend && is_reused;
        let is_kept = may_resend || connection.send_queue.is_some();
        connection.exchange.begin(is_kept.then(|| request.body().bytes.clone()));
        let answer = pin!(connection.sender.try_send_request(*request));
        let answer = pin!(self.in_time(answer, last_taken));
        let exchange = &connection.exchange;
        let answer = match &connection.send_queue {
            None => answer.await,
            // Boxed: few networks have the service, and every request's future would have room for it.
            Some(queue) => {
                Box::pin(queue.report_until(answer, transmission, || exchange.is_written())).await
            }
        };
        let response = match answer? {
            Ok(response) => response,
            Err(mut error) => {
                // hyper gives the request back if no byte of it was written.
                let unwritten = error.take_message().map(Box::new);
                let reason = http1_error(error.into_error());
                if let Some(request) = unwritten {
                    let (request, failure) =
                        (UnsentRequest::Http1(request), Failure::Unwritten(reason));
                    return Ok(Attempt::Failed(Box::new(Failed { request, lease, failure })));
                }
                if lease.connection.send_queue.is_some() && is_reset(&reason) {
                    transmission.report(Progress::InPart);
                }
                let is_lost = may_resend
                    && is_ended_by_peer(&reason)
                    && !lease.connection.exchange.is_answered();
                let request = is_lost.then(|| lost_request(&lease)).flatten();
                return request.map(|it| Attempt::lost(it, lease, reason.clone())).ok_or(reason);
            }
        };
        // A server that has sent an interim response has read the request.
        let may_be_unread = may_resend
            && response.status() == StatusCode::REQUEST_TIMEOUT
            && self.resend_policy.ignores_408()
            && lease.connection.exchange.messages().received.first_interim.is_none();
        if may_be_unread && let Some(request) = lost_request(&lease) {
            let reason = NetworkError::Protocol("408 on a connection that was idle".into());
            return Ok(Attempt::lost(request, lease, reason));
        }
        let (mut head, incoming) = response.into_parts();
        let received = lease.connection.exchange.answered();
        if let Some(values) = received.content_lengths {
            head.headers.remove(CONTENT_LENGTH);
            head.headers.extend(values.into_iter().map(|value| (CONTENT_LENGTH, value)));
        }
        if !received.surplus.is_empty() {
            head.headers.extend(received.surplus);
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NetworkError::Protocol("101 without an Upgrade request".into()));
        }
        let message = reason_phrase(head.status, &head.extensions);
        let info = lease.connection.response_info(message, received.first_interim);
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
        response.info = Some(info);
        Ok(Attempt::Answered(response))
    }

    async fn fetch_over_http2(
        &self,
        lease: Http2Lease,
        request: &UnsentRequest,
        transmission: &Transmission,
        may_resend: bool,
    ) -> Result<NetworkResponse, Failure> {
        let (head, body) = request.to_http2().map_err(Failure::Final)?;
        let connection = &lease.connection;
        let may_resend = may_resend && connection.has_answered.load(Relaxed);
        let (is_safe, received) = (head.method().is_safe(), connection.received());
        let has_body = !body.is_empty();
        let (mut answer, mut upload) = connection.send(head, body)?;
        let has_short_body = has_body && upload.is_none();
        let last_taken = upload.as_ref().map(|upload| upload.last_taken.clone());
        let mut first_interim = None;
        let answer = {
            let answer = poll_fn(|cx| {
                let _ = Upload::poll_send(&mut upload, cx);
                while let Poll::Ready(Some(Ok(_))) = answer.poll_informational(cx) {
                    first_interim.get_or_insert_with(Instant::now);
                }
                answer.poll_unpin(cx)
            });
            let answer = pin!(answer);
            let answer = pin!(self.in_time(answer, last_taken));
            // h2 tells neither when a head is written nor when the end of a long body is.
            match connection.send_queue.as_ref().filter(|_| has_short_body) {
                None => answer.await,
                Some(queue) => {
                    Box::pin(queue.report_until(answer, transmission, || connection.is_written()))
                        .await
                }
            }
        };
        let answer = answer.map_err(|late| {
            // Perhaps only this request takes so long. Perhaps the connection is dead, and other requests
            // need not find that out, too.
            lease.retire();
            Failure::Final(late)
        })?;
        let checked = http2::checked(answer).map_err(|failure| match failure {
            Failure::Lost(reason) => {
                lease.retire();
                if lease.connection.send_queue.is_some() && is_reset(&reason) {
                    transmission.report(Progress::InPart);
                }
                // A frame shows that the server was still there, and perhaps has read the request.
                let may_be_unread =
                    first_interim.is_none() && (is_safe || lease.connection.received() == received);
                if may_resend && may_be_unread && lease.is_on_current_network() {
                    Failure::Lost(reason)
                } else {
                    Failure::Final(reason)
                }
            }
            failure => failure,
        });
        let (head, stream) = checked?.into_parts();
        lease.connection.has_answered.store(true, Relaxed);
        let mut info = Arc::clone(&lease.connection.info);
        if first_interim.is_some() {
            Arc::make_mut(&mut info).first_interim_response_start = first_interim;
        }
        let reading = Reading::begin(upload, lease);
        let body: ResponseBody = if stream.is_end_stream() {
            reading.end();
            Box::pin(EmptyBody)
        } else {
            Box::pin(Http2Body::new(stream, reading))
        };
        let mut response = NetworkResponse::new(head.status, head.headers, body);
        response.version = Some(head.version);
        response.info = Some(info);
        Ok(response)
    }

    /// Waits for the answer. Fails if the server is silent for too long.
    ///
    /// The time begins again whenever the server takes a part of the request. `last_taken` has the time of the
    /// last part; it is `None` for a request that is written at once.
    async fn in_time<T>(
        &self,
        mut answer: Pin<&mut impl Future<Output = T>>,
        last_taken: Option<LastTaken>,
    ) -> Result<T, NetworkError> {
        let mut left = self.response_head_timeout;
        loop {
            if let Ok(answer) = timeout(left, answer.as_mut()).await {
                return Ok(answer);
            }
            let after = self.response_head_timeout;
            let silent = last_taken.as_ref().map_or(after, |it| it.get().elapsed());
            if silent >= after {
                return Err(NetworkError::Timeout { kind: TimeoutKind::ResponseHead, after });
            }
            left = after.saturating_sub(silent);
        }
    }
}

/// The request that was written to a connection, if it was kept and the machine is on the same network.
fn lost_request(lease: &Http1Lease) -> Option<UnsentRequest> {
    let (head, body) = lease.connection.exchange.take_request()?;
    lease.is_on_current_network().then(|| UnsentRequest::written(&head, body)).flatten()
}

/// Which connection a request may have.
#[derive(Clone, Copy)]
struct Wanted {
    /// Whether it must be a new one, because the last one led to the wrong server.
    needs_new: bool,
    /// Whether the peer has ended the last one, so that idle ones of HTTP/1.1 have probably ended, too.
    is_lost: bool,
    /// How long connecting may take, if that is less than what the network allows.
    connect_timeout: Option<Duration>,
}

/// A request before it has a connection.
struct Prepared<'a> {
    key: Arc<PoolKey>,
    check: Option<Box<AccessCheck<'a>>>,
    needs_new: bool,
    connect_timeout: Option<Duration>,
    request: UnsentRequest,
    transmission: Transmission,
    /// Whether the request's method is safe.
    is_safe: bool,
    /// Whether the policy allows to send the request again.
    may_resend: bool,
}

/// The result of sending a request on an HTTP/1.1 connection.
enum Attempt {
    Answered(NetworkResponse),
    Failed(Box<Failed>),
}

impl Attempt {
    /// The peer has ended the connection before it had read the request.
    fn lost(request: UnsentRequest, lease: Http1Lease, reason: NetworkError) -> Self {
        Self::Failed(Box::new(Failed { request, lease, failure: Failure::Lost(reason) }))
    }
}

/// A request whose connection turned out to be closed, and that may be sent on another one.
struct Failed {
    request: UnsentRequest,
    lease: Http1Lease,
    failure: Failure,
}

#[cfg(test)]
mod tests;
