//! Tests of the dispatcher while a destination is away.

use sendbeacon_fetch::ErrorDetail;

use super::*;

impl World {
    fn unreached(&mut self, id: u64, origin: u64) {
        let (id, destination) = (FetchId(id), origin);
        self.handle(Event::Unreached { id, destination, error: refused() });
    }

    fn held(&mut self, id: u64, origin: u64) {
        self.handle(Event::Held { id: FetchId(id), destination: origin });
    }

    fn reached(&mut self, id: u64, origin: u64) {
        self.handle(Event::Reached { id: FetchId(id), destination: origin });
    }

    /// Moves the clock to the next timeout, after `milliseconds`.
    fn wait_millis(&mut self, milliseconds: u64) {
        assert_eq!(self.wait(), Duration::from_millis(milliseconds));
    }
}

fn refused() -> NetworkError {
    NetworkError::Connect(ErrorDetail::new("refused"))
}

fn resume(id: u64) -> Action {
    Action::Resume(FetchId(id))
}

fn start(id: u64) -> Action {
    Action::Start(FetchId(id))
}

#[test]
fn fetches_to_a_destination_that_is_away_wait_and_those_to_others_start() {
    let mut world = World::new(limits(2, 2));
    for id in 1..=4 {
        world.queue(id, 1, 1);
    }
    assert_eq!(world.started(), [1, 2]);
    world.queue(5, 1, 2);
    assert!(world.started().is_empty(), "the wire is full");
    world.unreached(1, 1);
    world.unreached(2, 1);
    // The waiting ones leave the wire to the other origin.
    assert_eq!(world.started(), [5]);
    assert_eq!(world.parked, [1, 2, 3, 4], "each gives its quota back");
    world.wait_millis(250);
    assert_eq!(world.actions(), [resume(2)]);
    world.reached(2, 1);
    assert!(world.actions().is_empty(), "the wire is full again");
    world.finish(2);
    assert_eq!(world.actions(), [resume(1)]);
    world.finish(5);
    assert_eq!(world.actions(), [resume(3)]);
    for id in [1, 3] {
        world.reached(id, 1);
        world.finish(id);
    }
    assert_eq!(world.actions(), [resume(4)]);
    world.finish(4);
    assert!(world.dispatcher.is_idle() && !world.dispatcher.is_any_away());
    assert!(world.dispatcher.wire.is_empty());
    assert_eq!(world.dispatcher.next_timeout(), None);
}

#[test]
fn a_fetch_that_script_waits_for_does_not_wait_for_a_destination() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.unreached(1, 1);
    world.queue_with(2, 1, 1, false);
    let (id, group, endpoint) = (FetchId(3), GroupId(1), to(1, true));
    let (may_wait, is_awaited, gone) = (false, true, false);
    world.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    assert_eq!(world.started(), [2, 3]);
}

