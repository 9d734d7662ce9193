//! Tests of servers that are away for a while: what did not reach them is sent again.

mod another_network;
mod ending;
mod quota;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method};
use sendbeacon::{
    AbandonReason, Blob, ErrorDetail, Event, EventKind, EventSink, Inflight, NetworkError, Outcome,
    TimeoutKind, UserAgent, UserAgentBuilder,
    host::{
        Answer, CookieContext, CookieStore, InterceptedRequest, Interception, Interceptor,
        NetworkRequest, Progress,
    },
};
use sendbeacon_testkit::{
    network::{ScriptedNetwork, respond},
    server::{Behavior, RecordingServer},
};
use tokio::{
    net::TcpSocket,
    runtime::Handle,
    time::{Instant, sleep},
};

use crate::browser::{Browser, Events, abandoned, client, delivered, request};

const SECOND: Duration = Duration::from_secs(1);

/// The headers of a response that lets a page of `http://a.test` send JSON.
const CORS_FOR_A: [(&str, &str); 3] = [
    ("Access-Control-Allow-Origin", "http://a.test"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Headers", "content-type"),
];

fn refused() -> NetworkError {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    NetworkError::Connect(ErrorDetail::from(refused))
}

/// A network over which the origins of `away` cannot be reached before `until`. Every other request gets 204, or a
/// redirect to the URL in its query.
fn network_without(away: &'static [&'static str], until: Instant) -> Arc<ScriptedNetwork> {
    Arc::new(ScriptedNetwork::new(move |request| {
        let origin = request.url.origin().ascii_serialization();
        if away.contains(&&*origin) && Instant::now() < until {
            return Err(refused());
        }
        let origin = request.headers.get("origin").map_or("*", |it| it.to_str().unwrap());
        let mut headers = vec![
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Allow-Headers", "content-type"),
        ];
        match request.url.query() {
            Some(target) if request.method != Method::OPTIONS => {
                headers.push(("Location", target));
                respond(307, &headers)
            }
            _ => respond(204, &headers),
        }
    }))
}

/// A browser on the runtime of the test, whose clock may be paused.
fn browser(
    network: &Arc<ScriptedNetwork>,
    configure: impl FnOnce(UserAgentBuilder) -> UserAgentBuilder,
) -> Browser {
    let network = Arc::clone(network) as _;
    Browser::with(|builder| configure(builder.network(network).runtime(Handle::current())))
}

fn lines(sent: &[NetworkRequest]) -> Vec<String> {
    sent.iter().map(|request| format!("{} {}", request.method, request.url)).collect()
}

/// How many of the requests went to `host`.
fn count(network: &ScriptedNetwork, host: &str) -> usize {
    network.sent().iter().filter(|request| request.url.host_str() == Some(host)).count()
}

#[tokio::test(start_paused = true)]
async fn none_of_a_thousand_beacons_is_lost_while_the_server_is_away_for_five_seconds() {
    let begin = Instant::now();
    let network = network_without(&["http://a.test"], begin + SECOND * 5);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    for n in 0..1000 {
        assert_eq!(document.send_beacon(&format!("/{n}"), Some("x".into())), Ok(true));
    }
    let outcomes = browser.events.wait_for(1000).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == delivered(204)));
    let failed = network.sent().len() - 1000;
    assert!((7..20).contains(&failed), "{failed} attempts while the server was away");
    assert!(begin.elapsed() >= SECOND * 5);
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
}

/// A socket that is bound and does not listen: its address refuses connections until it does.
fn silent_socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

/// Starts a server on `socket` when enough requests have not reached it.
struct StartsServer {
    socket: Mutex<Option<TcpSocket>>,
    server: Mutex<Option<RecordingServer>>,
    unreached: Mutex<Vec<(u32, NetworkError)>>,
    events: Arc<Events>,
    after: usize,
}

impl EventSink for StartsServer {
    fn event(&self, event: Event) {
        if let EventKind::Unreached { attempt, error, .. } = &event.kind {
            let mut unreached = self.unreached.lock().unwrap_or_else(PoisonError::into_inner);
            unreached.push((*attempt, error.clone()));
            let socket = self
                .socket
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take_if(|_| unreached.len() >= self.after);
            if let Some(socket) = socket {
                let listener = socket.listen(1024).unwrap();
                let server = RecordingServer::setup().start_on(listener, |_| Behavior::status(204));
                *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
            }
        }
        self.events.event(event);
    }
}

