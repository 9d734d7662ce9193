//! Tests of the progress of a fetch, as the outcome, the events and the report of a shutdown tell it.

use std::{
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use http::{HeaderMap, HeaderValue, StatusCode};
use sendbeacon::{
    AbandonReason, ChannelSink, Drain, EventKind, NetworkError, Observation, Outcome, UserAgent,
    host::{
        Answer, BodyStream, BoxFuture, CookieContext, CookieStore, Network, NetworkRequest,
        NetworkResponse, Progress,
    },
};
use sendbeacon_testkit::network::respond;
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep},
};

use crate::browser::{Browser, LONG, client, delivered, request};

/// A network that reports what the path of a request says.
#[derive(Default)]
struct Reporting {
    /// Lets the requests for `/wait` be sent.
    gate: Arc<Notify>,
}

fn lost() -> NetworkError {
    NetworkError::Protocol("lost".into())
}

impl Network for Reporting {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let (transmission, gate) = (request.transmission, Arc::clone(&self.gate));
        let (path, is_new_connection) =
            (request.url.path().to_owned(), request.force_new_connection);
        Box::pin(async move {
            if path != "/silent" {
                transmission.report(Progress::Unsent);
            }
            match &*path {
                "/silent" | "/unsent" => Err(lost()),
                "/part" => {
                    transmission.report(Progress::InPart);
                    Err(lost())
                }
                "/sent" => {
                    transmission.report(Progress::InPart);
                    transmission.report(Progress::Sent);
                    pending().await
                }
                "/wait" => {
                    gate.notified().await;
                    transmission.report(Progress::Sent);
                    pending().await
                }
                "/endless" => {
                    gate.notified().await;
                    let (status, headers) = (StatusCode::OK, HeaderMap::new());
                    Ok(NetworkResponse::new(status, headers, Box::pin(EndlessBody)))
                }
                "/misdirected" if !is_new_connection => respond(421, &[]),
                "/again" => {
                    transmission.report(Progress::InPart);
                    transmission.sent_again(&lost());
                    transmission.report(Progress::InPart);
                    respond(204, &[])
                }
                "/redirect" => respond(307, &[("location", "/unsent")]),
                "/elsewhere" => respond(307, &[("location", "http://b.test/")]),
                _ => respond(204, &[]),
            }
        })
    }
}

/// A body that does not end.
struct EndlessBody;

impl BodyStream for EndlessBody {
    fn poll_chunk(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        Poll::Pending
    }
}

fn browser() -> (Browser, Arc<Notify>) {
    let network = Reporting::default();
    let gate = Arc::clone(&network.gate);
    (Browser::with(|builder| builder.network(Arc::new(network))), gate)
}

#[tokio::test]
async fn an_outcome_says_how_far_the_request_got() {
    let (browser, _) = browser();
    let document = browser.open("http://a.test/");
    for (n, (path, progress)) in [
        ("/silent", Progress::InPart),
        ("/unsent", Progress::Unsent),
        ("/part", Progress::InPart),
        // The first server has the request, and the next one has not.
        ("/redirect", Progress::InPart),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(document.send_beacon(path, Some("x".into())), Ok(true));
        let (done, outcome) = browser.events.wait_for(n + 1).await.swap_remove(n);
        assert_eq!((&*done, outcome), (path, Outcome::Failed { error: lost(), progress }));
    }
}

