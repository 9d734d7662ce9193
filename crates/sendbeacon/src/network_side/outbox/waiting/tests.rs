use std::sync::Arc;

use proptest::prelude::*;
use sendbeacon_fetch::Nonce;

use super::*;
use crate::network_side::outbox::record::{KeptRequest, Timestamp};

const EXPIRES: Duration = Duration::from_secs(10_000);

fn kept(site: u8) -> Kept {
    let page = Url::parse(&format!("https://site{site}.test/")).unwrap();
    let request = KeptRequest::Beacon { url: page.clone().into(), data: None };
    let client = Arc::new(Client::new(page, Nonce::from_u128(1)));
    Kept { created: Timestamp::default(), client, request, cookies: None, size: 1 }
}

fn id(number: u64) -> RecordId {
    RecordId::from_u64(number)
}

fn failed(failures: u32) -> History {
    History { failures, ..History::default() }
}

fn next(waiting: &mut Waiting, now: Instant, active: bool) -> Option<Look> {
    waiting.next(now, |_| Duration::ZERO, EXPIRES, |_| active)
}

#[test]
fn the_number_of_attempts_at_once_grows_with_success_and_falls_with_a_failure() {
    let (mut waiting, now) = (Waiting::default(), Instant::now());
    for number in 0..40 {
        waiting.add(id(number), kept(0), History::default(), now);
    }
    let client = kept(0).client;
    let begin = |waiting: &mut Waiting| {
        let mut count = 0;
        while let Some(Look::Try(id)) = next(waiting, now, true) {
            assert_eq!(waiting.begin(id).map(|it| it.attempts), Some(1));
            waiting.take(id);
            count += 1;
        }
        count
    };
    assert_eq!(begin(&mut waiting), 1);
    waiting.ended(&client, true, now);
    assert_eq!(begin(&mut waiting), 2);
    waiting.ended(&client, true, now);
    assert_eq!(begin(&mut waiting), 3, "four at once, of which one runs");
    waiting.ended(&client, false, now);
    assert_eq!(begin(&mut waiting), 0, "three still run");
}

#[test]
fn a_record_that_failed_waits_longer_each_time_and_a_new_network_ends_the_wait() {
    let (mut waiting, now) = (Waiting::default(), Instant::now());
    for (failures, seconds) in [(0, 0), (1, 60), (2, 120), (3, 240), (7, 3600), (40, 3600)] {
        waiting.add(id(1), kept(0), failed(failures), now);
        let at = now + Duration::from_secs(seconds);
        if seconds > 0 {
            let before = now + Duration::from_secs(seconds - 1);
            assert!(next(&mut waiting, before, true).is_none());
        }
        assert!(matches!(next(&mut waiting, at, true), Some(Look::Try(_))), "{failures}");
        waiting.take(id(1));
        waiting.look = None;
    }
    waiting.add(id(1), kept(0), failed(9), now);
    waiting.forget_waits(now);
    assert!(matches!(next(&mut waiting, now, true), Some(Look::Try(_))));
}

#[test]
fn without_a_document_the_embedder_is_asked_once_and_again_after_an_hour() {
    let (mut waiting, now) = (Waiting::default(), Instant::now());
    waiting.add(id(1), kept(0), History::default(), now);
    assert!(matches!(next(&mut waiting, now, false), Some(Look::Ask(_))));
    assert!(next(&mut waiting, now, false).is_none());
    waiting.permitted(&Permission { record: id(1), is_permitted: false }, now);
    assert!(next(&mut waiting, now, false).is_none());
    assert_eq!(waiting.next_look(), Some(now + LONGEST_WAIT));
    let later = now + LONGEST_WAIT;
    assert!(next(&mut waiting, later, false).is_none());
    assert!(matches!(next(&mut waiting, later, false), Some(Look::Ask(_))));
    waiting.permitted(&Permission { record: id(1), is_permitted: true }, later);
    assert!(matches!(next(&mut waiting, later, false), Some(Look::Try(_))));
}

#[test]
fn many_records_are_asked_about_and_expire_together() {
    let (mut waiting, now) = (Waiting::default(), Instant::now());
    for number in 0..1_000 {
        waiting.add(id(number), kept(0), History::default(), now);
    }
    let asked = next(&mut waiting, now, false);
    assert!(matches!(asked, Some(Look::Ask(questions)) if questions.len() == 1_000));
    waiting.look_at(now);
    let expired = waiting.next(now, |_| EXPIRES, EXPIRES, |_| true);
    assert!(matches!(expired, Some(Look::Expired(records)) if records.len() == 1_000));
}

#[test]
fn a_document_comes_before_the_answer_of_the_embedder() {
    let (mut waiting, now) = (Waiting::default(), Instant::now());
    waiting.add(id(1), kept(0), History::default(), now);
    assert!(matches!(next(&mut waiting, now, false), Some(Look::Ask(_))));
    waiting.look_at(now);
    assert!(matches!(next(&mut waiting, now, true), Some(Look::Try(_))));
    waiting.begin(id(1));
    waiting.permitted(&Permission { record: id(1), is_permitted: false }, now);
    waiting.look_at(now);
    assert!(next(&mut waiting, now, true).is_none(), "it is being tried");
}

proptest! {
    /// Whatever happens, no more records are tried at once than may be, and each that waits and may be sent is tried.
    #[test]
    fn no_record_is_forgotten(sites in prop::collection::vec(0..4_u8, 1..30), outcomes: Vec<bool>) {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        for (number, site) in sites.iter().enumerate() {
            waiting.add(id(number as u64), kept(*site), History::default(), now);
        }
        let (mut running, mut tried) = (Vec::new(), 0);
        let mut outcomes = outcomes.into_iter();
        loop {
            while let Some(look) = next(&mut waiting, now, true) {
                let Look::Try(id) = look else { panic!("a document is active") };
                waiting.begin(id);
                running.push(waiting.take(id).unwrap().kept.client);
                tried += 1;
                prop_assert!(running.len() <= waiting.may_run);
            }
            let Some(client) = running.pop() else { break };
            waiting.ended(&client, outcomes.next().unwrap_or(true), now);
        }
        prop_assert_eq!(tried, sites.len());
        prop_assert!(waiting.running.is_empty());
    }
}
