//! The body of a `fetch()` whose document is in the back/forward cache.

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
    AbandonReason, Document, Inflight, NetworkError, Request, Response,
    host::{BodyStream, NetworkResponse},
};
use sendbeacon_testkit::network::ScriptedNetwork;
use tokio::{runtime::Handle, sync::mpsc, task::yield_now};

use crate::browser::{Browser, delivered};

/// A body that the test sends, and that counts what was read of it.
struct Fed(mpsc::UnboundedReceiver<Bytes>, Arc<AtomicUsize>);

impl BodyStream for Fed {
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

/// The network side is on the test's own thread, so that it has done what it can when the test has
/// let it.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

struct Fetching {
    browser: Browser,
    document: Document,
    response: Response,
    body: mpsc::UnboundedSender<Bytes>,
    read: Arc<AtomicUsize>,
}

const KIB: usize = 1024;

impl Fetching {
    /// A fetch whose response's head has come.
    async fn begin(keepalive: bool) -> Self {
        let (body, receiver) = mpsc::unbounded_channel();
        let read = Arc::new(AtomicUsize::new(0));
        let fed = Mutex::new(Some(Fed(receiver, Arc::clone(&read))));
        let network = ScriptedNetwork::new(move |_| {
            let body = Box::pin(fed.lock().unwrap().take().expect("one request"));
            Ok(NetworkResponse::new(StatusCode::OK, HeaderMap::new(), body))
        });
        let browser = Browser::with(|it| it.network(Arc::new(network)).runtime(Handle::current()));
        let document = browser.open("http://a.test/");
        let url = document.client().api_base_url.join("/f").unwrap();
        let mut request = Request::new(document.client(), url);
        request.keepalive = keepalive;
        let response = document.fetch_group().fetch(request).await.unwrap();
        Self { browser, document, response, body, read }
    }

    fn feed(&self, chunks: usize, length: usize) {
        for _ in 0..chunks {
            self.body.send(vec![0; length].into()).unwrap();
        }
    }

    /// Reads as its reader what there is, and says how much of the body the network side has read.
    async fn read_what_there_is(&mut self) -> usize {
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
async fn it_is_paused_at_its_bound_until_the_document_is_back() {
    for keepalive in [true, false] {
        let mut fetching = Fetching::begin(keepalive).await;
        fetching.feed(10, 16 * KIB);
        assert_eq!(fetching.read_what_there_is().await, 160 * KIB, "a reader sets the pace");
        for _ in 0..2 {
            fetching.document.pagehide(true);
            fetching.feed(10, 16 * KIB);
            let before = fetching.read.load(SeqCst);
            assert_eq!(fetching.read_what_there_is().await, before + 64 * KIB);
            assert_eq!(fetching.read_what_there_is().await, before + 64 * KIB);
            fetching.document.pageshow(true);
            assert_eq!(fetching.read_what_there_is().await, before + 160 * KIB);
        }
        let Fetching { browser, mut response, body, .. } = fetching;
        drop(body);
        assert_eq!(response.chunk().await, None);
        assert_eq!(browser.events.wait_for(1).await, [("/f".into(), delivered(200))]);
    }
}

#[tokio::test]
async fn a_keepalive_body_is_drained_when_its_document_does_not_come_back() {
    let mut fetching = Fetching::begin(true).await;
    fetching.document.pagehide(true);
    fetching.feed(4, 16 * KIB);
    assert_eq!(fetching.read_what_there_is().await, 64 * KIB);
    fetching.feed(12, KIB);
    settle().await;
    assert_eq!(fetching.read.load(SeqCst), 64 * KIB);
    fetching.document.unload();
    let Fetching { browser, document, mut response, body, read } = fetching;
    drop(body);
    // Nobody reads, and the fetch comes to its end.
    assert_eq!(browser.events.wait_for(1).await, [("/f".into(), delivered(200))]);
    assert_eq!(read.load(SeqCst), 76 * KIB);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    let cut_off = NetworkError::Abandoned(AbandonReason::CutOff);
    let mut last = response.chunk().await;
    while let Some(Ok(_)) = last {
        last = response.chunk().await;
    }
    assert_eq!(last, Some(Err(cut_off)));
}

#[tokio::test]
async fn a_plain_fetch_is_stopped_when_its_document_does_not_come_back() {
    let mut fetching = Fetching::begin(false).await;
    fetching.document.pagehide(true);
    fetching.feed(5, 16 * KIB);
    assert_eq!(fetching.read_what_there_is().await, 64 * KIB);
    fetching.document.unload();
    let terminated = NetworkError::Abandoned(AbandonReason::Terminated);
    let mut last = fetching.response.chunk().await;
    while let Some(Ok(_)) = last {
        last = fetching.response.chunk().await;
    }
    assert_eq!(last, Some(Err(terminated)));
    assert_eq!(fetching.browser.events.wait_for(1).await, [("/f".into(), delivered(200))]);
}
