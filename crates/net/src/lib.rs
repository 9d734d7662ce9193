//! The network of `sendbeacon`: HTTP/1.1 and HTTP/2 with a partitioned connection pool, on tokio.
//!
//! [`HttpNetwork`] implements [`Network`](sendbeacon_fetch::host::Network), which is everything below
//! [HTTP-network fetch](https://fetch.spec.whatwg.org/#http-network-fetch), for an engine that has no
//! network stack of its own. It speaks HTTP/1.1 by hyper, HTTP/2 by h2 and TLS by rustls with the
//! platform's root certificates. Its
//! [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool) shares no connection and
//! no TLS session between network partitions, between origins, or between requests with credentials
//! and requests without.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use sendbeacon_fetch::host::{Network, NetworkRequest};
//! use sendbeacon_net::HttpNetwork;
//!
//! # async fn example(request: NetworkRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let network = HttpNetwork::builder()
//!     .add_root_certificates_pem(&std::fs::read("corporate-ca.pem")?)?
//!     .connect_timeout(Duration::from_secs(10))
//!     .build()?;
//! let response = network.http_network_fetch(request).await?;
//! println!("{}", response.status);
//! # Ok(())
//! # }
//! ```
//!
//! # Runtime
//!
//! Poll a fetch inside a tokio runtime that has I/O and time enabled. Outside such a runtime, tokio
//! panics. The network spawns one task for each connection, on the runtime that polls the fetch which
//! opens the connection. Later fetches use the connection from wherever they are polled, so keep that
//! runtime alive as long as the network. A request has no task, with one exception: if an HTTP/2 server
//! answers before it has taken the whole body, a task sends the rest.
//!
//! The system's resolver runs on the runtime's blocking threads, and the network reads the platform's
//! root certificates there. Idle connections have no timer. The pool checks their age when a request
//! uses it.
//!
//! # Proxies
//!
//! The network connects to the server itself unless [`Proxies`] name a proxy. It uses the proxies of
//! the environment only on request:
//!
//! ```
//! use std::sync::Arc;
//!
//! use sendbeacon_net::{HttpNetwork, ProxyRules};
//!
//! let proxies = Arc::new(ProxyRules::from_environment());
//! let network = HttpNetwork::builder().proxies(proxies).build()?;
//! # Ok::<(), sendbeacon_net::LimitError>(())
//! ```
//!
//! # Local Network Access
//!
//! If a request has a client whose address space is known, the network makes the
//! [Local Network Access check](sendbeacon_fetch::local_network_access_check) before it connects. It
//! repeats the check for each later request on the connection.
//!
//! # Responses
//!
//! The network reads the heads of HTTP/1.1 responses as browsers do: a malformed line is left out, a
//! folded line is joined, and a `Content-Length` that says no length means that the body ends with the
//! connection. A head has at most 512 headers and 256 KiB.
//!
//! # Sent again
//!
//! The network gives a request to a connection three times at most, and again only in these cases:
//!
//! * The connection turned out to be closed before any byte of the request was written.
//! * An HTTP/2 server said that it did not process the request, by `REFUSED_STREAM` or by a `GOAWAY`
//!   that leaves out its stream.
//! * An HTTP/2 server asked for HTTP/1.1, by `HTTP_1_1_REQUIRED`. The request goes over HTTP/1.1 then.
//! * A proxy answered 407 and did not pass the request on.
//! * The connection had served an earlier request, the server ended it before a byte of the response came, and the
//!   [`ResendPolicy`] allows to send this request again.
//!
//! Except in the last case, no server can have acted on the request before.
//!
//! If a connection is lost in any other way, the fetch fails, whether or not the server has acted on
//! the request.
//!
//! # How far a request got
//!
//! The network [reports](sendbeacon_fetch::host::Transmission) a request as sent in part just before it gives the
//! request to a connection, and as unsent until then. It reports a request as sent if [`SendQueues`] tell that the
//! server's system has all of it. Rust has no safe way to ask the system, so this service is the embedder's.
//!
//! # Error codes
//!
//! A [`NetworkError`](sendbeacon_fetch::NetworkError) carries the kind of the I/O error and its source,
//! so that an engine can choose its own codes. With Chromium's, for example:
//!
//! ```
//! use std::{error::Error, io::ErrorKind};
//!
//! use sendbeacon_fetch::NetworkError;
//!
//! fn code(error: &NetworkError) -> &'static str {
//!     let tls = error.detail().and_then(Error::source);
//!     let tls = tls.and_then(|source| source.downcast_ref::<rustls::Error>());
//!     match (error, error.io_kind()) {
//!         (NetworkError::Dns { .. }, _) => "ERR_NAME_NOT_RESOLVED",
//!         (NetworkError::Tls(_), _) if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) => {
//!             "ERR_CERT_INVALID"
//!         }
//!         (NetworkError::Tls(_), _) => "ERR_SSL_PROTOCOL_ERROR",
//!         (NetworkError::Proxy(_), _) => "ERR_TUNNEL_CONNECTION_FAILED",
//!         (_, Some(ErrorKind::ConnectionRefused)) => "ERR_CONNECTION_REFUSED",
//!         (_, Some(ErrorKind::ConnectionReset)) => "ERR_CONNECTION_RESET",
//!         (_, Some(ErrorKind::UnexpectedEof)) => "ERR_CONNECTION_CLOSED",
//!         (_, Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)) => {
//!             "ERR_ADDRESS_UNREACHABLE"
//!         }
//!         (_, Some(ErrorKind::TimedOut)) => "ERR_TIMED_OUT",
//!         _ => "ERR_FAILED",
//!     }
//! }
//! ```

mod access_check;
mod address_space;
mod connect;
mod connection;
mod counted_stream;
mod error;
mod exchange;
mod http1;
mod http2;
mod lenient_stream;
mod name_cache;
mod network;
mod pool;
mod proxy;
mod request;
mod request_body;
mod resend;
mod resolve;
mod resolver;
mod response_body;
mod response_head;
mod route;
mod send_queue;
mod sender;
mod stream;
mod surplus;
mod targets;
mod tcp;
mod time_left;
mod tls;
mod tls_close;
mod usual_head;

pub use self::{
    error::{AddressesError, LimitError, ProxyError, RootCertificateError},
    network::{HttpNetwork, HttpNetworkBuilder},
    proxy::{
        routes::{NoProxies, Proxies, Route},
        rules::ProxyRules,
        server::Proxy,
    },
    resend::ResendPolicy,
    resolver::{Resolved, Resolver, SystemResolver},
    send_queue::SendQueues,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
