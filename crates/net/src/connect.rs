//! Makes connections: to the server itself, or through a proxy.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue};
use sendbeacon_fetch::{
    AddressSpace, ErrorDetail, NetworkError, host::ConnectionTiming, is_localhost,
};
use tokio::net::TcpStream;
use url::Host;

use crate::{
    access_check::AccessCheck,
    address_space::AddressSpaces,
    connection::OpenConnection,
    http1::Http1Connection,
    http2::Http2Connection,
    pool::key::PoolKey,
    proxy::{
        authorizations::{MAX_AUTHENTICATIONS, ProxyAuthorizations},
        server::{Proxy, ProxyProtocol},
        tunnel,
    },
    resolve::Names,
    send_queue::{SendQueue, SendQueues},
    stream::BoxedStream,
    tcp::connect_to_any,
    time_left::TimeLeft,
    tls::{HTTP2, Tls},
    tls_close::AnyClose,
};

/// Makes connections.
pub(crate) struct Connector {
    pub(crate) names: Names,
    pub(crate) address_spaces: AddressSpaces,
    pub(crate) authorizations: ProxyAuthorizations,
    /// The limit for name resolution, TCP and TLS together.
    pub(crate) timeout: Duration,
    pub(crate) tls: Tls,
    pub(crate) send_queues: Option<Arc<dyn SendQueues>>,
}

