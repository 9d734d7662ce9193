//! Tests of the dispatcher: events in, actions out, and a clock that the test moves.

mod away;
mod cancelled;
mod offline;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    dispatcher: Dispatcher,
    now: Instant,
    /// The fetches that were parked so far.
    parked: Vec<u64>,
}

impl World {
    fn new(scheduling: Scheduling) -> Self {
        let dispatcher = Dispatcher::new(Timeouts::default(), scheduling, |longest| longest);
        Self { dispatcher, now: Instant::now(), parked: Vec::new() }
    }

    fn queue(&mut self, id: u64, group: u64, endpoint: u64) {
        self.queue_with(id, group, endpoint, true);
    }

    fn queue_with(&mut self, id: u64, group: u64, endpoint: u64, keepalive: bool) {
        let (id, group, endpoint) = (FetchId(id), GroupId(group), to(endpoint, keepalive));
        let (may_wait, is_awaited, gone) = (keepalive, !keepalive, false);
        self.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    }

    fn handle(&mut self, event: Event) {
        self.dispatcher.handle(event, self.now);
    }

    fn finish(&mut self, id: u64) {
        self.handle(Event::Finished { id: FetchId(id) });
    }

    /// The actions that are to be done, apart from each `Park`, which goes into `parked`.
    fn actions(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.dispatcher.poll(self.now) {
            match action {
                Action::Park(id) => self.parked.push(id.0),
                action => actions.push(action),
            }
        }
        actions
    }

    fn started(&mut self) -> Vec<u64> {
        let id = |action| match action {
            Action::Start(id) => id.0,
            action => panic!("{action:?}"),
        };
        self.actions().into_iter().map(id).collect()
    }

    /// Moves the clock to the next timeout, and returns by how much.
    fn wait(&mut self) -> Duration {
        let next = self.dispatcher.next_timeout().expect("a timeout");
        let waited = next - self.now;
        self.now = next;
        waited
    }
}

/// The endpoint of an origin. Ten origins at a time share a partition.
fn to(origin: u64, keepalive: bool) -> Endpoint {
    Endpoint { partition: origin / 10, origin, keepalive }
}

fn limits(per_origin: usize, overall: usize) -> Scheduling {
    Scheduling { per_origin, overall, ..Scheduling::default() }
}

fn timed_out(id: u64, kind: TimeoutKind, seconds: u32) -> Action {
    Action::Cancel(FetchId(id), NetworkError::Timeout { kind, after: SECOND * seconds })
}

#[test]
fn a_fetch_starts_at_once_and_an_idle_dispatcher_has_no_timeout() {
    let mut world = World::new(Scheduling::default());
    assert_eq!(world.dispatcher.next_timeout(), None);
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.finish(1);
    assert!(world.started().is_empty());
    assert!(world.dispatcher.is_idle());
    assert_eq!(world.dispatcher.next_timeout(), None);
    assert!(world.dispatcher.groups.is_empty() && world.dispatcher.wire.is_empty());
}

#[test]
fn fetches_over_a_limit_wait_in_order() {
    let mut world = World::new(limits(2, 3));
    for id in 1..=4 {
        world.queue(id, 1, 1);
    }
    world.queue(5, 1, 2);
    world.queue(6, 1, 3);
    assert_eq!(world.started(), [1, 5, 6]);
    world.finish(5);
    assert_eq!(world.started(), [2]);
    world.finish(6);
    assert!(world.started().is_empty(), "endpoint 1 has two");
    world.finish(2);
    assert_eq!(world.started(), [3]);
    world.finish(1);
    world.finish(3);
    assert_eq!(world.started(), [4]);
}

#[test]
fn a_fetch_that_never_ends_is_given_up_and_makes_room() {
    let mut world = World::new(limits(1, 1));
    world.queue(1, 1, 1);
    world.queue(2, 1, 1);
    assert_eq!(world.started(), [1]);
    assert_eq!(world.wait(), SECOND * 300);
    let expected = [timed_out(1, TimeoutKind::Fetch, 300), Action::Start(FetchId(2))];
    assert_eq!(world.actions(), expected);
}

