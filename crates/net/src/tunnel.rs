//! Connections through a proxy.

use std::{
    future::{Ready, ready},
    io,
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{HOST, PROXY_AUTHORIZATION},
};
use hyper::{
    client::conn::http1,
    upgrade::{self, Upgraded},
};
use hyper_util::{client::legacy::connect::proxy::SocksV5, rt::TokioIo};
use sendbeacon_fetch::{AddressSpace, NetworkError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tower_service::Service;
use url::Host;

use crate::{
    address_space::AccessCheck,
    body::RequestBody,
    connect::{Connector, TimeLeft, connect_to_any},
    connection::{Connection, Http1Connection, MAX_BUFFER},
    describe,
    pool::PoolKey,
    proxy::{Proxy, ProxyProtocol},
    resolve::is_localhost,
};

/// How often the embedder is asked who we are to a proxy, for one request or one connection.
pub(crate) const MAX_AUTHENTICATIONS: usize = 3;

impl Connector {
    /// Makes a connection to the server of `key`, or to the proxy itself where that takes the
    /// requests.
    pub(crate) async fn connect_through(
        &self,
        proxy: &Arc<Proxy>,
        key: &PoolKey,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<Connection, NetworkError> {
        let target = self.known_address_space(key);
        if let (Some(check), Some(target)) = (check, target) {
            check.check(target).await?;
        }
        let mut time = TimeLeft::new(self.timeout);
        let partition = &key.connection.partition;
        let resolving = self.names.resolve_an_origin(&proxy.host, proxy.port, partition);
        let addresses = time.spend(resolving).await?;
        let mut authentications = 0..MAX_AUTHENTICATIONS;
        loop {
            let sent = self.authorizations.get(proxy);
            let connecting = connect_to_any(&addresses);
            let connected = time.spend(async { Ok(connecting.await) }).await?;
            let (tcp, _) = connected
                .map_err(|error| NetworkError::Connect(format!("{proxy}: {error}").into()))?;
            let creating = self.create_through(proxy, key, tcp, sent.clone(), target);
            // From here on it is not that there is no connection: a proxy, or a server behind it, that
            // keeps silent does not get the request another way.
            let created = time.spend(creating).await.map_err(|error| match error {
                NetworkError::Timeout { .. } => {
                    NetworkError::Proxy(format!("{proxy}: {error}").into())
                }
                error => error,
            });
            match created? {
                Created::Connection(connection) => return Ok(connection),
                Created::Challenge(headers) => {
                    authentications.next().ok_or(NetworkError::ProxyAuthentication)?;
                    self.authorizations.renew(proxy, sent.as_ref(), &headers).await?;
                }
            }
        }
    }

    async fn create_through(
        &self,
        proxy: &Arc<Proxy>,
        key: &PoolKey,
        tcp: TcpStream,
        authorization: Option<HeaderValue>,
        target: Option<AddressSpace>,
    ) -> Result<Created, NetworkError> {
        match &proxy.protocol {
            ProxyProtocol::Http { is_over_tls: false, .. } => {
                self.create_through_http(proxy, key, tcp, authorization, target).await
            }
            ProxyProtocol::Http { is_over_tls: true, .. } => {
                let tls = self.tls.handshake_with_proxy(proxy, key, tcp).await?;
                self.create_through_http(proxy, key, tls, authorization, target).await
            }
            ProxyProtocol::Socks5 { user_and_password } => {
                let stream = socks5(proxy, user_and_password.clone(), tcp, key).await?;
                self.open(key, stream, target).await.map(Created::Connection)
            }
        }
    }

    async fn create_through_http<S>(
        &self,
        proxy: &Proxy,
        key: &PoolKey,
        stream: S,
        authorization: Option<HeaderValue>,
        target: Option<AddressSpace>,
    ) -> Result<Created, NetworkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = if key.tls {
            match tunnel(proxy, authorization, stream, key).await? {
                Ok(stream) => self.open(key, stream, target).await?,
                Err(challenge) => return Ok(Created::Challenge(challenge)),
            }
        } else {
            Connection::Http1(Http1Connection::open(stream, target).await?)
        };
        Ok(Created::Connection(connection))
    }

    /// The address space of the server, if its host says so. To which address of a name a proxy
    /// goes nobody knows but the proxy.
    fn known_address_space(&self, key: &PoolKey) -> Option<AddressSpace> {
        let ip: IpAddr = match &key.host {
            Host::Ipv4(ip) => (*ip).into(),
            Host::Ipv6(ip) => (*ip).into(),
            Host::Domain(name) if is_localhost(name) => Ipv4Addr::LOCALHOST.into(),
            Host::Domain(_) => return None,
        };
        Some(self.address_spaces.of((ip, key.port).into()))
    }
}

/// What became of an attempt to make a connection.
enum Created {
    Connection(Connection),
    /// The proxy answered 407, with these headers.
    Challenge(HeaderMap),
}

/// Asks the HTTP proxy behind `stream` for a tunnel to the server of `key`
/// ([CONNECT](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6)); the headers of a 407 where it
/// wants to know who asks.
///
/// NB: not by hyper-util's `Tunnel`, which keeps the challenges of a 407 to itself.
async fn tunnel<S>(
    proxy: &Proxy,
    authorization: Option<HeaderValue>,
    stream: S,
    key: &PoolKey,
) -> Result<Result<TokioIo<Upgraded>, HeaderMap>, NetworkError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failure = |reason| NetworkError::Proxy(format!("{proxy}: {reason}").into());
    let mut request = Request::new(RequestBody::new(Bytes::new()));
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority(key)?;
    let host = HeaderValue::try_from(key.to_string());
    request.headers_mut().extend(host.ok().map(|value| (HOST, value)));
    request.headers_mut().extend(authorization.map(|value| (PROXY_AUTHORIZATION, value)));

    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(describe(&error)))?;
    let asking = pin!(async {
        let response = sender.send_request(request).await?;
        match response.status() {
            status if status.is_success() => {
                upgrade::on(response).await.map(|stream| Ok(Ok(TokioIo::new(stream))))
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Ok(Ok(Err(response.into_parts().0.headers)))
            }
            status => Ok(Err(failure(format!("it answered CONNECT with {status}")))),
        }
    });
    let answer: hyper::Result<_> = match select(asking, pin!(connection.with_upgrades())).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, asking)) => asking.await,
    };
    answer.map_err(|error| failure(describe(&error)))?
}

/// Has the SOCKS5 proxy behind `tcp` connect to the server of `key`. The proxy resolves the name.
async fn socks5(
    proxy: &Proxy,
    user_and_password: Option<(String, String)>,
    tcp: TcpStream,
    key: &PoolKey,
) -> Result<TcpStream, NetworkError> {
    // Where the proxy is does not matter any more, but has to be said.
    let mut socks = SocksV5::new(Uri::default(), AlreadyConnected(Some(tcp)));
    if let Some((user, password)) = user_and_password {
        socks = socks.with_auth(user, password);
    }
    match socks.call(authority(key)?).await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => Err(NetworkError::Proxy(format!("{proxy}: {error}").into())),
    }
}

/// Host and port, as a URI has them.
fn authority(key: &PoolKey) -> Result<Uri, NetworkError> {
    Uri::try_from(key.to_string()).map_err(|error| {
        NetworkError::Unsendable(format!("a proxy cannot be asked for {key}: {error}"))
    })
}

/// The connection to the proxy, as a connector.
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
