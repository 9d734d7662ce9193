//! When and how the requests of the outbox are sent.

use sendbeacon::{
    MemoryCookieStore, NetworkError, ThirdPartyCookies, TimeoutKind, Timeouts,
    host::{Answer, BackgroundAttempt, BackgroundSend, Network, Progress},
    outbox::{Redelivery, RedeliveryCookies},
};

use super::*;
use crate::browser::scripted_network;

/// Answers each question about sending in the background, and notifies.
struct Background {
    is_permitted: bool,
    asked: Mutex<Vec<(String, u64)>>,
    changed: Notify,
}

impl BackgroundSend for Background {
    fn permits(&self, attempt: BackgroundAttempt<'_>) -> Answer<bool> {
        let asked = (attempt.destination.path().to_owned(), attempt.network_changes);
        self.asked.lock().unwrap().push(asked);
        self.changed.notify_one();
        Answer::Ready(self.is_permitted)
    }
}

fn background(is_permitted: bool) -> Arc<Background> {
    Arc::new(Background { is_permitted, asked: Mutex::default(), changed: Notify::new() })
}

#[tokio::test]
async fn a_start_without_documents_sends_nothing() {
    let storage = MemoryStorage::default();
    let (away, _) = leave_a_beacon(&storage).await;
    let server = away.start();
    let permission = background(false);
    let of_app = Arc::clone(&permission) as _;
    let app = App::start_with(&storage, |it| it, |it| it.background_send(of_app));
    timeout(LONG, permission.changed.notified()).await.unwrap();
    assert_eq!(*permission.asked.lock().unwrap(), [("/kept".to_owned(), 0)]);
    // A page of another site does not change that.
    let other = RecordingServer::start(|_| Behavior::status(204)).await;
    let page = app.open(&other.url("/").replace("127.0.0.1", "localhost"));
    assert_eq!(page.send_beacon("/", None), Ok(true));
    other.wait_for(1).await;
    drop(page);
    app.agent.shutdown(LONG).await;
    assert_eq!(server.connections(), 0);
    assert_eq!(storage.records().len(), 1);
}

#[tokio::test]
async fn records_of_an_earlier_run_that_exceed_the_limits_are_sent() {
    let storage = MemoryStorage::default();
    let (away, _) = leave_beacons(&storage, 3).await;
    let url = away.url("/page");
    let server = away.start();
    let app = App::start_with(&storage, |it| it.with_limits(1, 1), |it| it);
    let _page = app.open(&url);
    server.wait_for(3).await;
    app.heard.done(3).await;
    assert_eq!(app.heard.all(failed), []);
}

#[tokio::test]
async fn the_embedder_may_permit_to_send_without_a_document() {
    let storage = MemoryStorage::default();
    let (away, _) = leave_a_beacon(&storage).await;
    let server = away.start();
    let permission = background(true) as Arc<dyn BackgroundSend>;
    let app = App::start_with(&storage, |it| it, |it| it.background_send(permission));
    server.wait_for(1).await;
    assert_eq!(app.heard.done(1).await, [("/kept".to_owned(), delivered(204))]);
}

#[tokio::test]
async fn what_could_not_be_sent_is_tried_again_by_the_same_run_when_the_network_is_back() {
    let (storage, away) = (MemoryStorage::default(), Away::new());
    let timeouts = Timeouts::default().with_after_document(Duration::from_millis(50));
    let app = App::start_with(&storage, |it| it, |it| it.timeouts(timeouts));
    let url = away.url("/page");
    let page = app.open(&url);
    assert_eq!(page.send_beacon("/kept", None), Ok(true));
    app.heard.safe(1).await;
    drop(page);
    let (_, _, outcome) = app.heard.wait(1, ended).await.remove(0);
    let kept = matches!(
        outcome,
        Outcome::Kept {
            error: NetworkError::Timeout { kind: TimeoutKind::AfterDocument, .. },
            progress: Progress::Unsent,
            ..
        }
    );
    assert!(kept, "{outcome:?}");
    let server = away.start();
    let _page = app.open(&url);
    app.agent.set_online(false);
    app.agent.set_online(true);
    server.wait_for(1).await;
    let outcomes = app.heard.done(2).await;
    assert_eq!(outcomes[1], ("/kept".into(), delivered(204)));
}

