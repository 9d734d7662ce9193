//! Deliveries of the same requests by other HTTP clients.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{HOST, ORIGIN, REFERER},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Position, Url};

use crate::{BoxError, PAGE, Peer, Tally, Work};

/// The headers of a beacon to a collector of its own origin, so that all peers send the same requests.
const HEADERS: [(&str, &str); 9] = [
    ("content-type", "text/plain;charset=UTF-8"),
    ("accept", "*/*"),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-site", "same-origin"),
    ("user-agent", "sendbeacon/0.1.0"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("priority", "u=6"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; consent=yes; ab=17"),
];

/// Delivers the requests by `peer`, on two threads. That is as many as the library has with the script thread.
pub(crate) fn deliver(peer: Peer, work: &Work) -> Result<Arc<Tally>, BoxError> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // The work runs on the two workers only, and not on this thread, which blocks.
    runtime.block_on(async {
        let work = work.clone();
        tokio::spawn(async move {
            match peer {
                Peer::Raw => raw(&work).await,
                Peer::HyperUtil => hyper_util(&work).await,
                Peer::Reqwest => reqwest(&work).await,
                Peer::H2 => h2(&work).await,
                Peer::Sendbeacon => Err("the library is no peer of itself".into()),
            }
        })
        .await?
    })
}

async fn raw(work: &Work) -> Result<Arc<Tally>, BoxError> {
    let mut template = Template::new(work, &work.url[Position::BeforePath..Position::AfterQuery])?;
    let host = &work.url[Position::BeforeHost..Position::AfterPort];
    template.headers.insert(HOST, host.try_into()?);
    let slots = Slots::new(work);
    let mut tasks = JoinSet::new();
    for _ in 0..work.concurrency {
        let tcp = connect(&work.url).await?;
        let mut sender = if work.url.scheme() == "https" {
            open(handshake(work, tcp, b"http/1.1").await?).await?
        } else {
            open(tcp).await?
        };
        let (slots, template) = (slots.clone(), template.clone());
        tasks.spawn(async move {
            while slots.take() {
                let sent = async {
                    sender.ready().await?;
                    to_the_end(sender.send_request(template.request()).await?).await
                };
                slots.tally.add(sent.await);
            }
        });
    }
    tasks.join_all().await;
    Ok(slots.tally)
}

/// Opens an HTTP/1.1 connection on `stream`.
async fn open<S>(stream: S) -> hyper::Result<http1::SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn hyper_util(work: &Work) -> Result<Arc<Tally>, BoxError> {
    if work.url.scheme() != "http" {
        return Err("hyper-util without a TLS connector needs an http URL".into());
    }
    let template = Template::new(work, work.url.as_str())?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    Ok(run_slots(work, move || {
        let (client, request) = (client.clone(), template.request());
        async move { to_the_end(client.request(request).await?).await }
    })
    .await)
}

async fn reqwest(work: &Work) -> Result<Arc<Tally>, BoxError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let template = Template::new(work, work.url.as_str())?;
    let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if let Some(roots) = &work.roots {
        client = client.tls_certs_merge(reqwest::Certificate::from_pem_bundle(roots)?);
    }
    let client = client.build()?;
    let url = work.url.clone();
    Ok(run_slots(work, move || {
        let request = client.post(url.clone());
        let request = request.headers(template.headers.clone()).body(template.body.clone());
        async move {
            let response = request.send().await?;
            let status = response.status();
            response.bytes().await?;
            Ok(status)
        }
    })
    .await)
}

async fn h2(work: &Work) -> Result<Arc<Tally>, BoxError> {
    if work.url.scheme() != "https" {
        return Err("HTTP/2 needs an https URL".into());
    }
    let template = Template::new(work, &work.url[..Position::AfterQuery])?;
    let tcp = connect(&work.url).await?;
    let stream = TokioIo::new(handshake(work, tcp, b"h2").await?);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    Ok(run_slots(work, move || {
        let (mut sender, request) = (sender.clone(), template.request());
        async move {
            sender.ready().await?;
            to_the_end(sender.send_request(request).await?).await
        }
    })
    .await)
}

/// The number of requests that are still to be sent, which the tasks share.
#[derive(Clone)]
struct Slots {
    left: Arc<AtomicUsize>,
    tally: Arc<Tally>,
}

impl Slots {
    fn new(work: &Work) -> Self {
        Self { left: Arc::new(AtomicUsize::new(work.count)), tally: Arc::default() }
    }

    /// Takes one request to send; false if none is left.
    fn take(&self) -> bool {
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Calls `send` for each request, from as many tasks as there are requests in flight.
async fn run_slots<F>(work: &Work, send: impl Fn() -> F + Clone + Send + 'static) -> Arc<Tally>
where
    F: Future<Output = Result<StatusCode, BoxError>> + Send,
{
    let slots = Slots::new(work);
    let mut tasks = JoinSet::new();
    for _ in 0..work.concurrency {
        let (slots, send) = (slots.clone(), send.clone());
        tasks.spawn(async move {
            while slots.take() {
                slots.tally.add(send().await);
            }
        });
    }
    tasks.join_all().await;
    slots.tally
}

/// Reads the whole response. Only then is its connection free.
async fn to_the_end(response: Response<Incoming>) -> Result<StatusCode, BoxError> {
    let (head, body) = response.into_parts();
    body.collect().await?;
    Ok(head.status)
}

/// The request of which copies are sent.
#[derive(Clone)]
struct Template {
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Template {
    fn new(work: &Work, target: &str) -> Result<Self, BoxError> {
        let mut headers = HeaderMap::new();
        for (name, value) in HEADERS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(ORIGIN, work.url.origin().ascii_serialization().try_into()?);
        headers.insert(REFERER, work.url.join(PAGE)?.as_str().try_into()?);
        Ok(Self { target: target.parse()?, headers, body: "x".repeat(work.size).into() })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Opens a TCP connection to the URL's host.
async fn connect(url: &Url) -> Result<TcpStream, BoxError> {
    let addresses = url.socket_addrs(|| None)?;
    let tcp = TcpStream::connect(&*addresses).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// Makes a TLS connection with this ALPN protocol.
async fn handshake(
    work: &Work,
    tcp: TcpStream,
    protocol: &[u8],
) -> Result<TlsStream<TcpStream>, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(work.roots.as_deref().unwrap_or_default()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(work.url.host_str().unwrap_or_default().to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}
