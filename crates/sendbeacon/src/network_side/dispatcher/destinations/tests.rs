//! Tests of the destinations: every wait is the longest that is possible.

use sendbeacon_fetch::ErrorDetail;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

struct World {
    destinations: Destinations,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { destinations: Destinations::new(|longest| longest), now: Instant::now() }
    }

    fn wait(&mut self, id: u64) {
        self.destinations.wait(FetchId(id), 7);
    }

    /// A request of the fetch does not reach destination 7. Returns the fetches that are given up.
    fn fail(&mut self, id: u64) -> Vec<u64> {
        let given_up = self.destinations.failed(FetchId(id), 7, error(), self.now);
        given_up
            .into_iter()
            .map(|(id, of_id)| {
                assert_eq!(of_id, error());
                id.0
            })
            .collect()
    }

    fn reach(&mut self, id: u64) {
        self.destinations.reached(FetchId(id), 7);
    }

    /// The fetches whose turn has come. Each begins its attempt.
    fn turns(&mut self) -> Vec<u64> {
        let mut turns = Vec::new();
        while let Some(id) = self.destinations.poll(self.now) {
            self.destinations.begun(id, self.now);
            turns.push(id.0);
        }
        turns
    }

    /// Moves the clock to the next timeout, and returns by how many milliseconds.
    fn sleep(&mut self) -> u128 {
        let next = self.destinations.next_timeout().expect("a timeout");
        let slept = next - self.now;
        self.now = next;
        slept.as_millis()
    }

    fn assert_nothing_is_left(&self) {
        let Destinations { away, members, alarms, ready, .. } = &self.destinations;
        assert!(away.is_empty() && members.is_empty() && alarms.is_empty() && ready.is_empty());
    }
}

fn error() -> NetworkError {
    NetworkError::Connect(ErrorDetail::new("refused"))
}

#[test]
fn the_waits_grow_from_250_milliseconds_to_8_seconds() {
    let mut world = World::new();
    assert!(world.fail(1).is_empty());
    for wait in [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000] {
        assert!(world.turns().is_empty());
        assert_eq!(world.sleep(), wait);
        assert_eq!(world.turns(), [1]);
        assert!(world.fail(1).is_empty());
    }
    assert_eq!(world.sleep(), 8_000);
    assert_eq!(world.turns(), [1]);
    world.reach(1);
    assert!(world.turns().is_empty());
    world.assert_nothing_is_left();
}

#[test]
fn one_fetch_tries_the_destination_and_the_others_follow_in_a_ramp() {
    let mut world = World::new();
    // Three are under way when the first fails.
    for id in [1, 2, 3] {
        assert!(world.fail(id).is_empty());
    }
    (4..=12).for_each(|id| world.wait(id));
    assert_eq!(world.sleep(), 250, "the second and the third failure are no further attempts");
    assert_eq!(world.turns(), [3]);
    world.reach(3);
    assert_eq!(world.turns(), [2, 1]);
    world.reach(2);
    assert_eq!(world.turns(), [4, 5]);
    world.reach(1);
    assert_eq!(world.turns(), [6, 7]);
    for id in [4, 5, 6, 7] {
        world.reach(id);
    }
    assert_eq!(world.turns(), [8, 9, 10, 11, 12]);
    assert!(!world.destinations.is_away(7));
    world.assert_nothing_is_left();
}

#[test]
fn a_failure_in_the_ramp_begins_the_waits_anew() {
    let mut world = World::new();
    for id in 1..=9 {
        world.fail(id);
    }
    world.sleep();
    assert_eq!(world.turns(), [9]);
    world.fail(9);
    assert_eq!(world.sleep(), 500);
    assert_eq!(world.turns(), [9]);
    world.reach(9);
    assert_eq!(world.turns(), [8, 7]);
    world.fail(8);
    assert!(world.turns().is_empty());
    // It was under way at that time, too, so that it is not another attempt.
    world.fail(7);
    assert_eq!(world.sleep(), 250);
    assert_eq!(world.turns(), [7]);
}

#[test]
fn a_fetch_that_ends_while_it_tries_lets_the_next_one_try_at_once() {
    let mut world = World::new();
    world.fail(1);
    world.wait(2);
    world.wait(3);
    world.sleep();
    assert_eq!(world.turns(), [1]);
    world.destinations.forget(FetchId(2));
    world.destinations.forget(FetchId(1));
    assert_eq!(world.turns(), [3]);
    world.destinations.forget(FetchId(3));
    world.assert_nothing_is_left();
}

#[test]
fn no_timeout_is_left_when_nothing_waits() {
    let mut world = World::new();
    for id in 1..=100 {
        world.fail(id);
    }
    for id in 1..=100 {
        world.destinations.forget(FetchId(id));
    }
    assert_eq!(world.destinations.next_timeout(), None);
    world.assert_nothing_is_left();
}