#[tokio::test]
async fn what_does_not_reach_the_network_is_unsent() {
    let (browser, _) = browser();
    let mut of_policy = client("http://a.test/");
    of_policy.csp_list.push_header("connect-src 'none'", sendbeacon::CspDisposition::Enforce);
    let document = browser.agent.document(of_policy);
    assert_eq!(document.send_beacon("/", None), Ok(true));
    assert_eq!(document.send_beacon("http://a.test:25/", None), Ok(true));
    for (_, outcome) in browser.events.wait_for(2).await {
        assert!(
            matches!(outcome, Outcome::Failed { progress: Progress::Unsent, .. }),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_an_error_counts_as_sent_until_its_redirect_is_followed() {
    let (browser, _) = browser();
    let mut of_policy = client("http://a.test/");
    of_policy.csp_list.push_header("connect-src 'self'", sendbeacon::CspDisposition::Enforce);
    let document = browser.agent.document(of_policy);
    let mut refusing = request(&document, "/elsewhere", true);
    refusing.redirect = sendbeacon::RedirectMode::Error;
    let _pending = document.fetch_group().fetch(refusing);
    let [(_, outcome)] = &browser.events.wait_for(1).await[..] else { panic!("one fetch") };
    assert!(matches!(outcome, Outcome::Failed { progress: Progress::Sent, .. }), "{outcome:?}");

    // The policy allows the first server, and not the second.
    assert_eq!(document.send_beacon("/elsewhere", None), Ok(true));
    let [_, (_, outcome)] = &browser.events.wait_for(2).await[..] else { panic!("two fetches") };
    let Outcome::Failed { error: NetworkError::Csp { .. }, progress } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(*progress, Progress::InPart);
}

#[test]
fn the_report_of_a_shutdown_lists_the_sent_fetches_apart_from_the_lost_ones() {
    let (browser, gate) = browser();
    let document = browser.open("http://a.test/");
    for path in ["/wait", "/sent", "/204"] {
        assert_eq!(document.send_beacon(path, Some("x".into())), Ok(true));
    }
    let report = browser.agent.shutdown_blocking(Duration::from_millis(50));
    drop(gate);
    let sent: Vec<_> = report.sent.iter().map(|it| (it.fetch.url.path(), &it.error)).collect();
    assert_eq!(sent, [("/sent", &NetworkError::from(AbandonReason::Shutdown))]);
    let lost: Vec<_> = report.lost.iter().map(|it| (it.fetch.url.path(), it.progress)).collect();
    assert_eq!(lost, [("/wait", Progress::Unsent)]);
    assert!(report.completed && report.delivered.len() <= 1);
}

#[tokio::test]
async fn a_drain_until_everything_is_sent_ends_when_the_last_request_is_sent() {
    let (browser, gate) = browser();
    let document = browser.open("http://a.test/");
    for path in ["/sent", "/wait", "/204", "/sent"] {
        assert_eq!(document.send_beacon(path, Some("x".into())), Ok(true));
    }
    // Without the gate it would take an hour.
    let mut report = Box::pin(browser.agent.shutdown(Drain::until_sent(Duration::from_secs(3600))));
    assert_eq!(browser.events.wait_for(1).await, [("/204".into(), delivered(204))]);
    for _ in 0..100 {
        assert!(poll_immediate(&mut report).await.is_none(), "one request is not sent");
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let report = tokio::time::timeout(LONG, report).await.unwrap();
    assert!(report.completed && report.lost.is_empty(), "{report:?}");
    assert_eq!((report.sent.len(), report.delivered.len()), (3, 1));
    assert!(report.sent.iter().all(|it| it.error == AbandonReason::Shutdown.into()));
}

#[tokio::test(start_paused = true)]
async fn a_drain_until_everything_is_sent_does_not_wait_for_the_body_of_an_answer() {
    let network = Reporting::default();
    let gate = Arc::clone(&network.gate);
    let browser = Browser::with(|it| it.network(Arc::new(network)).runtime(Handle::current()));
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/endless", None), Ok(true));
    let begin = Instant::now();
    let drain = browser.agent.shutdown(Drain::until_sent(Duration::from_secs(3600)));
    let answer = async {
        sleep(Duration::from_secs(5)).await;
        gate.notify_one();
    };
    let (report, ()) = tokio::join!(drain, answer);
    assert_eq!(begin.elapsed().as_secs(), 5);
    assert_eq!((report.delivered.len(), report.sent.len(), report.lost.len()), (1, 0, 0));
}

/// A cookie store that takes a second to answer.
struct SlowCookies;

impl CookieStore for SlowCookies {
    fn retrieve(&self, _: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        Answer::Later(Box::pin(async {
            sleep(Duration::from_secs(1)).await;
            None
        }))
    }

    fn store(&self, _: CookieContext<'_>, _: Vec<HeaderValue>) -> Answer<()> {
        Answer::Ready(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_until_everything_is_sent_waits_for_a_request_that_was_misdirected() {
    let network = Arc::new(Reporting::default());
    let cookies = Arc::new(SlowCookies);
    let browser =
        Browser::with(|it| it.network(network).cookies(cookies).runtime(Handle::current()));
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/misdirected", None), Ok(true));
    // After a second it is answered with 421, and the cookies are asked for again.
    sleep(Duration::from_millis(1_500)).await;
    let report = browser.agent.shutdown(Drain::until_sent(Duration::from_secs(3600))).await;
    let [delivered] = &report.delivered[..] else { panic!("{report:?}") };
    assert_eq!(delivered.status, 204);
}

#[test]
fn a_request_that_is_sent_again_has_an_event_and_the_reason_in_its_last_one() {
    let (sink, events) = ChannelSink::new(100);
    let network = Arc::new(Reporting::default());
    let agent = UserAgent::builder().network(network).event_sink(sink).build().unwrap();
    let document = agent.document(client("http://a.test/"));
    for path in ["/again", "/204"] {
        assert_eq!(document.send_beacon(path, None), Ok(true));
    }
    agent.shutdown_blocking(LONG);
    drop((document, agent));
    let events: Vec<_> = events.iter().collect();
    let of = |path| events.iter().filter(move |event| event.fetch.url.path() == path);
    for (path, expected) in [("/again", vec![lost()]), ("/204", vec![])] {
        let reasons = of(path).filter_map(|event| match &event.kind {
            EventKind::Observed(Observation::SentAgain { reason, .. }) => Some(reason.clone()),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), expected, "{path}");
        let last = of(path).next_back().map(|event| &event.kind);
        let Some(EventKind::Done { sent_again, .. }) = last else { panic!("{last:?}") };
        assert_eq!(*sent_again, expected);
    }
}
