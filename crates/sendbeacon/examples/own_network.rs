//! How to use an engine's own network stack instead of the library's. Here the stack is reqwest.
//!
//! The program starts a small collector, sends it one beacon, and prints the request that arrives and the outcome.
//!
//! Three duties of a [`Network`] are left out. A real one needs them:
//! * The Local Network Access check ([`local_network_access_check`](sendbeacon::local_network_access_check)). It needs
//!   the address of the connection before the request is written, and reqwest tells the address only with the response.
//!   Without the check, a public page can send to the user's local network.
//! * [`network_changed`](Network::network_changed), which would drop every client. The program stays on one network.
//! * A URL's user name and password, which must not be sent. The page here has none; reqwest would send them.

use std::io::{Read, Write};
use std::task::{Context, Poll};
use std::{collections::HashMap, error::Error, net::TcpListener, pin::Pin, time::Duration};
use std::{sync::Arc, sync::Mutex, sync::PoisonError};

use bytes::Bytes;
use http_body::Body as _;
use sendbeacon::host::{BodyStream, BoxFuture, ConnectionKey, Network, NetworkRequest, Progress};
use sendbeacon::{Client, NetworkError, Nonce, UserAgentBuilder, host::NetworkResponse};

type Result<T, E = NetworkError> = std::result::Result<T, E>;

/// A network over reqwest.
///
/// Requests with different connection keys must not share a connection. So each key has a reqwest client, and thereby
/// a connection pool, of its own.
#[derive(Default)]
struct OverReqwest(Mutex<HashMap<ConnectionKey, reqwest::Client>>);

impl Network for OverReqwest {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse>> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if request.force_new_connection {
            clients.remove(&request.connection);
        }
        let client = clients.entry(request.connection).or_insert_with(|| {
            // The library follows redirects and adds cookies. The network must do neither.
            let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
            plain.no_proxy().build().expect("a client without TLS can be built")
        });
        let transmission = request.transmission;
        let sent = client.request(request.method, request.url.as_str());
        let sent = sent.headers(Arc::unwrap_or_clone(request.headers));
        let sent = sent.body(request.body).send();
        Box::pin(async move {
            let sent = sent.await.inspect_err(|error| {
                // Without this, the request counts as sent in part.
                if error.is_connect() {
                    transmission.report(Progress::Unsent);
                }
            });
            let (head, body) =
                http::Response::from(sent.map_err(|error| failure(&error))?).into_parts();
            Ok(NetworkResponse::new(head.status, head.headers, Box::pin(Incoming(body))))
        })
    }
}

/// The body of a response, as the library reads it.
struct Incoming(reqwest::Body);

impl BodyStream for Incoming {
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        frame.map_ok(|frame| frame.into_data().unwrap_or_default()).map_err(|error| failure(&error))
    }
}

/// The network error for an error of reqwest.
fn failure(error: &reqwest::Error) -> NetworkError {
    NetworkError::Protocol(error.to_string().into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let collector = TcpListener::bind("127.0.0.1:0")?;
    let page = format!("http://{}/page", collector.local_addr()?).parse()?;
    let agent = UserAgentBuilder::new(Arc::new(OverReqwest::default())).build()?;
    let document = agent.document(Client::new(page, Nonce::random()));
    println!("sendBeacon: {}", document.send_beacon("/collect", Some("hello".into()))?);
    // The beacon is delivered while the user agent shuts down, which takes 10 seconds at most.
    let report = agent.shutdown(Duration::from_secs(10));

    // The collector's part: read the request and answer 204.
    let (mut stream, _) = collector.accept()?;
    let mut request = Vec::new();
    while !request.ends_with(b"hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    println!("{}", String::from_utf8_lossy(&request));
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;

    let report = report.await;
    println!("{:?}", report.delivered.first().map(|it| it.status));
    if report.delivered.len() == 1 { Ok(()) } else { Err("the beacon was not delivered".into()) }
}
