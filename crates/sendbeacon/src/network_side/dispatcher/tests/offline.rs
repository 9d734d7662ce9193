//! Tests of the dispatcher while there is no network.

use super::*;

#[test]
fn no_beacon_starts_offline_and_one_that_waits_too_long_is_given_up() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.handle(Event::Online(false));
    world.queue(2, 1, 1);
    world.now += SECOND * 40;
    world.queue(3, 1, 1);
    assert!(world.started().is_empty());
    world.handle(Event::Online(false));
    assert_eq!(world.wait(), SECOND * 20);
    assert_eq!(world.actions(), [timed_out(2, TimeoutKind::Offline, 60)]);
    world.handle(Event::Online(true));
    assert_eq!(world.started(), [3]);
    // The fetch that had started keeps its own limits.
    assert_eq!(world.wait(), SECOND * 240);
    assert_eq!(world.actions(), [timed_out(1, TimeoutKind::Fetch, 300)]);
}

#[test]
fn a_fetch_that_script_waits_for_starts_offline_whatever_the_limits() {
    let mut world = World::new(limits(2, 2));
    for id in 1..=3 {
        world.queue_with(id, 1, 1, false);
    }
    world.queue(4, 1, 1);
    assert_eq!(world.started(), [1, 4]);
    world.handle(Event::Online(false));
    assert_eq!(world.started(), [2, 3], "they waited for room");
    world.queue_with(5, 1, 1, false);
    world.queue(6, 1, 1);
    assert_eq!(world.started(), [5]);
    // A second message about the same state changes nothing.
    world.handle(Event::Online(false));
    assert!(world.started().is_empty());
    // Each has its place on the wire, until it has left that.
    world.handle(Event::Online(true));
    assert_eq!(world.started(), [6]);
    world.queue_with(7, 1, 1, false);
    for id in [1, 2, 3] {
        world.finish(id);
        assert!(world.started().is_empty(), "{id}");
    }
    world.finish(5);
    assert_eq!(world.started(), [7]);
    for id in [4, 6, 7] {
        world.finish(id);
    }
    assert!(world.started().is_empty());
    assert!(world.dispatcher.is_idle() && world.dispatcher.wire.is_empty());
}

#[test]
fn an_awaited_keepalive_fetch_starts_offline_too_and_may_be_abandoned_before() {
    let mut world = World::new(Scheduling::default());
    world.handle(Event::Online(false));
    for id in 1..=2 {
        let (id, group, endpoint) = (FetchId(id), GroupId(1), to(1, true));
        let (may_wait, is_awaited, gone) = (false, true, false);
        world.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    }
    let reason = AbandonReason::Aborted;
    world.handle(Event::Abandon { id: FetchId(1), reason });
    let aborted = Action::Cancel(FetchId(1), reason.into());
    assert_eq!(world.actions(), [aborted, Action::Start(FetchId(2))]);
    world.finish(2);
    assert!(world.dispatcher.is_idle() && world.dispatcher.wire.is_empty());
}
