//! What cancelled fetches leave behind.

use super::*;

#[test]
fn cancelled_fetches_that_wait_for_room_take_no_memory() {
    let mut world = World::new(limits(1, 1));
    world.queue(0, 1, 0);
    assert_eq!(world.started(), [0]);
    let reason = AbandonReason::Aborted;
    for id in 1..10_000 {
        // To one origin, and to one in another partition.
        let origin = if id % 2 == 0 { 0 } else { 10 };
        world.queue(id, id % 7, origin);
        if id % 10 != 0 {
            world.handle(Event::Abandon { id: FetchId(id), reason });
            assert_eq!(world.actions(), [Action::Cancel(FetchId(id), reason.into())]);
        }
    }
    assert!(world.dispatcher.wire.held() < 4 * 1000, "{}", world.dispatcher.wire.held());
    world.finish(0);
    let expected: Vec<_> = (1..1000).map(|id| 10 * id).collect();
    let mut started = Vec::new();
    while let [id] = world.started()[..] {
        started.push(id);
        world.finish(id);
    }
    started.sort_unstable();
    assert_eq!(started, expected);
    assert!(world.dispatcher.wire.is_empty());
}

#[test]
fn origins_whose_fetches_were_all_cancelled_take_no_memory() {
    let mut world = World::new(limits(1, 1));
    world.queue(0, 1, 0);
    assert_eq!(world.started(), [0]);
    for id in 1..10_000 {
        let (group, reason) = (GroupId(1), AbandonReason::Aborted);
        let endpoint = Endpoint { partition: 1, origin: id, keepalive: true };
        let (may_wait, is_awaited, gone) = (false, false, false);
        let queued = Queued { id: FetchId(id), group, endpoint, may_wait, is_awaited, gone };
        world.handle(Event::Queued(queued));
        if id != 5_000 {
            world.handle(Event::Abandon { id: FetchId(id), reason });
        }
    }
    assert!(world.dispatcher.wire.held() < 10, "{}", world.dispatcher.wire.held());
    assert_eq!(world.actions().len(), 9_998);
    world.finish(0);
    assert_eq!(world.started(), [5_000]);
    world.finish(5_000);
    assert!(world.started().is_empty() && world.dispatcher.wire.is_empty());
}