#[test]
fn an_attempt_that_is_silent_for_longer_than_connecting_may_take_has_reached_the_server() {
    let mut world = World::new();
    for id in 1..=4 {
        world.fail(id);
    }
    world.sleep();
    assert_eq!(world.turns(), [4]);
    assert_eq!(world.sleep(), LONGEST_SILENCE.as_millis());
    assert_eq!(world.turns(), [3]);
    assert_eq!(world.sleep(), LONGEST_SILENCE.as_millis());
    assert_eq!(world.turns(), [2, 1]);
    world.assert_nothing_is_left();
}

#[test]
fn an_attempt_whose_connection_is_given_up_lets_no_other_one_try_before() {
    let mut world = World::new();
    for id in 1..=4 {
        world.fail(id);
    }
    world.sleep();
    assert_eq!(world.turns(), [4]);
    // The network begins to connect a moment after the turn.
    world.now += CONNECT_TIMEOUT + 100 * MILLISECOND;
    assert!(world.turns().is_empty());
    world.fail(4);
    assert_eq!(world.sleep(), 500);
    assert_eq!(world.turns(), [4]);
}

#[test]
fn a_request_that_reaches_the_server_without_waiting_lets_the_others_follow() {
    let mut world = World::new();
    for id in 1..=4 {
        world.fail(id);
    }
    world.reach(99);
    assert_eq!(world.turns(), [4, 3]);
}

#[test]
fn a_destination_is_tried_at_once_when_the_network_is_back() {
    let mut world = World::new();
    world.fail(1);
    for _ in 0..5 {
        world.sleep();
        assert_eq!(world.turns(), [1]);
        world.fail(1);
    }
    world.now += MILLISECOND;
    world.destinations.wake(world.now);
    assert_eq!(world.turns(), [1]);
    world.fail(1);
    assert_eq!(world.sleep(), 250);
}

#[test]
fn a_shutdown_tries_at_once_and_for_the_last_time_at_the_given_moment() {
    let mut world = World::new();
    world.fail(1);
    world.wait(2);
    world.now += MILLISECOND;
    world.destinations.drain(Some(world.now + 600 * MILLISECOND), world.now);
    assert_eq!(world.turns(), [1]);
    assert!(world.fail(1).is_empty());
    assert_eq!(world.sleep(), 250);
    assert_eq!(world.turns(), [1]);
    assert!(world.fail(1).is_empty());
    assert_eq!(world.sleep(), 350, "the wait would be 500 milliseconds");
    assert_eq!(world.turns(), [1]);
    assert_eq!(world.fail(1), [1, 2]);
    world.assert_nothing_is_left();
    // A fetch that finds the server away later has no second attempt.
    assert_eq!(world.fail(3), [3]);
    world.assert_nothing_is_left();
}

#[test]
fn a_fetch_whose_destination_is_not_away_has_its_turn_at_once() {
    let mut world = World::new();
    world.wait(1);
    assert_eq!(world.turns(), [1]);
    world.assert_nothing_is_left();
}

mod random {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Fail,
        Wait,
        Reach,
        Forget,
        Sleep,
    }

    fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
        let step = prop_oneof![
            Just(Step::Fail),
            Just(Step::Wait),
            Just(Step::Reach),
            Just(Step::Forget),
            Just(Step::Sleep)
        ];
        proptest::collection::vec((step, 0..40_u64), 0..200)
    }

    proptest! {
        /// Each fetch either waits, or has had its turn. When all have ended, nothing is left.
        #[test]
        fn every_fetch_that_waits_has_its_turn(steps in steps()) {
            let mut world = World::new();
            let mut waiting = std::collections::BTreeSet::new();
            let mut over = std::collections::BTreeSet::new();
            for (step, id) in steps {
                if over.contains(&id) {
                    continue;
                }
                match step {
                    // A fetch that waits for its turn neither fails nor reaches anything.
                    Step::Fail if !waiting.contains(&id) => {
                        world.fail(id);
                        waiting.insert(id);
                    }
                    Step::Wait if !waiting.contains(&id) => {
                        world.wait(id);
                        waiting.insert(id);
                    }
                    Step::Reach if !waiting.contains(&id) => world.reach(id),
                    Step::Forget => {
                        world.destinations.forget(FetchId(id));
                        waiting.remove(&id);
                        over.insert(id);
                    }
                    Step::Sleep if world.destinations.next_timeout().is_some() => {
                        world.sleep();
                    }
                    _ => {}
                }
                for id in world.turns() {
                    waiting.remove(&id);
                }
            }
            let mut sleeps = 0;
            while !waiting.is_empty() {
                world.sleep();
                for id in world.turns() {
                    waiting.remove(&id);
                }
                sleeps += 1;
                prop_assert!(sleeps < 100);
            }
            (0..40).for_each(|id| world.destinations.forget(FetchId(id)));
            world.assert_nothing_is_left();
        }
    }
}