#[tokio::test]
async fn a_server_that_is_started_late_gets_every_beacon_once_over_a_real_socket() {
    let socket = silent_socket();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let events = Arc::new(Events::default());
    let sink = Arc::new(StartsServer {
        socket: Mutex::new(Some(socket)),
        server: Mutex::default(),
        unreached: Mutex::default(),
        events: Arc::clone(&events),
        // The first six are under way at once. The three after them are attempts of their own.
        after: 9,
    });
    let builder = UserAgent::builder().event_sink(Arc::clone(&sink) as _);
    let agent = builder.runtime(Handle::current()).build().unwrap();
    let document = agent.document(client(&url));
    for n in 0..1000 {
        assert_eq!(document.send_beacon(&format!("/{n}"), Some("x".into())), Ok(true));
    }
    drop(document);
    let outcomes = events.wait_for(1000).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == delivered(204)));
    let server = sink.server.lock().unwrap().take().unwrap();
    let mut targets: Vec<_> = server.requests().into_iter().map(|it| it.target).collect();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!((server.requests().len(), targets.len()), (1000, 1000));
    let unreached = sink.unreached.lock().unwrap();
    assert!(unreached.len() + server.connections() < 20, "{unreached:?}");
    for (attempt, error) in &*unreached {
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
        assert!((1..=4).contains(attempt), "{unreached:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_takes_no_room_from_the_others() {
    let until = Instant::now() + SECOND * 3;
    let network = network_without(&["http://away.test"], until);
    let browser =
        browser(&network, |it| it.scheduling(sendbeacon::Scheduling::default().with_overall(6)));
    let document = browser.open("http://a.test/");
    for n in 0..50 {
        assert_eq!(document.send_beacon(&format!("http://away.test/away{n}"), None), Ok(true));
    }
    for n in 0..50 {
        assert_eq!(document.send_beacon(&format!("/{n}"), None), Ok(true));
    }
    let outcomes = browser.events.wait_for(50).await;
    assert!(outcomes.iter().all(|(path, _)| !path.starts_with("/away")));
    assert!(Instant::now() < until);
    assert_eq!(browser.events.wait_for(100).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_before_is_not_asked_again() {
    let network = network_without(&["http://c.test"], Instant::now() + SECOND * 2);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    let json = Blob::with_mime("{}", &mime::APPLICATION_JSON);
    // The first server answers the preflight and redirects. The second one is away.
    let url = "http://b.test/?http://c.test/";
    assert_eq!(document.send_beacon(url, Some((&json).into())), Ok(true));
    browser.events.wait_for(1).await;
    let mut lines = lines(&network.sent());
    assert!(lines.len() > 4);
    // The redirect makes a preflight of its own, which does not reach its server at first.
    lines.dedup();
    assert_eq!(
        lines,
        [
            "OPTIONS http://b.test/?http://c.test/",
            "POST http://b.test/?http://c.test/",
            "OPTIONS http://c.test/",
            "POST http://c.test/"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_preflight_that_was_answered_is_not_repeated() {
    let mut posts = 0;
    let network = Arc::new(ScriptedNetwork::new(move |request| {
        posts += u32::from(request.method == Method::POST);
        if posts == 1 { Err(refused()) } else { respond(204, &CORS_FOR_A) }
    }));
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    let json = Blob::with_mime("{}", &mime::APPLICATION_JSON);
    assert_eq!(document.send_beacon("http://b.test/", Some((&json).into())), Ok(true));
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), delivered(204))]);
    let expected = ["OPTIONS http://b.test/", "POST http://b.test/", "POST http://b.test/"];
    assert_eq!(lines(&network.sent()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_beacon_that_is_redirected_to_a_server_that_is_away_waits_behind_the_others() {
    let network = network_without(&["http://away.test"], Instant::now() + SECOND * 3);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("http://away.test/first", None), Ok(true));
    sleep(SECOND / 100).await;
    for _ in 0..100 {
        assert_eq!(document.send_beacon("/?http://away.test/", None), Ok(true));
    }
    let outcomes = browser.events.wait_for(101).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == delivered(204)));
    assert_eq!(count(&network, "a.test"), 100);
    let failed = count(&network, "away.test") - 101;
    assert!((2..12).contains(&failed), "{failed}");
}

/// Gives every request a number as its cookie.
#[derive(Default)]
struct Numbers(Mutex<u32>);

impl CookieStore for Numbers {
    fn retrieve(&self, _: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        let mut number = self.0.lock().unwrap();
        *number += 1;
        Answer::Ready(Some((*number).into()))
    }

    fn store(&self, _: CookieContext<'_>, _: Vec<HeaderValue>) -> Answer<()> {
        Answer::Ready(())
    }
}

/// Counts the questions. Answers with headers of its own for the path `/changed`.
#[derive(Default)]
struct Counter(Mutex<u32>);

impl Interceptor for Counter {
    fn before_request_sent(&self, intercepted: InterceptedRequest<'_>) -> Answer<Interception> {
        *self.0.lock().unwrap() += 1;
        if intercepted.request.current_url().path() != "/changed" {
            return Answer::Ready(Interception::Continue);
        }
        let headers = HeaderMap::from_iter([("x-changed".parse().unwrap(), HeaderValue::from(1))]);
        Answer::Ready(Interception::ContinueWith(headers))
    }
}

#[tokio::test(start_paused = true)]
async fn the_interceptor_is_asked_once_and_the_cookies_are_those_of_the_last_attempt() {
    let interceptor = Arc::new(Counter::default());
    for (path, cookies) in [("/same", [Some("1"), Some("2")]), ("/changed", [None, None])] {
        let mut is_away = true;
        let network = Arc::new(ScriptedNetwork::new(move |_| {
            if std::mem::take(&mut is_away) { Err(refused()) } else { respond(204, &[]) }
        }));
        let browser = browser(&network, |it| {
            it.cookies(Arc::new(Numbers::default())).interceptor(Arc::clone(&interceptor) as _)
        });
        let document = browser.open("http://a.test/");
        assert_eq!(document.send_beacon(path, Some("body".into())), Ok(true));
        browser.events.wait_for(1).await;
        let sent = network.sent();
        assert_eq!(sent.len(), 2);
        for (request, cookie) in sent.iter().zip(cookies) {
            assert_eq!(request.headers.get("cookie").map(|it| it.to_str().unwrap()), cookie);
            assert_eq!(request.headers.contains_key("x-changed"), path == "/changed");
            assert_eq!(request.headers["content-length"], "4");
            assert_eq!(request.body, "body");
            assert_eq!(request.connect_timeout, Some(SECOND * 10));
        }
    }
    assert_eq!(*interceptor.0.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_a_page_waits_for_fails_at_once_and_one_whose_page_is_gone_is_sent_again() {
    let network = network_without(&["http://a.test"], Instant::now() + SECOND * 2);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    for keepalive in [true, false] {
        let error = document.fetch_group().fetch(request(&document, "/f", keepalive)).await;
        assert_eq!(error.unwrap_err(), refused());
    }
    assert!(network.sent().iter().all(|request| request.connect_timeout.is_none()));
    let pending = document.fetch_group().fetch(request(&document, "/late", true));
    drop(document);
    assert_eq!(browser.events.wait_for(3).await[2], ("/late".into(), delivered(204)));
    assert_eq!(pending.await.unwrap().status, 204);
}

#[tokio::test(start_paused = true)]
async fn only_what_did_not_reach_the_server_is_sent_again() {
    let detail = || ErrorDetail::new("it did not work");
    let io = |kind: std::io::ErrorKind| ErrorDetail::from(std::io::Error::from(kind));
    let reset = std::io::ErrorKind::ConnectionReset;
    let denied = std::io::ErrorKind::PermissionDenied;
    let dns = |reason| NetworkError::Dns { host: "a.test".into(), reason };
    let timeout = |kind| NetworkError::Timeout { kind, after: SECOND };
    for (error, is_again) in [
        (refused(), true),
        (dns(detail()), true),
        (NetworkError::Tls(io(reset)), true),
        (timeout(TimeoutKind::Connect), true),
        (dns(io(denied)), false),
        (NetworkError::Connect(io(denied)), false),
        (NetworkError::Tls(detail()), false),
        (NetworkError::Proxy(detail()), false),
        (NetworkError::Protocol(io(reset)), false),
        (timeout(TimeoutKind::ResponseHead), false),
    ] {
        let mut first = Some(error.clone());
        let network = Arc::new(ScriptedNetwork::new(move |_| match first.take() {
            Some(error) => Err(error),
            None => respond(204, &[]),
        }));
        let browser = browser(&network, |it| it);
        let document = browser.open("https://a.test/");
        assert_eq!(document.send_beacon("/", None), Ok(true));
        let expected = if is_again {
            delivered(204)
        } else {
            Outcome::Failed { error: error.clone(), progress: Progress::InPart }
        };
        assert_eq!(browser.events.wait_for(1).await, [("/".into(), expected)]);
        assert_eq!(network.sent().len(), if is_again { 2 } else { 1 }, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trying_again_can_be_turned_off() {
    let network = network_without(&["http://a.test"], Instant::now() + SECOND);
    let browser = browser(&network, |it| it.try_again(false));
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/", None), Ok(true));
    assert_eq!(
        browser.events.wait_for(1).await,
        [("/".into(), Outcome::Failed { error: refused(), progress: Progress::Unsent })]
    );
    let sent = network.sent();
    assert_eq!((sent.len(), sent[0].connect_timeout), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_back_wakes_what_waits() {
    let begin = Instant::now();
    let network = network_without(&["http://a.test"], begin + SECOND * 15);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/", None), Ok(true));
    sleep(SECOND * 12).await;
    browser.agent.set_online(false);
    sleep(SECOND * 8).await;
    let attempts = network.sent().len();
    sleep(SECOND * 100).await;
    assert_eq!(network.sent().len(), attempts, "nothing is tried offline");
    browser.agent.set_online(true);
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), delivered(204))]);
    assert!(begin.elapsed() < SECOND * 121, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_deferred_fetch_and_a_ping_are_sent_again() {
    let network = network_without(&["https://a.test"], Instant::now() + SECOND * 2);
    let browser = browser(&network, |it| it);
    let document = browser.open("https://a.test/");
    let later = request(&document, "/later", false);
    document.fetch_later(later, sendbeacon::DeferredRequestInit::default()).unwrap();
    document.ping("/ping", "http://b.test/", None);
    drop(document);
    let mut outcomes = browser.events.wait_for(2).await;
    outcomes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(outcomes, [("/later".into(), delivered(204)), ("/ping".into(), delivered(204))]);
}
