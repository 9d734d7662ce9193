//! Tests of the end of the waiting: limits on time, a shutdown and an abort.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_beacon_is_tried_for_thirty_seconds_after_its_document() {
    let network = network_without(&["http://a.test"], Instant::now() + SECOND * 3600);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/", None), Ok(true));
    drop(document);
    let begin = Instant::now();
    sleep(SECOND * 29).await;
    assert!(browser.events.outcomes().is_empty() && browser.events.is_busy());
    let (kind, after) = (TimeoutKind::AfterDocument, SECOND * 30);
    let expected = Outcome::Failed {
        error: NetworkError::Timeout { kind, after },
        progress: Progress::Unsent,
    };
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), expected)]);
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert!((5..30).contains(&network.sent().len()), "{}", network.sent().len());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tries_until_half_of_its_time_and_says_why_the_rest_is_lost() {
    let begin = Instant::now();
    let network = network_without(&["http://never.test"], begin + SECOND * 3600);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    for n in 0..20 {
        assert_eq!(document.send_beacon(&format!("http://never.test/{n}"), None), Ok(true));
    }
    sleep(SECOND / 10).await;
    let report = browser.agent.shutdown(SECOND * 4).await;
    assert!(report.completed && report.delivered.is_empty());
    assert_eq!(report.lost.len(), 20);
    assert!(report.lost.iter().all(|lost| lost.error == refused()));
    assert_eq!((begin.elapsed().as_millis()) / 100, 21, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_delivers_what_waits_if_the_server_is_back() {
    let begin = Instant::now();
    let network = network_without(&["http://a.test"], begin + SECOND);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    for n in 0..200 {
        assert_eq!(document.send_beacon(&format!("/{n}"), None), Ok(true));
    }
    sleep(SECOND / 10).await;
    let report = browser.agent.shutdown(SECOND * 5).await;
    assert_eq!((report.delivered.len(), report.lost.len()), (200, 0));
    assert!(begin.elapsed() < SECOND * 4, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_beacon_that_is_aborted_while_it_waits_ends_at_once() {
    let network = network_without(&["http://a.test"], Instant::now() + SECOND * 3600);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon("/", None), Ok(true));
    sleep(SECOND).await;
    document.fetch_group().abort();
    let aborted = abandoned(AbandonReason::Aborted);
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), aborted)]);
    let attempts = network.sent().len();
    sleep(SECOND * 100).await;
    assert_eq!(network.sent().len(), attempts);
}