#[test]
fn the_lifetime_runs_from_the_documents_end_or_the_start_if_that_is_later() {
    let mut world = World::new(limits(1, 1));
    world.queue(1, 1, 1);
    world.queue(2, 1, 1);
    assert_eq!(world.started(), [1]);
    world.now += SECOND * 10;
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    assert!(world.started().is_empty());
    assert_eq!(world.wait(), SECOND * 30);
    let first = timed_out(1, TimeoutKind::AfterDocument, 30);
    assert_eq!(world.actions(), [first, Action::Start(FetchId(2))]);
    // A second termination changes nothing: the second fetch has its full 30 seconds from its start.
    world.now += SECOND * 5;
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    assert_eq!(world.wait(), SECOND * 25);
    assert_eq!(world.actions(), [timed_out(2, TimeoutKind::AfterDocument, 30)]);
}

#[test]
fn the_lifetime_after_the_document_does_not_extend_the_fetch_timeout() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.now += SECOND * 290;
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    assert_eq!(world.wait(), SECOND * 10);
    assert_eq!(world.actions(), [timed_out(1, TimeoutKind::Fetch, 300)]);
}

#[test]
fn termination_stops_only_fetches_without_keepalive() {
    let mut world = World::new(limits(1, 4));
    world.queue_with(1, 1, 1, false);
    world.queue_with(2, 1, 1, false);
    world.queue(3, 1, 2);
    world.queue_with(4, 2, 3, false);
    assert_eq!(world.started(), [1, 4, 3]);
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    let stopped = |id| Action::Cancel(FetchId(id), AbandonReason::Terminated.into());
    assert_eq!(world.actions(), [stopped(1), stopped(2)]);
}

#[test]
fn a_shutdown_starts_all_fetches_in_turn_and_gives_up_at_its_deadline() {
    let mut world = World::new(limits(1, 8));
    for id in 1..=3 {
        world.queue(id, 1, 1);
    }
    assert_eq!(world.started(), [1]);
    world.handle(Event::ShutDown { deadline: Some(world.now + SECOND * 5) });
    world.finish(1);
    assert_eq!(world.started(), [2]);
    assert_eq!(world.wait(), SECOND * 5);
    let lost = |id| Action::Cancel(FetchId(id), AbandonReason::Shutdown.into());
    assert_eq!(world.actions(), [lost(2), lost(3)]);
    assert!(world.dispatcher.is_idle());
}

#[test]
fn a_shutdown_stops_fetches_without_keepalive() {
    let mut world = World::new(Scheduling::default());
    world.queue_with(1, 1, 1, false);
    world.queue(2, 1, 1);
    assert_eq!(world.started(), [1, 2]);
    world.handle(Event::ShutDown { deadline: None });
    let stopped = Action::Cancel(FetchId(1), AbandonReason::Shutdown.into());
    assert_eq!(world.actions(), [stopped]);
    assert!(!world.dispatcher.is_idle());
}

#[test]
fn an_event_about_a_fetch_that_is_over_is_ignored() {
    let mut world = World::new(limits(1, 1));
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.handle(Event::Abandon { id: FetchId(1), reason: AbandonReason::Aborted });
    assert_eq!(world.actions().len(), 1);
    world.finish(1);
    world.finish(7);
    world.queue(2, 1, 1);
    assert_eq!(world.started(), [2]);
}

#[test]
fn a_fetch_that_comes_after_its_document_went_has_the_lifetime_too() {
    let mut world = World::new(Scheduling::default());
    let (id, group, endpoint) = (FetchId(1), GroupId(1), to(1, true));
    world.handle(Event::GroupTerminated { group });
    let (may_wait, is_awaited, gone) = (true, false, true);
    world.handle(Event::ImportantLoads(true));
    world.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    assert_eq!(world.started(), [1]);
    assert_eq!(world.wait(), SECOND * 30);
}

