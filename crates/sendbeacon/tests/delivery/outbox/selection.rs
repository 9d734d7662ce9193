//! Which requests are kept.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use http::{HeaderValue, header::AUTHORIZATION};
use sendbeacon::{
    DeferredRequestInit, ErrorDetail, NetworkError, Nonce, Origin, Request, UserAgentBuilder,
    host::{
        Answer, BoxFuture, Network, NetworkRequest, NetworkResponse, Progress, ServiceWorkerAnswer,
        ServiceWorkers,
    },
};

use super::*;
use crate::browser::{request, wait_until};

/// A network that never connects.
struct Silent;

impl Network for Silent {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        request.transmission.report(Progress::Unsent);
        Box::pin(std::future::pending())
    }

    fn waits_before_writing(&self) -> bool {
        true
    }
}

fn silent(builder: UserAgentBuilder) -> UserAgentBuilder {
    builder.network(Arc::new(Silent))
}

/// How many of the accepted requests are kept when the app ends at once.
async fn kept(storage: &MemoryStorage, app: App) -> usize {
    let report = app.agent.shutdown(Duration::ZERO).await;
    // A record that was not durable in time is removed after the report.
    wait_until(|| storage.records().len() == report.kept.len()).await;
    report.kept.len()
}

#[tokio::test]
async fn a_beacon_that_is_answered_before_the_delay_touches_no_disk() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let storage = MemoryStorage::default();
    let app = App::start_with(&storage, |it| it.with_persist_after(LONG), |it| it);
    let page = app.open(&server.url("/page"));
    for _ in 0..20 {
        assert_eq!(page.send_beacon("/", None), Ok(true));
    }
    app.heard.done(20).await;
    drop(page);
    app.agent.shutdown(LONG).await;
    assert_eq!(storage.commits(), 0);
}

#[tokio::test]
async fn a_shutdown_keeps_what_is_unfinished_when_it_begins() {
    let storage = MemoryStorage::default();
    let app = App::start_with(&storage, |it| it.with_persist_after(LONG), silent);
    let page = app.open("https://a.test/");
    for _ in 0..20 {
        assert_eq!(page.send_beacon("/", Some("x".into())), Ok(true));
    }
    drop(page);
    assert_eq!(storage.records(), []);
    let report = app.agent.shutdown(Duration::from_millis(500)).await;
    assert_eq!((report.kept.len(), report.lost.len()), (20, 0));
    assert_eq!(storage.records().len(), 20);
}

#[tokio::test]
async fn what_has_no_lasting_origin_or_is_not_encrypted_is_not_kept() {
    let mut opaque = client("https://a.test/");
    opaque.origin = Origin::Opaque(Nonce::from_u128(7));
    let mut credentialless = client("https://a.test/");
    credentialless.network_partition_key.second_key = Some(1);
    for (client, url, expected) in [
        (client("https://a.test/"), "https://b.test/", 1),
        (client("http://127.0.0.1/"), "http://127.0.0.1/", 1),
        (client("http://a.test/"), "http://b.test/", 0),
        (opaque, "https://b.test/", 0),
        (credentialless, "https://b.test/", 0),
    ] {
        let storage = MemoryStorage::default();
        let app = App::start_with(&storage, |it| it, silent);
        let document = app.agent.document(client);
        assert_eq!(document.send_beacon(url, None), Ok(true));
        if expected > 0 {
            app.heard.safe(expected).await;
        }
        drop(document);
        assert_eq!(kept(&storage, app).await, expected, "{url}");
    }
}

#[tokio::test]
async fn a_keepalive_fetch_is_kept_once_its_document_has_gone_unless_it_has_own_credentials() {
    for (credentials, expected) in [(None, 1), (Some("Basic eDp5"), 0)] {
        let storage = MemoryStorage::default();
        let app = App::start_with(&storage, |it| it, silent);
        let page = app.open("https://a.test/");
        let mut call = request(&page, "/log", true);
        call.headers.extend(credentials.map(|it| (AUTHORIZATION, HeaderValue::from_static(it))));
        let pending = page.fetch_group().fetch(call);
        assert_eq!(page.send_beacon("/beacon", None), Ok(true));
        app.heard.safe(1).await;
        assert_eq!(storage.records().len(), 1);
        drop((page, pending));
        app.heard.safe(1 + expected).await;
        assert_eq!(kept(&storage, app).await, 1 + expected);
    }
}

#[tokio::test]
async fn a_ping_is_sent_later_with_the_headers_of_a_ping() {
    let (storage, away) = (MemoryStorage::default(), Away::new());
    let url = away.url("/page");
    let app = App::start(&storage);
    let page = app.open(&url);
    page.ping("/ping", "/target", None);
    app.heard.safe(1).await;
    drop(page);
    assert_eq!(kept(&storage, app).await, 1);
    let server = away.start();
    let app = App::start(&storage);
    let _page = app.open(&url);
    let sent = &server.wait_for(1).await[0];
    assert_eq!((&*sent.target, &sent.body[..]), ("/ping", &b"PING"[..]));
    assert_eq!(sent.header("content-type"), Some("text/ping"));
    assert_eq!(sent.header("ping-from"), Some(&*url));
    assert!(sent.header("ping-to").is_some_and(|to| to.ends_with("/target")));
}

