//! Tests of the outbox: what was accepted and not sent survives the end of the app.

mod clearing;
mod crashes;
mod failing;
mod selection;
mod sending_later;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sendbeacon::{
    Document, Event, EventKind, EventSink, Outcome, UserAgent, UserAgentBuilder,
    host::{OutboxError, RecordId},
    outbox::OutboxSettings,
};
use sendbeacon_testkit::{
    outbox::{LabelSealer, MemoryStorage},
    server::{Behavior, RecordedRequest, RecordingServer},
};
use tokio::{net::TcpSocket, sync::Notify, time::timeout};

use crate::browser::{LONG, client, delivered};

/// A run of an app: a user agent over an outbox, and what its sink has heard.
struct App {
    agent: UserAgent,
    heard: Arc<Heard>,
}

/// What an event sink has heard.
#[derive(Default)]
struct Heard {
    news: Mutex<Vec<News>>,
    changed: Notify,
}

#[derive(Clone, Debug)]
enum News {
    Safe(RecordId),
    Done(String, Option<RecordId>, Outcome),
    Failed(OutboxError),
}

impl EventSink for Heard {
    fn event(&self, event: Event) {
        let path = event.fetch.url.path().to_owned();
        match event.kind {
            EventKind::Safe { record, .. } => self.hear(News::Safe(record)),
            EventKind::Done { outcome, .. } => {
                self.hear(News::Done(path, event.fetch.record, outcome));
            }
            _ => {}
        }
    }

    fn outbox_failed(&self, error: &OutboxError) {
        self.hear(News::Failed(error.clone()));
    }
}

impl Heard {
    fn hear(&self, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
        self.changed.notify_waiters();
    }

    fn all<T>(&self, of: impl Fn(News) -> Option<T>) -> Vec<T> {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner).clone();
        news.into_iter().filter_map(of).collect()
    }

    /// Waits for `count` pieces of this kind of news.
    async fn wait<T>(&self, count: usize, of: impl Fn(News) -> Option<T>) -> Vec<T> {
        let met = async {
            loop {
                let changed = self.changed.notified();
                let all = self.all(&of);
                if all.len() >= count {
                    return all;
                }
                changed.await;
            }
        };
        let all = || self.all(Some);
        timeout(LONG, met).await.unwrap_or_else(|_| panic!("only {:?}", all()))
    }

    async fn safe(&self, count: usize) -> Vec<RecordId> {
        self.wait(count, |news| if let News::Safe(id) = news { Some(id) } else { None }).await
    }

    async fn done(&self, count: usize) -> Vec<(String, Outcome)> {
        let done = self.wait(count, ended).await;
        done.into_iter().map(|(path, _, outcome)| (path, outcome)).collect()
    }
}

impl App {
    /// Starts the app over `storage`, with a key. Every request is kept at once.
    fn start(storage: &MemoryStorage) -> Self {
        Self::start_with(storage, |settings| settings, |builder| builder)
    }

    fn start_with(
        storage: &MemoryStorage,
        settings: impl FnOnce(OutboxSettings) -> OutboxSettings,
        configure: impl FnOnce(UserAgentBuilder) -> UserAgentBuilder,
    ) -> Self {
        let heard = Arc::new(Heard::default());
        let of_test = OutboxSettings::default()
            .with_sealer(Arc::new(LabelSealer("key")))
            .with_persist_after(Duration::ZERO);
        let builder = UserAgent::builder()
            .event_sink(Arc::clone(&heard) as _)
            .outbox(storage.outbox(), settings(of_test));
        Self { agent: configure(builder).build().unwrap(), heard }
    }

    fn open(&self, url: &str) -> Document {
        self.agent.document(client(url))
    }
}

/// A server that is away: its address refuses connections until it starts.
struct Away(TcpSocket);

impl Away {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.local_addr().unwrap())
    }

    fn start_with(
        self,
        handler: impl Fn(&RecordedRequest) -> Behavior + Send + Sync + 'static,
    ) -> RecordingServer {
        RecordingServer::setup().start_on(self.0.listen(64).unwrap(), handler)
    }

    fn start(self) -> RecordingServer {
        self.start_with(|_| Behavior::status(204))
    }
}

/// A piece of news of an outbox that has failed.
fn failed(news: News) -> Option<OutboxError> {
    if let News::Failed(error) = news { Some(error) } else { None }
}

/// A piece of news of a request that has ended.
fn ended(news: News) -> Option<(String, Option<RecordId>, Outcome)> {
    if let News::Done(path, record, outcome) = news { Some((path, record, outcome)) } else { None }
}

/// Lets an app accept a beacon to a server that is away, and end. Returns the server and the record of the beacon.
async fn leave_a_beacon(storage: &MemoryStorage) -> (Away, RecordId) {
    let (away, records) = leave_beacons(storage, 1).await;
    (away, records[0])
}

/// Lets an app accept `count` beacons to a server that is away, and end. Returns the server and the records of the beacons.
async fn leave_beacons(storage: &MemoryStorage, count: usize) -> (Away, Vec<RecordId>) {
    let away = Away::new();
    let app = App::start(storage);
    let page = app.open(&away.url("/page"));
    for _ in 0..count {
        assert_eq!(page.send_beacon("/kept", Some("body".into())), Ok(true));
    }
    let mut records = app.heard.safe(count).await;
    drop(page);
    let report = app.agent.shutdown(Duration::ZERO).await;
    assert_eq!((report.kept.len(), report.lost.len()), (count, 0), "{report:?}");
    let mut kept: Vec<_> = report.kept.iter().map(|it| it.record).collect();
    records.sort_unstable();
    kept.sort_unstable();
    assert_eq!(kept, records);
    (away, records)
}

#[tokio::test]
async fn a_beacon_to_a_server_that_is_away_arrives_after_the_next_start() {
    let storage = MemoryStorage::default();
    let (away, record) = leave_a_beacon(&storage).await;
    let url = away.url("/page");
    let server = away.start();
    let app = App::start(&storage);
    let _page = app.open(&url);
    let request = &server.wait_for(1).await[0];
    assert_eq!((&*request.method, &*request.target), ("POST", "/kept"));
    assert_eq!(&request.body[..], b"body");
    assert_eq!(app.heard.wait(1, ended).await, [("/kept".into(), Some(record), delivered(204))]);
    app.agent.shutdown(LONG).await;
    assert_eq!(storage.records(), []);
    assert_eq!(request.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(request.header("referer"), Some(&*url));
}