#[test]
fn documents_take_turns() {
    let mut world = World::new(limits(1, 8));
    for id in 1..=3 {
        world.queue(id, 1, 1);
    }
    world.queue(4, 2, 1);
    world.queue(5, 3, 1);
    let mut order = Vec::new();
    for _ in 1..=5 {
        let started = world.started();
        world.finish(started[0]);
        order.extend(started);
    }
    assert_eq!(order, [1, 4, 5, 2, 3]);
}

#[test]
fn beacons_wait_for_important_loads_for_a_while() {
    let mut world = World::new(Scheduling::default());
    world.handle(Event::ImportantLoads(true));
    world.queue(1, 1, 1);
    world.queue_with(2, 1, 1, false);
    assert_eq!(world.started(), [2], "a fetch that script waits for is not held back");
    assert_eq!(world.wait(), SECOND * 2);
    assert_eq!(world.started(), [1]);
    world.queue(3, 1, 1);
    assert!(world.started().is_empty());
    world.handle(Event::ImportantLoads(false));
    assert_eq!(world.started(), [3]);
}

#[test]
fn held_back_beacons_are_released_when_hidden_or_gone_and_at_shutdown() {
    let mut world = World::new(Scheduling::default());
    world.handle(Event::ImportantLoads(true));
    for group in 1..=3 {
        world.queue(group, group, 1);
    }
    world.handle(Event::Flush { group: GroupId(2) });
    assert_eq!(world.started(), [2]);
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    assert_eq!(world.started(), [1]);
    world.handle(Event::ShutDown { deadline: None });
    assert_eq!(world.started(), [3]);
    world.queue(4, 3, 1);
    assert_eq!(world.started(), [4]);
}

#[test]
fn a_plain_fetch_that_comes_too_late_is_stopped() {
    let stopped = |id, reason: AbandonReason| Action::Cancel(FetchId(id), reason.into());
    let mut world = World::new(Scheduling::default());
    // Two fetches reach the network side before the message that their document has gone.
    for id in 1..=2 {
        let (group, endpoint) = (GroupId(1), to(1, id == 1));
        let (id, may_wait, is_awaited, gone) = (FetchId(id), false, true, true);
        world.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    }
    let terminated = stopped(2, AbandonReason::Terminated);
    assert_eq!(world.actions(), [terminated, Action::Start(FetchId(1))]);
    world.handle(Event::ShutDown { deadline: None });
    world.queue_with(3, 2, 1, false);
    world.queue(4, 2, 1);
    let shut_down = stopped(3, AbandonReason::Shutdown);
    assert_eq!(world.actions(), [shut_down, Action::Start(FetchId(4))]);
}

#[test]
fn plain_fetches_leave_room_for_other_partitions() {
    let mut world = World::new(Scheduling { per_partition: 2, ..limits(100, 100) });
    (1..=20).for_each(|id| world.queue_with(id, 1, id % 10, false));
    assert_eq!(world.started().len(), 8);
    world.queue_with(21, 2, 30, false);
    assert_eq!(world.started(), [21]);
    world.finish(1);
    assert_eq!(world.started().len(), 1);
}

#[test]
fn plain_fetches_of_many_partitions_leave_half_of_the_wire() {
    let mut world = World::new(limits(100, 8));
    (1..=20).for_each(|id| world.queue_with(id, id, id * 10, false));
    assert_eq!(world.started().len(), 4);
    world.queue(21, 1, 10);
    assert_eq!(world.started(), [21]);
    world.finish(1);
    assert_eq!(world.started(), [5]);
}

#[test]
fn abandoning_a_group_cancels_its_waiting_and_running_fetches() {
    let mut world = World::new(limits(1, 8));
    world.queue(1, 1, 1);
    world.queue(2, 1, 1);
    world.queue(3, 2, 1);
    assert_eq!(world.started(), [1]);
    let reason = AbandonReason::Aborted;
    world.handle(Event::AbandonGroup { group: GroupId(1), reason });
    world.handle(Event::Abandon { id: FetchId(2), reason });
    let aborted = |id| Action::Cancel(FetchId(id), reason.into());
    assert_eq!(world.actions(), [aborted(1), aborted(2), Action::Start(FetchId(3))]);
}