/// Sends a beacon with the cookie `a=1` to a server that is away, and returns the `Cookie` header with which it arrives in
/// the next run of the app, whose jar has `now`.
async fn cookie_of_later(
    now: &str,
    settings: impl Fn(OutboxSettings) -> OutboxSettings,
) -> Option<String> {
    let (storage, away) = (MemoryStorage::default(), Away::new());
    let url = away.url("/page");
    let start = |cookie: &str| {
        let jar = MemoryCookieStore::new(ThirdPartyCookies::Block);
        jar.set_document_cookie(&client(&url), cookie);
        App::start_with(&storage, &settings, |it| it.cookies(Arc::new(jar)))
    };
    let app = start("a=1");
    let page = app.open(&url);
    assert_eq!(page.send_beacon("/kept", None), Ok(true));
    app.heard.safe(1).await;
    drop(page);
    app.agent.shutdown(Duration::ZERO).await;
    let server = away.start();
    let app = start(now);
    let _page = app.open(&url);
    server.wait_for(1).await[0].header("cookie").map(str::to_owned)
}

#[tokio::test]
async fn a_request_of_the_outbox_has_its_cookies_only_if_they_are_the_same() {
    let same = Some("a=1".to_owned());
    assert_eq!(cookie_of_later("a=1", |it| it).await, same);
    assert_eq!(cookie_of_later("a=2", |it| it).await, None);
    let current = |it: OutboxSettings| it.with_cookies(RedeliveryCookies::Current);
    assert_eq!(cookie_of_later("a=2", current).await, Some("a=2".to_owned()));
    let omit = |it: OutboxSettings| it.with_cookies(RedeliveryCookies::Omit);
    assert_eq!(cookie_of_later("a=1", omit).await, None);
}