#[test]
fn the_time_of_a_fetch_runs_while_it_waits_for_a_destination() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.unreached(1, 1);
    world.now += SECOND / 10;
    world.queue(2, 1, 1);
    world.queue(3, 2, 1);
    assert!(world.started().is_empty());
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    let mut ended = Vec::new();
    let start = world.now;
    while !world.dispatcher.is_idle() {
        world.wait();
        for action in world.actions() {
            match action {
                Action::Resume(FetchId(id)) => world.unreached(id, 1),
                Action::Cancel(FetchId(id), NetworkError::Timeout { kind, .. }) => {
                    ended.push((id, kind, (world.now - start).as_secs()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let after = TimeoutKind::AfterDocument;
    assert_eq!(ended, [(1, after, 30), (2, after, 30), (3, TimeoutKind::Fetch, 300)]);
    assert_eq!(world.dispatcher.next_timeout(), None);
}

#[test]
fn nothing_is_tried_offline_and_everything_when_the_network_is_back() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    world.queue(2, 1, 2);
    assert_eq!(world.started(), [1, 2]);
    world.handle(Event::Online(false));
    world.unreached(1, 1);
    world.unreached(2, 2);
    world.now += SECOND;
    assert!(world.actions().is_empty());
    assert_eq!(world.dispatcher.next_timeout(), Some(world.now + SECOND * 299));
    world.handle(Event::Online(true));
    let mut actions = world.actions();
    actions.sort_by_key(|action| format!("{action:?}"));
    assert_eq!(actions, [resume(1), resume(2)]);
}

#[test]
fn a_fetch_whose_document_has_gone_waits_offline_for_its_next_attempt() {
    let mut world = World::new(limits(1, 1));
    let (group, endpoint) = (GroupId(1), to(1, true));
    let (id, may_wait, is_awaited, gone) = (FetchId(1), false, true, true);
    world.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    assert_eq!(world.started(), [1]);
    world.unreached(1, 1);
    world.queue(2, 2, 2);
    assert_eq!(world.started(), [2]);
    // Its turn comes while the wire is full, and then the machine loses its network.
    world.wait_millis(250);
    assert!(world.actions().is_empty());
    world.handle(Event::Online(false));
    world.finish(2);
    assert!(world.actions().is_empty());
    world.handle(Event::Online(true));
    assert_eq!(world.actions(), [resume(1)]);
}

#[test]
fn a_change_of_the_network_and_a_shutdown_try_every_destination_at_once() {
    for event in [Event::NetworkChanged, Event::ShutDown { deadline: None }] {
        let mut world = World::new(Scheduling::default());
        world.queue(1, 1, 1);
        assert_eq!(world.started(), [1]);
        world.unreached(1, 1);
        world.queue(2, 1, 1);
        assert!(world.actions().is_empty());
        world.handle(event);
        assert_eq!(world.actions(), [resume(1)]);
        world.reached(1, 1);
        assert_eq!(world.actions(), [resume(2)]);
    }
}

#[test]
fn a_shutdown_gives_up_after_the_last_attempt_at_half_of_its_time() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.unreached(1, 1);
    world.queue(2, 1, 1);
    let begin = world.now;
    world.handle(Event::ShutDown { deadline: Some(world.now + SECOND * 4) });
    let mut attempts = Vec::new();
    loop {
        let actions = world.actions();
        if actions == [resume(1)] {
            attempts.push((world.now - begin).as_millis());
            world.unreached(1, 1);
        } else if !actions.is_empty() {
            let failed = |id| Action::Cancel(FetchId(id), refused());
            assert_eq!(actions, [failed(1), failed(2)]);
            break;
        } else {
            world.wait();
        }
    }
    assert_eq!(attempts, [0, 250, 750, 1_750, 2_000]);
    assert!(world.dispatcher.is_idle());
}

#[test]
fn a_request_of_a_started_fetch_waits_for_a_destination_that_is_away() {
    let mut world = World::new(limits(1, 1));
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.unreached(1, 1);
    // A fetch to another origin is redirected to the one that is away.
    world.queue(2, 1, 2);
    assert_eq!(world.started(), [2]);
    world.held(2, 1);
    world.queue(3, 1, 3);
    assert_eq!(world.actions(), [start(3)], "it has left the wire");
    world.finish(3);
    world.wait_millis(250);
    assert_eq!(world.actions(), [resume(1)]);
    world.reached(1, 1);
    world.finish(1);
    assert_eq!(world.actions(), [resume(2)]);
    // To be held by a destination that is not away costs nothing.
    world.held(2, 4);
    assert_eq!(world.actions(), [resume(2)]);
}

#[test]
fn a_fetch_that_was_parked_before_its_start_keeps_its_turn_when_it_starts() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.unreached(1, 1);
    (2..=4).for_each(|id| world.queue(id, 1, 1));
    world.wait_millis(250);
    assert_eq!(world.actions(), [resume(1)]);
    world.reached(1, 1);
    world.finish(1);
    assert_eq!(world.actions(), [resume(2), resume(3)]);
    // The fetch has started, and asks for its turn.
    world.held(2, 1);
    assert_eq!(world.actions(), [resume(2)], "and not the next one");
    // The answer to its preflight ends its turn.
    world.reached(2, 1);
    assert_eq!(world.actions(), [resume(4)]);
}

#[test]
fn a_fetch_that_goes_on_to_another_destination_leaves_its_turn_to_the_next() {
    let mut world = World::new(Scheduling::default());
    for destination in [1, 2] {
        world.queue(destination, 1, destination);
        assert_eq!(world.started(), [destination]);
        world.unreached(destination, destination);
    }
    (3..=5).for_each(|id| world.queue(id, 1, 1));
    world.handle(Event::NetworkChanged);
    assert_eq!(world.actions().len(), 2);
    // Each request is upgraded to HTTPS, which is another origin.
    world.held(1, 3);
    assert_eq!(world.actions(), [resume(1), resume(3)]);
    world.held(3, 2);
    assert_eq!(world.actions(), [resume(4)]);
    world.unreached(4, 4);
    assert_eq!(world.actions(), [resume(5)]);
}

#[test]
fn a_fetch_that_is_given_up_while_it_waits_leaves_nothing_behind() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    world.queue(2, 1, 1);
    assert_eq!(world.started(), [1, 2]);
    world.unreached(1, 1);
    world.unreached(2, 1);
    world.handle(Event::AbandonGroup { group: GroupId(1), reason: AbandonReason::Aborted });
    assert_eq!(world.actions().len(), 2);
    assert!(world.dispatcher.is_idle() && !world.dispatcher.is_any_away());
    assert_eq!(world.dispatcher.next_timeout(), None);
    world.unreached(1, 1);
    assert!(!world.dispatcher.is_any_away(), "an event about a fetch that is over is ignored");
}
