//! Tests of the quota of beacons that wait for a server that is away.

use super::*;
use crate::deferred::{activate_after, request_with_body};

const URL: &str = "http://away.test/";

#[tokio::test(start_paused = true)]
async fn a_waiting_beacon_gives_its_quota_back_up_to_256_kib_for_each_document() {
    let network = network_without(&["http://away.test"], Instant::now() + SECOND * 5);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    let inflight = || document.fetch_group().inflight().body_bytes;
    let body = "x".repeat(60_000);
    for n in 1..=5 {
        assert_eq!(document.send_beacon(URL, Some((&*body).into())), Ok(true), "{n}");
        assert_eq!(document.send_beacon(URL, Some((&*body).into())), Ok(false), "{n}");
        sleep(SECOND / 100).await;
        // The fifth would be more than may wait. It keeps its quota, and is tried all the same.
        assert_eq!(inflight(), if n == 5 { 60_000 } else { 0 });
    }
    assert_eq!(document.send_beacon("/", Some((&*body).into())), Ok(false));
    // Another document has a quota of its own.
    let other = browser.open("http://a.test/");
    assert_eq!(other.send_beacon(URL, Some((&*body).into())), Ok(true));
    let outcomes = browser.events.wait_for(6).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == delivered(204)));
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    // What waited is no longer counted.
    assert_eq!(document.send_beacon("/", Some((&*body).into())), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_deferred_fetch_that_waits_for_room_starts_when_a_waiting_beacon_gives_it_back() {
    let away_until = Instant::now() + SECOND * 5;
    let network = network_without(&["https://away.test"], away_until);
    let browser = browser(&network, |it| it);
    let document = browser.open("https://a.test/");
    let body = "x".repeat(60_000);
    assert_eq!(document.send_beacon("https://away.test/", Some((&*body).into())), Ok(true));
    // It is due before the first attempt of the beacon has failed.
    let later = request_with_body(&document, "/later", 30_000);
    document.fetch_later(later, activate_after(0)).unwrap();
    assert_eq!(browser.events.wait_for(1).await, [("/later".into(), delivered(204))]);
    assert!(Instant::now() < away_until);
    assert_eq!(browser.events.wait_for(2).await[1], ("/".into(), delivered(204)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_beacons_that_have_given_their_quota_back() {
    let network = network_without(&["http://away.test"], Instant::now() + SECOND);
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    assert_eq!(document.send_beacon(URL, Some("x".into())), Ok(true));
    sleep(SECOND / 100).await;
    assert_eq!(document.fetch_group().inflight(), Inflight::default());
    let report = browser.agent.shutdown(SECOND * 4).await;
    assert_eq!((report.delivered.len(), report.lost.len()), (1, 0));
}

#[cfg(all(unix, feature = "remote"))]
#[tokio::test]
async fn a_content_process_hears_that_the_quota_is_back_while_the_beacon_waits() {
    use sendbeacon::Timeouts;

    use crate::{browser::wait_until, remote::start_content_process};

    let network = network_without(&["http://away.test"], Instant::now() + SECOND * 3600);
    let timeouts = Timeouts::default().with_fetch(SECOND * 2);
    let browser = Browser::with(|it| it.network(network).timeouts(timeouts));
    let page = client("http://a.test/");
    let remote = start_content_process(&browser, &page);
    let document = remote.document(page);
    let body = "x".repeat(60_000);
    for _ in 0..4 {
        assert_eq!(document.send_beacon(URL, Some((&*body).into())), Ok(true));
        wait_until(|| document.fetch_group().inflight() == Inflight::default()).await;
    }
    assert!(browser.events.outcomes().is_empty() && browser.events.is_busy());
    let outcomes = browser.events.wait_for(4).await;
    let (kind, after) = (TimeoutKind::Fetch, SECOND * 2);
    let expected = Outcome::Failed {
        error: NetworkError::Timeout { kind, after },
        progress: Progress::Unsent,
    };
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == expected), "{outcomes:?}");
    // When they are done, nothing is given back twice.
    assert_eq!(document.send_beacon("/", Some((&*body).into())), Ok(true));
    browser.events.wait_for(5).await;
    wait_until(|| document.fetch_group().inflight() == Inflight::default()).await;
}