impl Connector {
    /// Makes a connection for a request with the key `key` and the Local Network Access check `check`. If `timeout` is
    /// less than the connector's own, it is the limit.
    pub(crate) async fn connect(
        &self,
        key: &PoolKey,
        timeout: Option<Duration>,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<OpenConnection, NetworkError> {
        let mut time = TimeLeft::new(timeout.map_or(self.timeout, |it| it.min(self.timeout)));
        if let Some(proxy) = &key.proxy {
            return self.connect_through(proxy, key, time, check).await;
        }
        let mut timing = ConnectionTiming::at(Instant::now());
        let partition = &key.connection.partition;
        let resolving = self.names.resolve_an_origin(&key.host, key.port, partition);
        let mut addresses = time.spend(resolving).await?;
        timing.domain_lookup_end = Instant::now();
        if let Some(check) = check {
            addresses = self.permitted(addresses, check).await?;
        }
        let created = time.spend(self.create_a_connection(key, &addresses, &mut timing)).await?;
        timing.connection_end = Instant::now();
        Ok(created.with_timing(timing))
    }

    /// The addresses that pass the check, at least one. Also fails if the embedder has to answer first.
    ///
    /// NB: the standard makes the check once there is a connection. A page could then tell from the time
    /// until the refusal whether a server is at the address.
    async fn permitted(
        &self,
        mut addresses: Vec<SocketAddr>,
        check: &AccessCheck<'_>,
    ) -> Result<Vec<SocketAddr>, NetworkError> {
        let mut spaces: Vec<_> = addresses.iter().map(|ip| self.address_spaces.of(*ip)).collect();
        spaces.sort_unstable();
        spaces.dedup();
        let mut refusal = None;
        for space in spaces {
            if let Err(error) = check.check(space).await {
                addresses.retain(|ip| self.address_spaces.of(*ip) != space);
                refusal = Some(error);
            }
        }
        match refusal {
            Some(error) if addresses.is_empty() || check.must_ask() => Err(error),
            _ => Ok(addresses),
        }
    }

    /// [Create a connection](https://fetch.spec.whatwg.org/#create-a-connection).
    async fn create_a_connection(
        &self,
        key: &PoolKey,
        addresses: &[SocketAddr],
        timing: &mut ConnectionTiming,
    ) -> Result<OpenConnection, NetworkError> {
        // Step 1.
        timing.connection_start = Instant::now();
        // Steps 2 to 4.
        let connected = connect_to_any(addresses).await;
        let (tcp, address) = connected
            .map_err(|error| NetworkError::Connect(ErrorDetail::from(error).with_context(key)))?;
        let addresses = tcp.local_addr().ok().zip(tcp.peer_addr().ok());
        let queue = self.send_queues.clone().zip(addresses);
        let queue = queue.map(|(queues, (local, peer))| SendQueue::new(queues, local, peer));
        let space = Some(self.address_spaces.of(address));
        let opened = self.open(key, Box::new(tcp), space, timing).await?;
        Ok(opened.with_send_queue(queue))
    }

    /// Makes a connection of a stream to the server of `key`.
    async fn open(
        &self,
        key: &PoolKey,
        stream: BoxedStream,
        address_space: Option<AddressSpace>,
        timing: &mut ConnectionTiming,
    ) -> Result<OpenConnection, NetworkError> {
        if !key.tls {
            return Http1Connection::open(stream, false, address_space)
                .await
                .map(OpenConnection::Http1);
        }
        timing.secure_connection_start = Some(Instant::now());
        let tls = self.tls.handshake(key, stream).await?;
        if tls.get_ref().1.alpn_protocol() == Some(HTTP2) {
            Http2Connection::open(Box::new(tls), address_space).await.map(OpenConnection::Http2)
        } else {
            Http1Connection::open(Box::new(AnyClose(tls)), true, address_space)
                .await
                .map(OpenConnection::Http1)
        }
    }

    /// Makes a connection through `proxy` to the server of `key`, or to the proxy itself if it takes the
    /// requests.
    async fn connect_through(
        &self,
        proxy: &Arc<Proxy>,
        key: &PoolKey,
        mut time: TimeLeft,
        check: Option<&AccessCheck<'_>>,
    ) -> Result<OpenConnection, NetworkError> {
        let target = self.known_address_space(key);
        if let Some(check) = check {
            check.check(target.unwrap_or(AddressSpace::Public)).await?;
        }
        // NB: the host of the request is not looked up. Finding the proxy is a part of connecting.
        let mut timing = ConnectionTiming::at(Instant::now());
        let partition = &key.connection.partition;
        let resolving = self.names.resolve_an_origin(&proxy.host, proxy.port, partition);
        let addresses = time.spend(resolving).await?;
        let mut authentications = 0..MAX_AUTHENTICATIONS;
        loop {
            let sent = self.authorizations.get(proxy);
            let connecting = connect_to_any(&addresses);
            let connected = time.spend(async { Ok(connecting.await) }).await?;
            let (tcp, _) = connected.map_err(|error| {
                NetworkError::Connect(ErrorDetail::from(error).with_context(proxy))
            })?;
            let creating = self.create_through(proxy, key, tcp, sent.clone(), target, &mut timing);
            // From here on, a timeout does not mean that the proxy is unreachable: the proxy, or a server
            // behind it, is silent. The request must not take another route then.
            let created = time.spend(creating).await.map_err(|error| match error {
                NetworkError::Timeout { .. } => {
                    let detail = ErrorDetail::of(error).with_kind(std::io::ErrorKind::TimedOut);
                    NetworkError::Proxy(detail.with_context(proxy))
                }
                error => error,
            });
            match created? {
                Created::Connection(connection) => {
                    timing.connection_end = Instant::now();
                    return Ok(connection.with_timing(timing));
                }
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
        timing: &mut ConnectionTiming,
    ) -> Result<Created, NetworkError> {
        match &proxy.protocol {
            ProxyProtocol::Http { is_over_tls: false, .. } => {
                let stream = (Box::new(tcp) as _, false);
                self.create_through_http(proxy, key, stream, authorization, target, timing).await
            }
            ProxyProtocol::Http { is_over_tls: true, .. } => {
                let tls = self.tls.handshake_with_proxy(proxy, key, Box::new(tcp)).await?;
                let stream = (Box::new(tls) as _, true);
                self.create_through_http(proxy, key, stream, authorization, target, timing).await
            }
            ProxyProtocol::Socks5 { user_and_password } => {
                let stream = tunnel::socks5(proxy, user_and_password.clone(), tcp, key).await?;
                self.open(key, Box::new(stream), target, timing).await.map(Created::Connection)
            }
        }
    }

    /// `stream` is a connection to the proxy, with whether it is over TLS.
    async fn create_through_http(
        &self,
        proxy: &Proxy,
        key: &PoolKey,
        (stream, is_over_tls): (BoxedStream, bool),
        authorization: Option<HeaderValue>,
        target: Option<AddressSpace>,
        timing: &mut ConnectionTiming,
    ) -> Result<Created, NetworkError> {
        let connection = if key.tls {
            match tunnel::connect(proxy, authorization, stream, key).await? {
                Ok(stream) => self.open(key, Box::new(stream), target, timing).await?,
                Err(challenge) => return Ok(Created::Challenge(challenge)),
            }
        } else {
            OpenConnection::Http1(Http1Connection::open(stream, is_over_tls, target).await?)
        };
        Ok(Created::Connection(connection))
    }

    /// The address space of the server behind a proxy, if its host is an IP address or `localhost`. Only the
    /// proxy knows the address that it uses for another name.
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

/// The result of an attempt to make a connection through a proxy.
enum Created {
    Connection(OpenConnection),
    /// The proxy answered 407 with these headers.
    Challenge(HeaderMap),
}
