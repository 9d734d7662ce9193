//! Tests of the body of a `fetch()` whose document is in the back/forward cache.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode};
use sendbeacon::{
    AbandonReason, Document, Inflight, NetworkError, Response,
    host::{BodyStream, NetworkResponse},
};
use sendbeacon_testkit::network::ScriptedNetwork;
use tokio::{runtime::Handle, sync::mpsc, task::yield_now};

use crate::browser::{Browser, delivered, read, request};

/// A body whose chunks the test sends. It adds the length of each chunk that was read to a counter.
struct FedBody(mpsc::UnboundedReceiver<Bytes>, Arc<AtomicUsize>);

impl BodyStream for FedBody {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        self.0.poll_recv(cx).map(|chunk| {
            let chunk = chunk?;
            self.1.fetch_add(chunk.len(), SeqCst);
            Some(Ok(chunk))
        })
    }
}

/// Lets the network side do everything it can do now: it runs on the thread of the test.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// A fetch whose response has begun.
struct Fetching {
    browser: Browser,
    document: Document,
    response: Response,
    /// Sends chunks of the body. The body ends when this is dropped.
    body: mpsc::UnboundedSender<Bytes>,
    /// How many bytes of the body the network side has read.
    read: Arc<AtomicUsize>,
}

const KIB: usize = 1024;

impl Fetching {
    /// Starts a fetch, and waits for the head of its response.
    async fn begin(keepalive: bool) -> Self {
        let (body, receiver) = mpsc::unbounded_channel();
        let read = Arc::new(AtomicUsize::new(0));
        let fed = Mutex::new(Some(FedBody(receiver, Arc::clone(&read))));
        let network = ScriptedNetwork::new(move |_| {
            let body = Box::pin(fed.lock().unwrap().take().expect("one request"));
            Ok(NetworkResponse::new(StatusCode::OK, HeaderMap::new(), body))
        });
        let browser =
            Browser::with(|builder| builder.network(Arc::new(network)).runtime(Handle::current()));
        let document = browser.open("http://a.test/");
        let pending = document.fetch_group().fetch(request(&document, "/f", keepalive));
        let response = pending.await.unwrap();
        Self { browser, document, response, body, read }
    }

    /// Sends so many chunks of so many bytes each.
    fn feed(&self, chunks: usize, length: usize) {
        for _ in 0..chunks {
            self.body.send(vec![0; length].into()).unwrap();
        }
    }

    /// Reads all chunks that have come, and returns how many bytes the network side has read.
    async fn read_available(&mut self) -> usize {
        loop {
            settle().await;
            match self.response.chunk().now_or_never() {
                Some(chunk) => chunk.unwrap().unwrap(),
                None => return self.read.load(SeqCst),
            };
        }
    }
}

#[tokio::test]
async fn a_body_stops_after_64_kib_until_the_document_is_back() {
    for keepalive in [true, false] {
        let mut fetching = Fetching::begin(keepalive).await;
        fetching.feed(10, 16 * KIB);
        assert_eq!(fetching.read_available().await, 160 * KIB, "the reader sets the pace");
        for _ in 0..2 {
            fetching.document.pagehide(true);
            fetching.feed(10, 16 * KIB);
            let before = fetching.read.load(SeqCst);
            assert_eq!(fetching.read_available().await, before + 64 * KIB);
            assert_eq!(fetching.read_available().await, before + 64 * KIB);
            fetching.document.pageshow(true);
            assert_eq!(fetching.read_available().await, before + 160 * KIB);
        }
        let Fetching { browser, mut response, body, .. } = fetching;
        drop(body);
        assert_eq!(response.chunk().await, None);
        assert_eq!(browser.events.wait_for(1).await, [("/f".into(), delivered(200))]);
    }
}

#[tokio::test]
async fn a_keepalive_body_is_drained_when_its_document_is_unloaded() {
    let mut fetching = Fetching::begin(true).await;
    fetching.document.pagehide(true);
    fetching.feed(4, 16 * KIB);
    assert_eq!(fetching.read_available().await, 64 * KIB);
    fetching.feed(12, KIB);
    settle().await;
    assert_eq!(fetching.read.load(SeqCst), 64 * KIB);
    fetching.document.unload();
    let Fetching { browser, document, response, body, read: bytes_read } = fetching;
    drop(body);
    // Nobody reads the response, and still the fetch ends.
    assert_eq!(browser.events.wait_for(1).await, [("/f".into(), delivered(200))]);
    assert_eq!(bytes_read.load(SeqCst), 76 * KIB);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    assert_eq!(read(response).await, Err(AbandonReason::CutOff.into()));
}

#[tokio::test]
async fn a_plain_fetch_is_stopped_when_its_document_is_unloaded() {
    let mut fetching = Fetching::begin(false).await;
    fetching.document.pagehide(true);
    fetching.feed(5, 16 * KIB);
    assert_eq!(fetching.read_available().await, 64 * KIB);
    fetching.document.unload();
    let Fetching { browser, response, .. } = fetching;
    assert_eq!(read(response).await, Err(AbandonReason::Terminated.into()));
    assert_eq!(browser.events.wait_for(1).await, [("/f".into(), delivered(200))]);
}
