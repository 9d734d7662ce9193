//! Connections through a proxy: CONNECT to an HTTP proxy, and SOCKS5.

use std::{
    future::{Ready, ready},
    io,
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{HOST, PROXY_AUTHORIZATION},
};
use hyper::upgrade::{self, Upgraded};
use hyper_util::{client::legacy::connect::proxy::SocksV5, rt::TokioIo};
use sendbeacon_fetch::{ErrorDetail, NetworkError};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{
    error::http1_detail, http1::hyper, lenient_stream::LenientStream, pool::key::PoolKey,
    proxy::server::Proxy, request_body::RequestBody, stream::BoxedStream,
};

/// Asks the HTTP proxy behind `stream` for a tunnel to the server of `key`
/// ([CONNECT](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6)).
///
/// If the proxy answers 407, the inner error holds the headers of that answer.
///
/// NB: hyper-util has a `Tunnel`, but it does not give the challenges of a 407.
pub(crate) async fn connect(
    proxy: &Proxy,
    authorization: Option<HeaderValue>,
    stream: BoxedStream,
    key: &PoolKey,
) -> Result<Result<TokioIo<Upgraded>, HeaderMap>, NetworkError> {
    let failure = |detail: ErrorDetail| NetworkError::Proxy(detail.with_context(proxy));
    let mut request = Request::new(RequestBody::new(Bytes::new()));
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority(key)?;
    let host = HeaderValue::try_from(key.to_string());
    request.headers_mut().extend(host.ok().map(|value| (HOST, value)));
    request.headers_mut().extend(authorization.map(|value| (PROXY_AUTHORIZATION, value)));

    // A head that is cut short opens no tunnel.
    let stream = LenientStream::new(stream, true);
    let exchange = stream.exchange();
    exchange.begin(None);
    let handshake = hyper().handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| failure(http1_detail(error)))?;
    let asking = pin!(async {
        let response = sender.send_request(request).await?;
        match response.status() {
            status if status.is_success() => {
                upgrade::on(response).await.map(|stream| Ok(Ok(TokioIo::new(stream))))
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let mut headers = response.into_parts().0.headers;
                headers.extend(exchange.answered().surplus);
                Ok(Ok(Err(headers)))
            }
            status => {
                let detail = format!("it answered CONNECT with {status}");
                Ok(Err(failure(detail.into())))
            }
        }
    });
    let answer: hyper::Result<_> = match select(asking, pin!(connection.with_upgrades())).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, asking)) => asking.await,
    };
    answer.map_err(|error| failure(http1_detail(error)))?
}

/// Asks the SOCKS5 proxy behind `tcp` to connect to the server of `key`. The proxy resolves the name.
pub(crate) async fn socks5(
    proxy: &Proxy,
    user_and_password: Option<(String, String)>,
    tcp: TcpStream,
    key: &PoolKey,
) -> Result<TcpStream, NetworkError> {
    // hyper-util wants the address of the proxy, although the connection is already open.
    let mut socks = SocksV5::new(Uri::default(), AlreadyConnected(Some(tcp)));
    if let Some((user, password)) = user_and_password {
        socks = socks.with_auth(user, password);
    }
    match socks.call(authority(key)?).await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => Err(NetworkError::Proxy(ErrorDetail::of(error).with_context(proxy))),
    }
}

/// The host and port of `key` as a URI.
fn authority(key: &PoolKey) -> Result<Uri, NetworkError> {
    Uri::try_from(key.to_string()).map_err(|error| {
        NetworkError::Unsendable(format!("a proxy cannot be asked for {key}: {error}"))
    })
}

/// The connection to the proxy, in the form of a connector.
struct AlreadyConnected(Option<TcpStream>);

impl Service<Uri> for AlreadyConnected {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let tcp = self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into());
        ready(tcp.map(TokioIo::new))
    }
}
