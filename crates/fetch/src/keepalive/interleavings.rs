//! Tests of every interleaving of two threads, with loom.
//!
//! They run with `RUSTFLAGS="--cfg sendbeacon_loom" cargo test -p sendbeacon-fetch --lib interleavings`.

use loom::{sync::Arc, thread};

use super::*;

const LIMITS: KeepaliveLimits = KeepaliveLimits { body_bytes: 10, requests: 3, url_bytes: 9 };
const ENTRY: Inflight = Inflight { body_bytes: 5, requests: 1, url_bytes: 3 };

#[test]
fn two_threads_never_reserve_more_than_there_is() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        assert!(account.enter(ENTRY, &LIMITS).is_some());
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || account.enter(ENTRY, &LIMITS).is_some())
        };
        let mine = account.enter(ENTRY, &LIMITS).is_some();
        let theirs = other.join().unwrap();
        // There was room for exactly one of them.
        assert!(mine != theirs);
        assert_eq!(Inflight::unpack(account.load()).body_bytes, 10);
    });
}

#[test]
fn a_reservation_given_back_by_another_thread_counts_once() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        assert!(account.enter(ENTRY, &LIMITS).is_some() && account.enter(ENTRY, &LIMITS).is_some());
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || account.leave(ENTRY.pack()))
        };
        let entered = account.enter(ENTRY, &LIMITS).is_some();
        other.join().unwrap();
        let left = if entered { 10 } else { 5 };
        assert_eq!(Inflight::unpack(account.load()).body_bytes, left);
    });
}

#[test]
fn holding_open_sees_that_the_ledger_is_closed_or_the_closer_sees_it() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || {
                account.enter_anyway(ENTRY);
                account.load() & CLOSED != 0
            })
        };
        account.close();
        let is_seen = Inflight::unpack(account.load()).requests == 1;
        assert!(other.join().unwrap() || is_seen);
    });
}

#[test]
fn a_closed_account_admits_nothing_and_shows_what_it_admitted_before() {
    loom::model(|| {
        let account = Arc::new(Account::default());
        let other = {
            let account = Arc::clone(&account);
            thread::spawn(move || account.enter(ENTRY, &LIMITS).is_some())
        };
        account.close();
        // A thread that closes the account and then reads it sees every reservation that will ever exist.
        let seen = Inflight::unpack(account.load()).requests;
        assert_eq!(other.join().unwrap(), seen == 1);
        assert!(!account.enter(ENTRY, &LIMITS).is_some());
    });
}