#[tokio::test]
async fn without_a_key_a_request_of_the_outbox_has_no_credentials_and_no_private_address() {
    let without = |mut it: OutboxSettings| {
        it.sealer = None;
        it.with_cookies(RedeliveryCookies::Current)
    };
    let storage = MemoryStorage::default();
    let app = App::start_with(&storage, without, |it| it);
    app.agent.set_online(false);
    let page = app.open("https://a.test/");
    assert_eq!(page.send_beacon("/kept", None), Ok(true));
    let away = Away::new();
    let local = app.open(&away.url("/"));
    assert_eq!(local.send_beacon("/local", None), Ok(true));
    app.heard.safe(2).await;
    drop((page, local));
    app.agent.shutdown(Duration::ZERO).await;
    let url = away.url("/");
    let server = away.start();
    // The first record goes over a network that shows the request, the second over real sockets.
    let image = storage.image();
    let jar = Arc::new(MemoryCookieStore::default());
    jar.set_document_cookie(&client("https://a.test/"), "a=1; Secure");
    let network = scripted_network();
    let of_app = Arc::clone(&network) as Arc<dyn Network>;
    let app = App::start_with(&image, without, |it| it.network(of_app).cookies(jar));
    let _page = app.open("https://a.test/");
    app.heard.done(1).await;
    let sent = &network.sent()[0];
    assert_eq!((sent.url.path(), sent.headers.get("cookie")), ("/kept", None));
    assert_eq!(sent.headers["origin"], "https://a.test");
    assert!(!sent.connection.credentials);
    let app = App::start_with(&storage, without, |it| it);
    let _page = app.open(&url);
    let (path, outcome) = app.heard.done(1).await.remove(0);
    let refused =
        matches!(outcome, Outcome::Failed { error: NetworkError::LocalNetworkAccess { .. }, .. });
    assert!(path == "/local" && refused, "{outcome:?}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn the_answer_to_a_request_of_the_outbox_sets_nothing() {
    let storage = MemoryStorage::default();
    let (away, _) = leave_a_beacon(&storage).await;
    let url = away.url("/page");
    let server = away.start_with(|_| {
        Behavior::with_headers(204, &[("Set-Cookie", "a=1"), ("Clear-Site-Data", "\"*\"")])
    });
    let jar = Arc::new(MemoryCookieStore::default());
    let of_app = Arc::clone(&jar) as _;
    let app = App::start_with(&storage, |it| it, |it| it.cookies(of_app));
    let page = app.open(&url);
    server.wait_for(1).await;
    app.heard.done(1).await;
    assert_eq!(jar.document_cookie(&page.client()), "");
    // The answer to a beacon of now does.
    assert_eq!(page.send_beacon("/now", None), Ok(true));
    app.heard.done(2).await;
    assert_eq!(jar.document_cookie(&page.client()), "a=1");
}

#[tokio::test]
async fn a_record_that_is_too_old_ends() {
    let storage = MemoryStorage::default();
    leave_a_beacon(&storage).await;
    let app = App::start_with(&storage, |it| it.with_expires_after(Duration::ZERO), |it| it);
    let (_, outcome) = app.heard.done(1).await.remove(0);
    let (kind, after) = (TimeoutKind::Kept, Duration::ZERO);
    let error = NetworkError::Timeout { kind, after };
    assert_eq!(outcome, Outcome::Failed { error, progress: Progress::Unsent });
    app.agent.shutdown(LONG).await;
    assert_eq!(storage.records(), []);
}

#[tokio::test]
async fn a_record_of_another_key_or_profile_or_with_another_byte_is_removed_and_told() {
    type Change = fn(&MemoryStorage);
    let none: Change = |_| {};
    let flip: Change = |storage| {
        storage.tamper(|record| {
            let middle = record.content.len() / 2;
            record.content[middle] ^= 1;
        });
    };
    let exchange: Change = |storage| {
        storage.tamper(|record| record.state.clone_from(&record.content));
    };
    let cut: Change = |storage| storage.tamper(|record| record.content.truncate(40));
    for (key, profile, change) in [
        ("other", "", none),
        ("key", "other", none),
        ("key", "", flip),
        ("key", "", exchange),
        ("key", "", cut),
    ] {
        let storage = MemoryStorage::default();
        let (away, _) = leave_a_beacon(&storage).await;
        change(&storage);
        let url = away.url("/page");
        let server = away.start();
        let app = App::start_with(
            &storage,
            |it| it.with_sealer(Arc::new(LabelSealer(key))).with_profile(profile),
            |it| it,
        );
        let error = &app.heard.wait(1, failed).await[0];
        assert!(error.to_string().contains("1 of its records cannot be read"), "{error}");
        let page = app.open(&url);
        assert_eq!(page.send_beacon("/now", None), Ok(true));
        app.heard.done(1).await;
        drop(page);
        app.agent.shutdown(LONG).await;
        let targets: Vec<_> = server.requests().into_iter().map(|it| it.target).collect();
        assert_eq!((targets, storage.records()), (vec!["/now".to_owned()], vec![]));
    }
}

#[tokio::test]
async fn at_least_once_sends_what_may_have_arrived() {
    for (redelivery, expected) in [(Redelivery::OnlyUnsent, 1), (Redelivery::AtLeastOnce, 2)] {
        let storage = MemoryStorage::default();
        let server = RecordingServer::start(|request| match request.index {
            0 => Behavior::Hang,
            _ => Behavior::status(204),
        })
        .await;
        let url = server.url("/page");
        let start = || App::start_with(&storage, |it| it.with_redelivery(redelivery), |it| it);
        let app = start();
        let page = app.open(&url);
        assert_eq!(page.send_beacon("/kept", None), Ok(true));
        server.wait_for(1).await;
        drop(page);
        app.agent.shutdown(Duration::from_millis(300)).await;
        let app = start();
        let page = app.open(&url);
        if expected == 2 {
            server.wait_for(2).await;
        } else {
            assert_eq!(page.send_beacon("/now", None), Ok(true));
            app.heard.done(1).await;
        }
        drop(page);
        app.agent.shutdown(LONG).await;
        let requests = server.requests();
        assert_eq!(requests.iter().filter(|it| it.target == "/kept").count(), expected);
        assert_eq!(storage.records(), []);
    }
}

#[tokio::test]
async fn many_records_arrive_once_each_the_sites_in_turn() {
    let (storage, away) = (MemoryStorage::default(), Away::new());
    let app = App::start(&storage);
    let pages = ["127.0.0.1", "localhost"].map(|host| {
        let url = away.url("/page").replace("127.0.0.1", host);
        (app.open(&url), url)
    });
    for (page, _) in &pages {
        for n in 0..30 {
            let url = away.url(&format!("/{n}"));
            assert_eq!(page.send_beacon(&url, Some("x".into())), Ok(true));
        }
    }
    app.heard.safe(60).await;
    let urls = pages.map(|(_, url)| url);
    app.agent.shutdown(Duration::ZERO).await;
    assert_eq!(storage.records().len(), 60);
    let server = away.start();
    let app = App::start(&storage);
    let _pages = urls.map(|url| app.open(&url));
    app.heard.done(60).await;
    let requests = server.requests();
    let mut targets: Vec<_> = requests
        .iter()
        .map(|request| format!("{} {}", request.header("origin").unwrap(), request.target))
        .collect();
    targets.sort();
    targets.dedup();
    assert_eq!((requests.len(), targets.len()), (60, 60));
    let early =
        requests[..20].iter().filter(|it| it.header("origin").unwrap().contains("localhost"));
    assert!((6..=14).contains(&early.count()));
    app.agent.shutdown(LONG).await;
    assert_eq!(storage.records(), []);
}
