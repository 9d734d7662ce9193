//! What all tests share: builders, requests, and ways to let time pass.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_LENGTH};
use sendbeacon_fetch::{
    NetworkError, Nonce, PartitionKey, Site,
    host::{
        Answer, ConnectionKey, Network, NetworkRequest, NetworkResponse, Progress, ResponseBody,
        Transmission, TransmissionObserver,
    },
};
use sendbeacon_net::{HttpNetwork, HttpNetworkBuilder, Resolved, Resolver};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use url::Url;

/// A builder for which `a.test` and `b.test` are this machine. The certificate of the recording server
/// names both. Idle connections live for an hour, so that they grow too old only if a test lets time pass.
pub(crate) fn builder() -> HttpNetworkBuilder {
    HttpNetwork::builder()
        .idle_timeout(Duration::from_secs(3600))
        .http2_idle_timeout(Duration::from_secs(3600))
        .add_host_mapping("a.test", Ipv4Addr::LOCALHOST.into())
        .add_host_mapping("B.test", Ipv4Addr::LOCALHOST.into())
}

/// A builder that trusts the certificate of `server`.
pub(crate) fn trusting(server: &RecordingServer) -> HttpNetworkBuilder {
    builder().add_root_certificates_pem(server.ca_pem().as_bytes()).unwrap()
}

/// A server's handler: answers each request but those at `lost`.
pub(crate) fn losing<const N: usize>(
    lost: [usize; N],
    by: Behavior,
) -> impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static {
    move |request| {
        if lost.contains(&request.index) { by.clone() } else { Behavior::status(204) }
    }
}

/// A connection key of the numbered partition and the credentials flag.
pub(crate) fn connection_key(partition: u128, credentials: bool) -> ConnectionKey {
    let partition = PartitionKey {
        top_level_site: Site::Opaque(Nonce::from_u128(partition)),
        second_key: None,
    };
    ConnectionKey::new(partition, credentials)
}

/// A POST request as fetch makes it.
pub(crate) fn post(url: &str, body: &'static str) -> NetworkRequest {
    let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(body.len()))]);
    NetworkRequest::new(Method::POST, Url::parse(url).unwrap(), connection_key(0, true))
        .with_headers(headers)
        .with_body(Bytes::from_static(body.as_bytes()))
}

/// A POST request of a beacon: nobody waits for its response.
pub(crate) fn beacon(url: &str, body: &'static str) -> NetworkRequest {
    let mut request = post(url, body);
    request.is_awaited = false;
    request
}

/// Receives what the network reports of one request.
#[derive(Default)]
pub(crate) struct Reports(Mutex<Vec<String>>);

impl Reports {
    /// Lets the network report `request` to the reports that this returns.
    pub(crate) fn of(request: &mut NetworkRequest) -> Arc<Self> {
        let reports = Arc::new(Self::default());
        request.transmission = Transmission::new(Arc::clone(&reports) as _);
        reports
    }

    /// The reports so far: how far the request got, and `again` for each time that it was sent once more.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl TransmissionObserver for Reports {
    fn progressed(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress.to_string());
    }

    fn sent_again(&self, _: &NetworkError) {
        self.0.lock().unwrap().push("again".into());
    }
}

/// Lets time pass on the clock of tokio. Tasks that were just spawned run first.
pub(crate) async fn pass(time: Duration) {
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Awaits `something`, and lets `time` pass once `so_far` has completed.
pub(crate) async fn after<T>(
    time: Duration,
    so_far: impl Future,
    something: impl Future<Output = T>,
) -> T {
    let passing = async {
        so_far.await;
        pass(time).await;
    };
    tokio::join!(something, passing).0
}

/// Sends a request and reads the response to its end.
pub(crate) async fn send(
    network: &HttpNetwork,
    request: NetworkRequest,
) -> Result<(u16, Vec<u8>), NetworkError> {
    let NetworkResponse { status, body, .. } = network.http_network_fetch(request).await?;
    Ok((status.as_u16(), read(body).await?))
}

/// Reads a body to its end.
pub(crate) async fn read(mut body: ResponseBody) -> Result<Vec<u8>, NetworkError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await {
        bytes.extend(chunk?);
    }
    Ok(bytes)
}

/// A resolver that gives every name the same addresses.
pub(crate) struct Everything(pub(crate) Vec<IpAddr>);

impl Resolver for Everything {
    fn resolve(&self, _: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
        Answer::Ready(Ok(Resolved::new(self.0.clone())))
    }
}
