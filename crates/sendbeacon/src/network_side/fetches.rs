//! The queued and the running fetches: starting them, giving them up, and telling how they ended.

mod futures;
#[cfg(feature = "outbox")]
mod kept;
mod unsent;
mod work;

use std::{
    any::Any,
    future::poll_fn,
    hash::BuildHasher,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use http::StatusCode;
use rustc_hash::FxHashMap;
use sendbeacon_fetch::{AbandonReason, NetworkError, Reservation, fetch::Profile};
use url::Url;

use self::futures::{FuturePlace, Futures};
pub(super) use self::work::Work;
#[cfg(feature = "outbox")]
use super::outbox::{Keeping, KeptRequest};
use super::{
    dispatcher::{Action, DestinationKey, Dispatcher, Endpoint, Event, Queued},
    mailbox::{Hop, HopNews, Mailbox, Turn},
    retries::Retries,
    run_fetch::run_fetch,
    shutdown::ShutdownInProgress,
    teller::{Listeners, Record, Teller, Watcher},
};
use crate::{
    event::{EventKind, EventSink, FetchInfo, Outcome},
    id::{FetchId, GroupId},
    message::{Flag, GroupState, Responder},
    site_data::SiteData,
};

/// The unfinished fetches. They carry out what the dispatcher decides.
pub(super) struct Fetches {
    profile: Arc<Profile>,
    listeners: Arc<Listeners>,
    dispatcher: Dispatcher,
    /// Whether the sink was told that work is outstanding.
    is_busy: bool,
    /// Its secret is random, so a page cannot choose URLs whose hashes collide.
    endpoint_hasher: RandomState,
    queued: FxHashMap<FetchId, Unstarted>,
    running: FxHashMap<FetchId, Running>,
    /// The groups of the fetches that have given their quota back, until the driver takes them: a deferred fetch may
    /// wait for the room.
    pub(super) freed: Vec<GroupId>,
    /// The futures of the running fetches.
    futures: Futures<Completed>,
    /// Puts the unfinished fetches into the outbox. `None` if the user agent has no outbox.
    #[cfg(feature = "outbox")]
    keeping: Option<Box<Keeping>>,
}

/// A fetch that waits for its start.
struct Unstarted {
    work: Work,
    responder: Option<Responder>,
    record: Record,
}

/// A fetch that has started and is not finished.
struct Running {
    future: FuturePlace,
    /// It is given back before the sink is told that the fetch is done.
    reservation: Option<Reservation>,
    record: Record,
    /// Tells the fetch that it may go on. `Some` while it waits for a destination.
    turn: Option<Turn>,
    /// What the outbox keeps of its request.
    #[cfg(feature = "outbox")]
    kept: Option<KeptRequest>,
}

/// The result of a fetch.
pub(super) struct Completed {
    id: FetchId,
    /// The outer error is the payload of a panic.
    result: Result<Result<StatusCode, NetworkError>, Box<dyn Any + Send>>,
}

impl Fetches {
    pub(super) fn new(
        profile: Arc<Profile>,
        sink: Option<Arc<dyn EventSink>>,
        mailbox: Mailbox,
        dispatcher: Dispatcher,
        retries: Retries,
    ) -> Self {
        let (is_offline, is_until_sent) = (AtomicBool::new(false), AtomicBool::new(false));
        let listeners = Listeners { sink, mailbox, is_offline, is_until_sent, retries };
        Self {
            profile,
            listeners: Arc::new(listeners),
            dispatcher,
            is_busy: false,
            endpoint_hasher: RandomState::default(),
            queued: FxHashMap::default(),
            running: FxHashMap::default(),
            freed: Vec::new(),
            futures: Futures::default(),
            #[cfg(feature = "outbox")]
            keeping: None,
        }
    }

    pub(super) fn dispatch(&mut self, event: Event, now: Instant) {
        if let Event::Online(online) = event {
            self.listeners.is_offline.store(!online, Relaxed);
            #[cfg(feature = "outbox")]
            if online {
                self.try_outbox_again(now);
            }
        }
        self.dispatcher.handle(event, now);
        self.listeners.retries.set_any_away(self.dispatcher.is_any_away());
    }

    /// The network is another one. Every destination that is away is tried at once.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.listeners.retries.network_changed();
        #[cfg(feature = "outbox")]
        self.try_outbox_again(now);
        self.dispatch(Event::NetworkChanged, now);
    }

    /// A request of a fetch waits for its destination, or has reached it.
    pub(super) fn hop(&mut self, hop: Hop, now: Instant) {
        let Hop { id, url, news } = hop;
        let Some(running) = self.running.get(&id) else { return };
        let (_, destination) = self.partition_and_destination(&running.record.teller.info, &url);
        let (event, turn) = match news {
            HopNews::Held(turn) => (Event::Held { id, destination }, Some(turn)),
            HopNews::Unreached(error, turn) => {
                (Event::Unreached { id, destination, error }, Some(turn))
            }
            HopNews::Reached => (Event::Reached { id, destination }, None),
        };
        if let Some(running) = self.running.get_mut(&id)
            && turn.is_some()
        {
            running.turn = turn;
        }
        self.dispatch(event, now);
    }

    /// When to call [`act`](Self::act) if no message comes and no fetch ends before.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let timeout = self.dispatcher.next_timeout();
        #[cfg(feature = "outbox")]
        let timeout = timeout.into_iter().chain(self.next_timeout_of_outbox()).min();
        timeout
    }

    /// Whether the dispatcher has no fetch.
    pub(super) fn is_idle(&self) -> bool {
        self.dispatcher.is_idle()
    }

    /// A shutdown waits until everything is sent.
    pub(super) fn drain_until_sent(&self) {
        self.listeners.is_until_sent.store(true, Relaxed);
    }

    /// The running fetches, if no fetch is queued, and each of these was sent.
    pub(super) fn all_sent(&self) -> Vec<FetchId> {
        let is_sent = |running: &Running| running.record.is_sent();
        if self.queued.is_empty() && self.running.values().all(is_sent) {
            self.running.keys().copied().collect()
        } else {
            Vec::new()
        }
    }

    /// Whether no future is left.
    pub(super) fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    pub(super) fn is_keepalive(&self, id: FetchId) -> bool {
        let queued = self.queued.get(&id).map(|queued| &queued.record);
        let record = queued.or_else(|| self.running.get(&id).map(|running| &running.record));
        record.is_some_and(|record| record.teller.info.keepalive)
    }

    /// The fetches that belong to this data, the oldest first.
    pub(super) fn of_site_data(&self, data: &SiteData, now: Instant) -> Vec<FetchId> {
        let queued = self.queued.values().map(|queued| &queued.record);
        let records = queued.chain(self.running.values().map(|running| &running.record));
        let is_of_it = |record: &&Record| {
            let info = &record.teller.info;
            let start = record.teller.account().timing.start;
            let age = now.saturating_duration_since(start);
            let partition = &info.client.network_partition_key;
            data.has(&info.client.origin, &info.url, partition, || SystemTime::now() - age)
        };
        let mut ids: Vec<_> =
            records.filter(is_of_it).map(|record| record.teller.info.id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn queue(
        &mut self,
        (info, work): (FetchInfo, Work),
        responder: Option<Responder>,
        group: Arc<GroupState>,
        now: Instant,
    ) {
        let id = info.id;
        let event = Event::Queued(Queued {
            id,
            group: group.id,
            endpoint: self.endpoint(&info),
            may_wait: !info.initiator_type.is_read() && !group.is_urgent(),
            is_awaited: responder.is_some(),
            gone: group.is(Flag::Terminated),
        });
        let listeners = Arc::clone(&self.listeners);
        let teller = Teller::new(info, group, responder.is_some(), listeners, now);
        teller.tell_at(now, || EventKind::Queued);
        #[cfg(feature = "outbox")]
        self.keep_later(id, &teller, now);
        let cause = responder.as_ref().map(|it| it.cause().clone());
        let record = Record::new(teller, cause);
        self.queued.insert(id, Unstarted { work, responder, record });
        self.dispatch(event, now);
    }

    fn endpoint(&self, info: &FetchInfo) -> Endpoint {
        let (partition, origin) = self.partition_and_destination(info, &info.url);
        Endpoint { partition, origin, keepalive: info.keepalive }
    }

    /// The hash of the network partition of a fetch, and that of the partition and the origin of `url`.
    fn partition_and_destination(&self, info: &FetchInfo, url: &Url) -> (u64, DestinationKey) {
        let partition = self.endpoint_hasher.hash_one(&info.client.network_partition_key);
        let origin = (partition, url.scheme(), url.host_str(), url.port_or_known_default());
        (partition, self.endpoint_hasher.hash_one(origin))
    }

    /// Carries out what the dispatcher decides.
    pub(super) fn act(&mut self, now: Instant, shutdown: &mut Option<ShutdownInProgress>) {
        while let Some(action) = self.dispatcher.poll(now) {
            match action {
                Action::Start(id) => self.start(id, false, now),
                Action::Park(id) => {
                    self.give_back_early(id);
                    // It may have been on its way when it was due.
                    #[cfg(feature = "outbox")]
                    self.keep_soon(id, now);
                }
                Action::Resume(id) => self.resume(id, now),
                Action::Cancel(id, error) => self.cancel(id, error, now, shutdown),
            }
        }
        self.listeners.retries.set_any_away(self.dispatcher.is_any_away());
    }

    /// Gives the quota of a waiting fetch back, unless its group has too many requests that wait.
    fn give_back_early(&mut self, id: FetchId) {
        let (reservation, record) = if let Some(running) = self.running.get_mut(&id) {
            (running.reservation.as_mut(), &running.record)
        } else if let Some(queued) = self.queued.get_mut(&id) {
            (queued.work.reservation_mut(), &queued.record)
        } else {
            return;
        };
        let group = &record.teller.group;
        if reservation.is_some_and(|reservation| group.give_back_early(reservation)) {
            self.freed.push(group.id);
        }
    }

    /// Lets a fetch try its destination.
    fn resume(&mut self, id: FetchId, now: Instant) {
        let Some(running) = self.running.get_mut(&id) else { return self.start(id, true, now) };
        if let Some(turn) = running.turn.take() {
            // If the receiver was dropped, the fetch has panicked.
            let _ = turn.send(());
        }
    }

    fn start(&mut self, id: FetchId, has_waited: bool, now: Instant) {
        let Some(Unstarted { work, responder, record }) = self.queued.remove(&id) else { return };
        if !has_waited {
            record.teller.first_tried();
        }
        record.teller.tell_at(now, || EventKind::Started);
        #[cfg(feature = "outbox")]
        let (kept, profile) = (self.kept(&record, &work), self.profile_of(id));
        #[cfg(not(feature = "outbox"))]
        let profile = Arc::clone(&self.profile);
        let (to_fetch, reservation) = work.start(&record.teller.info, &profile);
        let watcher = Watcher(Arc::clone(&record.teller));
        let fetch = run_fetch(profile, watcher, to_fetch, responder, has_waited);
        // NB: `map` and not an async block, which would have room for the fetch twice.
        let future =
            AssertUnwindSafe(fetch).catch_unwind().map(move |result| Completed { id, result });
        let running = Running {
            future: self.futures.push(future.boxed()),
            reservation,
            record,
            turn: None,
            #[cfg(feature = "outbox")]
            kept,
        };
        self.running.insert(id, running);
    }

    fn cancel(
        &mut self,
        id: FetchId,
        error: NetworkError,
        now: Instant,
        shutdown: &mut Option<ShutdownInProgress>,
    ) {
        if let Some(Unstarted { work, responder, record }) = self.queued.remove(&id) {
            // This gives the reservation back before the script and the sink hear of the end.
            drop(work);
            self.freed.push(record.teller.group.id);
            if let Some(responder) = responder {
                responder.fail(error.clone());
            }
            let outcome = record.failed(error);
            self.tell_done(record, outcome, now, shutdown);
        } else if let Some(Running { future, reservation, record, .. }) = self.running.remove(&id) {
            record.tell_cause(error.clone());
            self.futures.remove(future);
            let outcome = record.outcome_of(error);
            drop(reservation);
            self.freed.push(record.teller.group.id);
            self.tell_done(record, outcome, now, shutdown);
        }
    }

    /// Waits for the next future to end.
    pub(super) async fn next_ended(&mut self) -> Completed {
        poll_fn(|cx| self.futures.poll_next(cx)).await
    }

    pub(super) fn ended(
        &mut self,
        Completed { id, result }: Completed,
        now: Instant,
        shutdown: &mut Option<ShutdownInProgress>,
    ) {
        self.dispatch(Event::Finished { id }, now);
        let Some(Running { reservation, record, .. }) = self.running.remove(&id) else { return };
        let outcome = match result {
            Ok(Ok(status)) => Outcome::Delivered { status },
            Ok(Err(error)) => record.failed(error),
            Err(_panic) => record.failed(AbandonReason::Panic.into()),
        };
        drop(reservation);
        self.freed.push(record.teller.group.id);
        self.tell_done(record, outcome, now, shutdown);
    }

    /// Tells the sink that a fetch is done, and adds it to the report of a shutdown.
    #[cfg_attr(not(feature = "outbox"), allow(clippy::unused_self))]
    fn tell_done(
        &mut self,
        record: Record,
        outcome: Outcome,
        now: Instant,
        shutdown: &mut Option<ShutdownInProgress>,
    ) {
        #[cfg(feature = "outbox")]
        let outcome = self.outcome_with_outbox(&record, outcome, now);
        let info = record.done(outcome.clone(), now);
        if let Some(shutdown) = shutdown
            && info.keepalive
        {
            shutdown.add(info, outcome);
        }
    }

    /// Tells the sink whether fetches are unfinished, if that has changed.
    pub(super) fn tell_whether_busy(&mut self) {
        let is_busy = !self.dispatcher.is_idle();
        if is_busy != self.is_busy {
            self.is_busy = is_busy;
            self.tell_work_outstanding(is_busy);
        }
    }

    fn tell_work_outstanding(&self, outstanding: bool) {
        let Some(sink) = &self.listeners.sink else { return };
        let _ = catch_unwind(AssertUnwindSafe(|| sink.work_outstanding(outstanding)));
    }

    /// Drops every fetch. The sink hears of each one that it was dropped.
    pub(super) fn clear(&mut self) {
        self.queued.clear();
        self.running.clear();
        if self.is_busy {
            self.tell_work_outstanding(false);
        }
    }
}
