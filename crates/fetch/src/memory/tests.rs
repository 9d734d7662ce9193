//! Tests of the memory shares.

use proptest::prelude::*;

use super::*;

const KIB: u64 = 1 << 10;

/// The sums of a user agent.
#[derive(Default)]
struct Agent(Arc<Sums>);

/// The limits of the tests: 64 KiB for a site, 128 KiB for a partition, 256 KiB and a floor of 32 KiB for the user agent.
const COMMON: PurseLimits =
    PurseLimits { site: 64 * KIB, partition: 128 * KIB, user_agent: 256 * KIB };
const FLOOR: PurseLimits =
    PurseLimits { site: 16 * KIB, partition: 32 * KIB, user_agent: 64 * KIB };

impl Agent {
    fn share(&self, partition: &Arc<Sums>) -> Share {
        Share::new(Arc::clone(partition), Arc::clone(&self.0), COMMON, FLOOR)
    }
}

/// Takes one KiB at a time until the share refuses, and returns how many KiB it has taken.
fn flood(share: &Share) -> u64 {
    (0..1_000).take_while(|_| share.take(KIB)).count() as u64
}

#[test]
fn a_site_gets_its_limit_and_its_part_of_the_floor() {
    let (agent, partition) = (Agent::default(), Arc::default());
    let share = agent.share(&partition);
    assert_eq!(flood(&share), 64 + 16);
    assert!(!share.take(1));
    share.give_back(KIB);
    assert!(share.take(KIB) && !share.take(1));
}

#[test]
fn the_sites_of_a_partition_get_its_limit_and_its_floor() {
    let (agent, partition) = (Agent::default(), Arc::default());
    let sites = [(); 4].map(|()| agent.share(&partition));
    assert_eq!(sites.each_ref().map(flood), [80, 80, 0, 0]);
    let other = agent.share(&Arc::default());
    assert_eq!(flood(&other), 80);
}

#[test]
fn a_partition_has_its_floor_when_the_others_have_emptied_the_user_agent() {
    let agent = Agent::default();
    let greedy = [(); 4].map(|()| agent.share(&Arc::default()));
    assert_eq!(greedy.each_ref().map(flood), [80, 80, 80, 80]);
    // The common purse is empty, and the floors are all taken.
    assert_eq!(agent.0.drawn(), 320 * KIB);
    let late = agent.share(&Arc::default());
    assert_eq!(flood(&late), 0);
    for share in &greedy {
        share.give_back(80 * KIB);
    }
    assert_eq!(flood(&late), 80);
}

#[test]
fn the_floor_is_given_back_first() {
    let (agent, partition) = (Agent::default(), Arc::default());
    let share = agent.share(&partition);
    assert_eq!(flood(&share), 80);
    share.give_back(48 * KIB);
    // A chunk stays in hand.
    assert_eq!(agent.0.floor.0.load(Acquire), 0);
    assert_eq!(agent.0.common.0.load(Acquire), 32 * KIB + CHUNK);
}

#[test]
fn bytes_beyond_every_limit_are_refused_and_overflow_nothing() {
    let (agent, partition) = (Agent::default(), Arc::default());
    let share = agent.share(&partition);
    assert!(!share.take(u64::MAX) && !share.take(64 * KIB + 1));
    assert!(share.take(64 * KIB));
    assert!(!share.take(u64::MAX));
    share.give_back(64 * KIB);
    drop(share);
    assert_eq!((partition.drawn(), agent.0.drawn()), (0, 0));
}

#[test]
fn a_client_counts_once_for_all_its_requests() {
    let (agent, partition) = (Agent::default(), Arc::default());
    let account = ClientAccount::default();
    account.open(|| Arc::new(agent.share(&partition)), || 40 * KIB);
    let counted = account.counted().unwrap();
    assert!(counted.take(KIB) && counted.take(23 * KIB));
    // The site has nothing left but its part of the floor.
    assert!(!counted.take(17 * KIB) && counted.take(16 * KIB));
    counted.give_back(KIB);
    counted.give_back(23 * KIB);
    assert!(!counted.take(41 * KIB));
    counted.give_back(16 * KIB);
    // Nothing is unfinished, so the client does not count. But it needs room beside the first request.
    assert!(!counted.take(30 * KIB) && counted.take(24 * KIB));
    assert!(account.clone().counted().is_none());
}

proptest! {
    #[test]
    fn what_is_held_and_what_is_in_hand_is_what_was_drawn(
        steps in proptest::collection::vec((0..6_usize, 0..40 * KIB, any::<bool>()), 1..300),
    ) {
        let agent = Agent::default();
        let partitions: [Arc<Sums>; 3] = Default::default();
        let shares: Vec<_> = (0..6).map(|n| agent.share(&partitions[n / 2])).collect();
        let mut held: [Vec<u64>; 6] = Default::default();
        for (site, bytes, gives_back) in steps {
            if gives_back && let Some(bytes) = held[site].pop() {
                shares[site].give_back(bytes);
            } else if shares[site].take(bytes) {
                held[site].push(bytes);
            }
            let mut sums = [0; 3];
            for (n, share) in shares.iter().enumerate() {
                let in_hand = share.in_hand();
                prop_assert!(in_hand <= 2 * CHUNK + 40 * KIB);
                let drawn = share.site.drawn();
                prop_assert_eq!(drawn, in_hand + held[n].iter().sum::<u64>());
                prop_assert!(drawn <= COMMON.site + FLOOR.site);
                prop_assert_eq!(share.from_floor.load(Acquire), share.site.floor.0.load(Acquire));
                sums[n / 2] += drawn;
            }
            prop_assert_eq!(partitions.each_ref().map(|sums| sums.drawn()), sums);
            prop_assert!(sums.iter().all(|sum| *sum <= COMMON.partition + FLOOR.partition));
            prop_assert_eq!(agent.0.drawn(), sums.iter().sum::<u64>());
            prop_assert!(agent.0.drawn() <= COMMON.user_agent + FLOOR.user_agent);
        }
        for (share, held) in shares.into_iter().zip(held) {
            for bytes in held {
                share.give_back(bytes);
            }
            drop(share);
        }
        prop_assert_eq!(agent.0.drawn(), 0);
    }
}