#[test]
fn a_late_beacon_does_not_hide_the_termination_from_other_fetches() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    world.queue_with(2, 1, 1, false);
    assert_eq!(world.started().len(), 2);
    // The flag is set when both messages are read, and the message of the late beacon comes first.
    let (id, group, endpoint) = (FetchId(3), GroupId(1), to(1, true));
    let (may_wait, is_awaited, gone) = (false, false, true);
    world.handle(Event::Queued(Queued { id, group, endpoint, may_wait, is_awaited, gone }));
    world.handle(Event::GroupTerminated { group });
    let stopped = Action::Cancel(FetchId(2), AbandonReason::Terminated.into());
    assert_eq!(world.actions(), [stopped, Action::Start(FetchId(3))]);
    assert_eq!(world.wait(), SECOND * 30);
    let lifetime = |id| timed_out(id, TimeoutKind::AfterDocument, 30);
    assert_eq!(world.actions(), [lifetime(1), lifetime(3)]);
}

#[test]
fn no_partition_takes_the_wire_from_the_others() {
    let mut scheduling = limits(2, 5);
    scheduling.per_partition = 3;
    let mut world = World::new(scheduling);
    for id in 1..=6 {
        world.queue(id, id, id);
    }
    world.queue(7, 7, 10);
    world.queue(8, 8, 20);
    world.queue(9, 9, 30);
    assert_eq!(world.started(), [1, 7, 8, 9, 2]);
    world.finish(9);
    assert_eq!(world.started(), [3]);
    world.finish(8);
    assert!(world.started().is_empty(), "partition 0 has its three");
    world.finish(1);
    assert_eq!(world.started(), [4]);
}

#[test]
fn plain_fetches_take_no_room_from_beacons() {
    let mut world = World::new(limits(1, 1));
    for id in 1..=2 {
        world.queue_with(id, 1, 1, false);
    }
    world.queue(3, 1, 1);
    world.queue(4, 2, 2);
    assert_eq!(world.started(), [1, 3]);
    world.finish(3);
    assert_eq!(world.started(), [4]);
    world.finish(1);
    assert_eq!(world.started(), [2]);
    assert_eq!(world.wait(), SECOND * 300, "only the beacon has a limit");
}

#[test]
fn the_earliest_shutdown_deadline_counts_and_nothing_starts_after_it() {
    let mut world = World::new(Scheduling::default());
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.handle(Event::ShutDown { deadline: Some(world.now + SECOND) });
    world.handle(Event::ShutDown { deadline: None });
    world.handle(Event::ShutDown { deadline: Some(world.now + SECOND * 9) });
    assert_eq!(world.wait(), SECOND);
    let lost = |id| Action::Cancel(FetchId(id), AbandonReason::Shutdown.into());
    assert_eq!(world.actions(), [lost(1)]);
    world.queue(2, 1, 1);
    assert_eq!(world.actions(), [lost(2)]);
    assert_eq!(world.dispatcher.next_timeout(), None);
}

#[test]
fn absurd_settings_neither_panic_nor_starve() {
    let timeouts =
        Timeouts { fetch: Duration::MAX, after_document: Duration::MAX, offline: Duration::MAX };
    let (most, max_delay) = (usize::MAX, Duration::MAX);
    let scheduling = Scheduling { per_origin: most, per_partition: most, overall: most, max_delay };
    let dispatcher = Dispatcher::new(timeouts, scheduling, |longest| longest);
    let mut world = World { dispatcher, now: Instant::now(), parked: Vec::new() };
    world.queue(1, 1, 1);
    assert_eq!(world.started(), [1]);
    world.handle(Event::GroupTerminated { group: GroupId(1) });
    world.handle(Event::ImportantLoads(true));
    world.queue(2, 2, 1);
    world.handle(Event::Online(false));
    assert_eq!(world.dispatcher.next_timeout(), None);
}
