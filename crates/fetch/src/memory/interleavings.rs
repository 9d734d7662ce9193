//! Tests of every interleaving of two threads, with loom.
//!
//! They run with `RUSTFLAGS="--cfg sendbeacon_loom" cargo test -p sendbeacon-fetch --lib interleavings`.

use loom::thread;

use super::*;

/// Each purse has room for two of the tests' requests, in two sites.
const LIMITS: PurseLimits = PurseLimits { site: 20, partition: 20, user_agent: 20 };
const EMPTY: PurseLimits = PurseLimits { site: 0, partition: 0, user_agent: 0 };

fn share(sums: &Arc<Sums>, floor: PurseLimits) -> Share {
    Share::new(Arc::default(), Arc::clone(sums), LIMITS, floor)
}

#[test]
fn two_sites_never_draw_more_than_the_user_agent_has() {
    loom::model(|| {
        let agent = Arc::<Sums>::default();
        let [mine, theirs] = [(); 2].map(|()| share(&agent, EMPTY));
        let other = thread::spawn(move || (theirs.take(12), theirs));
        let is_taken = mine.take(12);
        let (is_also_taken, theirs) = other.join().unwrap();
        // NB: neither may have got its bytes, because each was refused while the other's were in the sum.
        assert!(!(is_taken && is_also_taken));
        let held = 12 * (u64::from(is_taken) + u64::from(is_also_taken));
        assert_eq!(agent.drawn(), held);
        let _ = theirs;
    });
}

#[test]
fn two_threads_of_one_site_never_take_more_than_it_has() {
    loom::model(|| {
        let agent = Arc::<Sums>::default();
        let share = Arc::new(share(&agent, EMPTY));
        let other = {
            let share = Arc::clone(&share);
            thread::spawn(move || share.take(12))
        };
        let is_taken = share.take(12);
        assert!(!(is_taken && other.join().unwrap()));
        assert!(agent.drawn() <= 20);
    });
}

#[test]
fn what_two_threads_return_goes_back_to_the_purses_that_it_is_from() {
    loom::model(|| {
        let agent = Arc::<Sums>::default();
        let share = Arc::new(share(&agent, LIMITS));
        assert!(share.take(20) && share.take(15));
        let other = {
            let share = Arc::clone(&share);
            thread::spawn(move || share.leave(15))
        };
        share.leave(20);
        other.join().unwrap();
        assert_eq!((agent.drawn(), share.from_floor.load(Acquire)), (0, 0));
        assert_eq!(share.site.common.0.load(Acquire), 0);
    });
}

#[test]
fn a_client_that_two_threads_use_counts_once_or_not_at_all() {
    loom::model(|| {
        let agent = Arc::<Sums>::default();
        let share = Arc::new(share(&agent, LIMITS));
        let counted = Counted { share, bytes: 5, uses: AtomicU64::new(0) };
        let counted = Arc::new(counted);
        assert!(counted.take(1));
        let other = {
            let counted = Arc::clone(&counted);
            thread::spawn(move || counted.give_back(1))
        };
        assert!(counted.take(2));
        other.join().unwrap();
        let in_hand = || counted.share.in_hand();
        assert_eq!(in_hand() + 5 + 2, agent.drawn());
        counted.give_back(2);
        assert_eq!(in_hand(), agent.drawn());
    });
}
