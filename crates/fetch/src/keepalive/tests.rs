//! Tests of the ledger.

use proptest::prelude::*;

use super::*;

fn weight(body_bytes: u64, url_bytes: u64) -> Weight {
    Weight { body_bytes, url_bytes, header_bytes: 0 }
}

#[test]
fn exactly_64_kib_fit() {
    let ledger = Ledger::new(KeepaliveLimits::default());
    let all = ledger.reserve(weight(65_536, 10)).unwrap();
    assert!(ledger.reserve(weight(1, 10)).is_none());
    let empty = ledger.reserve(weight(0, 10)).unwrap();
    drop((all, empty));
    assert_eq!(ledger.inflight(), Inflight::default());
    assert!(ledger.reserve(weight(65_537, 10)).is_none());
}

#[test]
fn requests_and_url_bytes_are_bounded() {
    let ledger = Ledger::new(KeepaliveLimits { body_bytes: 10, requests: 2, url_bytes: 100 });
    let first = ledger.reserve(weight(0, 60)).unwrap();
    assert!(ledger.reserve(weight(0, 41)).is_none());
    let second = ledger.reserve(weight(0, 40)).unwrap();
    assert!(ledger.reserve(weight(0, 0)).is_none());
    drop((first, second));
}

#[test]
fn huge_sizes_and_limits_do_not_overflow() {
    let limits = KeepaliveLimits { body_bytes: u32::MAX, requests: u16::MAX, url_bytes: u32::MAX };
    let ledger = Ledger::new(limits);
    assert!(ledger.reserve(weight(u64::MAX, 0)).is_none());
    assert!(ledger.reserve(weight(0, u64::MAX)).is_none());
    let most = ledger.reserve(weight(BODY_BYTES_MAX, URL_BYTES_MAX)).unwrap();
    assert_eq!(ledger.inflight(), Inflight::unpack(most.entry));
    assert!(ledger.reserve(weight(1, 0)).is_none());
}

#[test]
fn a_closed_ledger_refuses_reservations_and_takes_old_ones_back() {
    let ledger = Ledger::new(KeepaliveLimits::default());
    let held = ledger.reserve(weight(5, 5)).unwrap();
    ledger.close();
    assert!(ledger.reserve(weight(0, 0)).is_none());
    drop(held);
    assert_eq!(ledger.inflight(), Inflight::default());
}

#[test]
fn accepted_requests_count_beyond_the_limits_up_to_the_largest_count() {
    let ledger = Ledger::new(KeepaliveLimits::default());
    let full = ledger.reserve(weight(65_536, 0)).unwrap();
    let over = ledger.reserve_accepted(weight(70_000, 10));
    let on_its_way = ledger.hold_open().unwrap();
    assert_eq!(ledger.inflight().url_bytes, 11);
    drop(on_its_way);
    assert_eq!(ledger.inflight().body_bytes, 135_536);
    assert!(ledger.reserve(weight(0, 0)).is_some() && ledger.reserve(weight(1, 0)).is_none());
    ledger.close();
    let absurd = [(); 2].map(|()| ledger.reserve_accepted(weight(u64::MAX, u64::MAX)));
    assert_eq!(ledger.inflight().body_bytes, BODY_BYTES_MAX);
    assert_eq!(ledger.inflight().requests, 4);
    assert!(ledger.hold_open().is_none());
    assert!(ledger.is_closed());
    drop((full, over, absurd));
    assert_eq!(ledger.inflight(), Inflight::default());
    assert!(ledger.is_closed());
}

proptest! {
    #[test]
    fn live_reservations_sum_to_the_ledger(steps in proptest::collection::vec((any::<bool>(), 0u64..70_000, 0u64..9_000), 1..200)) {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let mut live = Vec::new();
        for (give_back, body, url) in steps {
            if give_back && !live.is_empty() {
                drop(live.pop());
            } else {
                live.extend(ledger.reserve(weight(body, url)));
            }
            let entries = live.iter().map(|it: &Reservation| Inflight::unpack(it.entry));
            let sum = entries.fold(Inflight::default(), |sum, entry| Inflight {
                body_bytes: sum.body_bytes + entry.body_bytes,
                requests: sum.requests + 1,
                url_bytes: sum.url_bytes + entry.url_bytes,
            });
            prop_assert_eq!(ledger.inflight(), sum);
            prop_assert!(sum.body_bytes <= 65_536);
        }
    }
}

#[test]
fn a_reservation_moves_to_another_ledger_if_that_has_room() {
    let ledger = || Ledger::new(KeepaliveLimits::DEFAULT);
    let (first, second) = (ledger(), ledger());
    let weight = Weight { body_bytes: 40_000, url_bytes: 10, header_bytes: 0 };
    let mut one = first.reserve(weight).unwrap().with_guard("guard");
    assert!(!one.move_to(&first), "it is there already");
    assert!(one.move_to(&second));
    assert_eq!((first.inflight(), second.inflight()), (Inflight::default(), weight.into()));
    let mut two = first.reserve(weight).unwrap();
    assert!(!two.move_to(&second), "there is no room");
    assert_eq!((first.inflight(), second.inflight()), (weight.into(), weight.into()));
    assert_eq!((one.guard(), one.guard::<u8>()), (Some(&"guard"), None));
    drop(one);
    assert_eq!(second.inflight(), Inflight::default());
    assert!(two.move_to(&second));
    second.close();
    assert!(!first.reserve(weight).unwrap().move_to(&second), "it is closed");
}
