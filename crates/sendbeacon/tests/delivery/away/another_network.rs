//! Tests of a device that joins another network while a beacon waits for its server.

use sendbeacon::{
    Document,
    host::{BackgroundAttempt, BackgroundSend},
};

use super::*;

fn changed() -> Outcome {
    abandoned(AbandonReason::NetworkChanged)
}

/// Sends ten beacons to a server that is away for 3 seconds, and lets the first ones fail.
async fn ten_beacons(browser: &Browser, document: &Document) {
    for n in 0..10 {
        assert_eq!(document.send_beacon(&format!("http://away.test/{n}"), None), Ok(true));
    }
    sleep(SECOND / 10).await;
    assert!(browser.events.outcomes().is_empty());
}

fn network() -> Arc<ScriptedNetwork> {
    network_without(&["http://away.test"], Instant::now() + SECOND * 3)
}

#[tokio::test(start_paused = true)]
async fn a_beacon_is_sent_there_while_a_document_of_its_partition_is_fully_active() {
    let network = network();
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/1");
    let sibling = browser.open("http://a.test/2");
    ten_beacons(&browser, &document).await;
    drop(document);
    browser.agent.network_changed();
    let outcomes = browser.events.wait_for(10).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == delivered(204)), "{outcomes:?}");
    drop(sibling);
}

#[tokio::test(start_paused = true)]
async fn a_beacon_ends_if_no_document_of_its_partition_is_fully_active() {
    let network = network();
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    let cached = browser.open("http://a.test/cached");
    let _of_another_site = browser.open("http://b.test/");
    ten_beacons(&browser, &document).await;
    let attempts = network.sent().len();
    cached.pagehide(true);
    drop(document);
    browser.agent.network_changed();
    let outcomes = browser.events.wait_for(10).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == changed()), "{outcomes:?}");
    assert_eq!(network.sent().len(), attempts, "nothing was sent on the other network");
    assert!(!browser.events.is_busy());
}

#[tokio::test(start_paused = true)]
async fn a_beacon_whose_last_document_goes_after_the_change_ends_before_its_next_attempt() {
    let network = network();
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    ten_beacons(&browser, &document).await;
    browser.agent.network_changed();
    sleep(SECOND / 10).await;
    let attempts = network.sent().len();
    drop(document);
    let outcomes = browser.events.wait_for(10).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == changed()), "{outcomes:?}");
    assert_eq!(network.sent().len(), attempts);
}

#[tokio::test(start_paused = true)]
async fn a_beacon_that_was_not_tried_before_the_change_goes_out() {
    let network = network();
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    browser.agent.set_online(false);
    assert_eq!(document.send_beacon("/", None), Ok(true));
    drop(document);
    browser.agent.network_changed();
    browser.agent.set_online(true);
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), delivered(204))]);
}

#[tokio::test(start_paused = true)]
async fn a_beacon_whose_first_attempt_fails_after_the_change_is_sent_again_on_that_network() {
    let network = network();
    let browser = browser(&network, |it| it);
    let document = browser.open("http://a.test/");
    browser.agent.set_online(false);
    assert_eq!(document.send_beacon("http://away.test/", None), Ok(true));
    drop(document);
    browser.agent.network_changed();
    browser.agent.set_online(true);
    assert_eq!(browser.events.wait_for(1).await, [("/".into(), delivered(204))]);
    assert!(network.sent().len() > 1, "the first attempt has failed");
}

/// Permits the attempts of one site, and remembers the questions.
#[derive(Default)]
struct OneSite(Mutex<Vec<String>>);

impl BackgroundSend for OneSite {
    fn permits(&self, attempt: BackgroundAttempt<'_>) -> Answer<bool> {
        let BackgroundAttempt { site, destination, age, network_changes, .. } = attempt;
        let question = format!("{site:?} {destination} {age:?} {network_changes}");
        self.0.lock().unwrap().push(question);
        assert!(age >= SECOND / 10);
        let is_permitted = format!("{site:?}").contains("a.test");
        Answer::Later(Box::pin(async move { is_permitted }))
    }
}

#[tokio::test(start_paused = true)]
async fn the_embedder_may_permit_each_attempt() {
    let network = network();
    let permission = Arc::new(OneSite::default());
    let browser = browser(&network, |it| it.background_send(Arc::clone(&permission) as _));
    for site in ["http://a.test/", "http://b.test/"] {
        let document = browser.open(site);
        assert_eq!(document.send_beacon("http://away.test/", None), Ok(true));
    }
    sleep(SECOND / 10).await;
    browser.agent.network_changed();
    let outcomes = browser.events.wait_for(2).await;
    assert_eq!(outcomes, [("/".into(), changed()), ("/".into(), delivered(204))]);
    let questions = permission.0.lock().unwrap();
    let of_b: Vec<_> = questions.iter().filter(|question| question.contains("b.test")).collect();
    assert_eq!(of_b.len(), 1, "{questions:?}");
    assert!(questions.len() > 2, "{questions:?}");
    assert!(questions.iter().all(|question| question.ends_with(" 1")), "{questions:?}");
}