#[tokio::test]
async fn a_deferred_fetch_is_kept_while_it_is_pending_and_an_abort_removes_it() {
    let storage = MemoryStorage::default();
    let app = App::start_with(&storage, |it| it, silent);
    let page = app.open("https://a.test/");
    let defer = |path: &str| {
        page.fetch_later(request(&page, path, false), DeferredRequestInit::default()).unwrap()
    };
    let (aborted, _pending) = (defer("/aborted"), defer("/pending"));
    wait_until(|| storage.records().len() == 2).await;
    aborted.abort();
    wait_until(|| storage.records().len() == 1).await;
    // A crash.
    let image = storage.image();
    let next = App::start_with(&image, |it| it.with_expires_after(Duration::ZERO), silent);
    assert_eq!(next.heard.done(1).await[0].0, "/pending");
}

#[tokio::test]
async fn one_site_and_one_destination_get_a_quarter_of_the_room() {
    let storage = MemoryStorage::default();
    let app = App::start_with(&storage, |it| it.with_limits(1 << 20, 16), silent);
    let send = |page: &str, url: &str, count: usize| {
        let page = app.open(page);
        for _ in 0..count {
            assert_eq!(page.send_beacon(url, None), Ok(true));
        }
    };
    send("https://a.test/", "https://one.test/", 6);
    app.heard.safe(4).await;
    // The destination is full, and then the site.
    send("https://b.test/", "https://one.test/", 3);
    send("https://b.test/", "https://two.test/", 6);
    app.heard.safe(4 + 4).await;
    send("https://c.test/", "https://three.test/", 1);
    app.heard.safe(4 + 4 + 1).await;
    assert_eq!(kept(&storage, app).await, 9);
}

#[tokio::test]
async fn a_deferred_fetch_whose_group_is_aborted_leaves_no_record() {
    let storage = MemoryStorage::default();
    let app = App::start_with(&storage, |it| it, silent);
    let page = app.open("https://a.test/");
    let later = request(&page, "/later", false);
    let _deferred = page.fetch_later(later, DeferredRequestInit::default()).unwrap();
    wait_until(|| storage.records().len() == 1).await;
    page.fetch_group().abort();
    wait_until(|| storage.records().is_empty()).await;
}

/// A network that tells how far a request got, does not wait before it writes, and never answers.
struct TellsAndWrites;

impl Network for TellsAndWrites {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        request.transmission.report(Progress::Unsent);
        Box::pin(std::future::pending())
    }
}

/// A service worker that never answers. It may have sent the request.
struct SilentWorker;

impl ServiceWorkers for SilentWorker {
    fn handle_fetch(&self, _: &Request) -> Answer<ServiceWorkerAnswer> {
        Answer::Later(Box::pin(std::future::pending()))
    }
}

#[tokio::test]
async fn what_somebody_else_may_have_sent_does_not_count_as_unsent() {
    type Configure = fn(UserAgentBuilder) -> UserAgentBuilder;
    let network: Configure = |builder| builder.network(Arc::new(TellsAndWrites));
    let worker: Configure = |builder| builder.service_workers(Arc::new(SilentWorker));
    for configure in [network, worker] {
        let storage = MemoryStorage::default();
        let app = App::start_with(&storage, |it| it, configure);
        app.agent.set_online(false);
        let page = app.open("https://a.test/");
        assert_eq!(page.send_beacon("/b", None), Ok(true));
        app.heard.safe(1).await;
        drop(page);
        // Before the request goes out, its record is changed: that is a second commit.
        app.agent.set_online(true);
        wait_until(|| storage.commits() == 2).await;
        let image = storage.image();
        assert_eq!(app.agent.shutdown(Duration::ZERO).await.kept.len(), 0);
        let next = App::start_with(&image, |it| it, silent);
        assert_eq!(next.heard.done(1).await, [("/b".to_owned(), Outcome::Unknown)]);
    }
}

/// A network that does not wait before it writes. Its first attempt fails to connect when the test says so.
struct FailsOnce(Arc<Notify>, AtomicBool);

impl Network for FailsOnce {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let is_first = !self.1.swap(true, SeqCst);
        Box::pin(async move {
            self.0.notified().await;
            if !is_first {
                std::future::pending::<()>().await;
            }
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Err(NetworkError::Connect(ErrorDetail::from(refused)))
        })
    }
}

#[tokio::test]
async fn a_request_that_comes_back_unsent_is_kept() {
    let storage = MemoryStorage::default();
    let fail = Arc::new(Notify::new());
    let network = Arc::new(FailsOnce(Arc::clone(&fail), AtomicBool::new(false)));
    let app = App::start_with(&storage, |it| it, |it| it.network(network));
    let page = app.open("https://a.test/");
    assert_eq!(page.send_beacon("/b", None), Ok(true));
    fail.notify_one();
    app.heard.safe(1).await;
}
