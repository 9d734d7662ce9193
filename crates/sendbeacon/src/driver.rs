//! The network side: one future that owns every fetch of a user agent and the timer.

mod message;
mod record;
mod shutdown;

use std::{
    any::Any,
    hash::BuildHasher,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use foldhash::quality::RandomState;
use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, Abortable, Aborted, BoxFuture},
    stream::FuturesUnordered,
};
use http::StatusCode;
use rustc_hash::FxHashMap;
use sendbeacon_fetch::{
    AbandonReason, Body, InitiatorType, NetworkError, Origin, Request, Reservation, beacon::Beacon,
    deferred::DeferredQueue, fetch::Profile,
};
use tokio::{sync::mpsc, time::sleep_until};

pub(crate) use self::{
    message::{Message, NetworkSide, PlainFetch, Reply},
    record::Teller,
};
use self::{record::Record, shutdown::ShutdownInProgress};
use crate::{
    EventKind, EventSink, FetchId, FetchInfo, Outcome,
    deferred_fetch::Deferred,
    dispatcher::{self, Action, Destination, Dispatcher, FetchIds},
    fetch_group::{Flag, GroupState},
    response::{Responder, run_fetch},
    user_agent::Ledgers,
};

/// How many messages are received in one turn, before what they ask for is begun.
const BURST: usize = 1024;

pub(crate) struct Driver {
    mailbox: mpsc::UnboundedReceiver<Message>,
    profile: Arc<Profile>,
    reports_violations: bool,
    sink: Option<Arc<dyn EventSink>>,
    ledgers: Arc<Ledgers>,
    dispatcher: Dispatcher,
    /// What `fetchLater()` has deferred, and the group that it is of.
    deferred: DeferredQueue<(Deferred, Arc<GroupState>)>,
    /// When this turn began. The clock is read once for all that is done in it.
    now: Instant,
    /// What the sink was told last.
    is_busy: bool,
    ids: Arc<FetchIds>,
    destination_hasher: RandomState,
    queued: FxHashMap<FetchId, Queued>,
    running: FxHashMap<FetchId, Running>,
    futures: FuturesUnordered<Abortable<Contained>>,
    shutdown: Option<ShutdownInProgress>,
}

struct Queued {
    work: Work,
    responder: Option<Responder>,
    record: Record,
}

/// What is made late: a beacon becomes a request when it starts.
enum Work {
    Beacon(Beacon),
    Fetch(Box<Request>, Option<Reservation>),
}

struct Running {
    abort: AbortHandle,
    /// Given back before the fetch is told to be done.
    reservation: Option<Reservation>,
    record: Record,
}

struct Ended {
    id: FetchId,
    /// An error holds the payload of a panic.
    result: Result<Result<StatusCode, NetworkError>, Box<dyn Any + Send>>,
}

impl Driver {
    pub(crate) fn new(
        mailbox: mpsc::UnboundedReceiver<Message>,
        profile: Arc<Profile>,
        reports_violations: bool,
        sink: Option<Arc<dyn EventSink>>,
        ledgers: Arc<Ledgers>,
        ids: Arc<FetchIds>,
        dispatcher: Dispatcher,
    ) -> Self {
        Self {
            mailbox,
            profile,
            reports_violations,
            sink,
            ledgers,
            dispatcher,
            deferred: DeferredQueue::default(),
            now: Instant::now(),
            is_busy: false,
            ids,
            destination_hasher: RandomState::default(),
            queued: FxHashMap::default(),
            running: FxHashMap::default(),
            futures: FuturesUnordered::new(),
            shutdown: None,
        }
    }

    /// Runs until a shutdown has drained, or nobody is left who could send a message.
    pub(crate) async fn run(mut self) {
        let mut mailbox_is_open = true;
        loop {
            self.act();
            self.tell_whether_busy();
            let is_over = self.shutdown.is_some() || !mailbox_is_open;
            if is_over && self.is_drained() {
                return self.shutdown.take().into_iter().for_each(ShutdownInProgress::finish);
            }
            let shutdown = self.shutdown.as_ref().and_then(ShutdownInProgress::next_timeout);
            let timeouts = [self.dispatcher.next_timeout(), self.deferred.next_timeout(), shutdown];
            let timeout = timeouts.into_iter().flatten().min();
            // Without an order: neither messages without end nor fetches without end stop the others.
            tokio::select! {
                message = self.mailbox.recv(), if mailbox_is_open => {
                    self.now = Instant::now();
                    match message {
                        Some(message) => self.receive(message),
                        None => mailbox_is_open = false,
                    }
                    // A burst wakes this side once.
                    self.receive_burst();
                }
                Some(ended) = self.futures.next() => {
                    self.now = Instant::now();
                    // A shutdown that was asked for before it ended is told of it.
                    self.receive_burst();
                    self.ended(ended);
                }
                () = sleep_until(timeout.unwrap_or(self.now).into()), if timeout.is_some() => {
                    self.now = Instant::now();
                }
            }
        }
    }

    fn receive_burst(&mut self) {
        for _ in 0..BURST {
            let Ok(message) = self.mailbox.try_recv() else { break };
            self.receive(message);
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Beacon(beacon, group) => {
                let info = FetchInfo {
                    id: self.ids.next(),
                    client: Arc::clone(&beacon.client),
                    url: beacon.url.clone(),
                    initiator_type: InitiatorType::Beacon,
                    keepalive: true,
                    body_length: beacon.body_length(),
                };
                self.queue(info, Work::Beacon(beacon), None, group);
            }
            Message::Ping(ping, group) => {
                let (request, reservation) = ping.into_request();
                self.queue_request(self.ids.next(), request, Some(reservation), None, group);
            }
            Message::Fetch(fetch, group) => {
                let PlainFetch { id, request, reservation, responder } = *fetch;
                self.queue_request(id, request, reservation, Some(responder), group);
            }
            Message::Report(request, reservation, group) => {
                if self.reports_violations {
                    self.queue_request(self.ids.next(), *request, Some(reservation), None, group);
                }
            }
            Message::Defer(deferred, group) => self.defer(*deferred, group),
            Message::AbortDeferred(id) => drop(self.deferred.remove(id.0)),
            Message::AbortFetch(id) => {
                let reason = AbandonReason::Aborted;
                self.tell_dispatcher(dispatcher::Event::Abandon { id, reason });
            }
            Message::Flags(group) => {
                group.look();
                // Those whose document was not fully active for a moment were processed in that.
                self.deferred.process_deferred_fetches(group.id.0, |(it, _)| it.record.is_sent());
                if group.is(Flag::Frozen) {
                    self.deferred.scripts_stop(group.id.0);
                }
                self.process_deferred_fetches();
                // It may have been hidden for a moment only.
                self.tell_dispatcher(dispatcher::Event::Flush { group: group.id });
            }
            Message::GroupTerminated(group) => {
                self.deferred.process_deferred_fetches(group.id.0, |_| true);
                self.process_deferred_fetches();
                self.tell_dispatcher(dispatcher::Event::GroupTerminated { group: group.id });
            }
            Message::Abort(group) => {
                let (group, reason) = (group.id, AbandonReason::Aborted);
                self.tell_dispatcher(dispatcher::Event::AbandonGroup { group, reason });
            }
            Message::ClearSiteData(origin) => self.clear_site_data(&origin),
            Message::ImportantLoads(running) => {
                self.tell_dispatcher(dispatcher::Event::ImportantLoads(running));
            }
            Message::Online(online) => self.tell_dispatcher(dispatcher::Event::Online(online)),
            Message::NetworkChanged => {
                let network = &self.profile.network;
                let _ = catch_unwind(AssertUnwindSafe(|| network.network_changed()));
            }
            // It woke the loop, which looks whether a shutdown has drained.
            Message::ReservationReleased => {}
            #[cfg(feature = "remote")]
            Message::ChannelDrained(channel) => channel.set_drained(),
            Message::ShutDown { deadline, reply } => {
                let shutdown = self.shutdown.get_or_insert_with(ShutdownInProgress::new);
                shutdown.ask(deadline, reply);
                self.tell_dispatcher(dispatcher::Event::ShutDown { deadline });
                self.deferred.process_all();
            }
        }
    }

    fn tell_dispatcher(&mut self, event: dispatcher::Event) {
        self.dispatcher.handle(event, self.now);
    }

    fn defer(&mut self, mut deferred: Deferred, group: Arc<GroupState>) {
        drop(deferred.hand_over.take());
        let (id, group_id, after) = (deferred.id.0, group.id.0, deferred.activate_after);
        // It may have been processed, and its document be back, before this side has heard of it.
        let is_processed = deferred.record.is_sent() || !group.is_fully_active();
        // The flag may have been looked at before.
        let is_stopped = after.is_some() && group.is(Flag::Frozen);
        let is_over = self.shutdown.is_some() || is_processed || is_stopped;
        self.deferred.add(id, group_id, after, (deferred, group), self.now);
        if is_over {
            self.deferred.process_deferred_fetches(group_id, |(it, _)| it.id.0 == id);
            self.process_deferred_fetches();
        }
    }

    /// Fetches the deferred whose time has come, and says whether there were any. At once, where a
    /// message has made them due: the next may give up what is under way.
    fn process_deferred_fetches(&mut self) -> bool {
        let mut is_any = false;
        while let Some((deferred, group)) = self.deferred.poll(self.now, |(it, _)| it.has_room()) {
            self.process_a_deferred_fetch(deferred, group);
            is_any = true;
        }
        is_any
    }

    fn process_a_deferred_fetch(&mut self, deferred: Deferred, group: Arc<GroupState>) {
        let id = deferred.id;
        if let Some((request, reservation)) = deferred.process() {
            self.queue_request(id, *request, Some(reservation), None, group);
        }
    }

    fn clear_site_data(&mut self, origin: &Origin) {
        let is_of_origin = |(it, _): &(Deferred, _)| it.request.client.origin == *origin;
        for (deferred, group) in self.deferred.remove_where(is_of_origin) {
            // If that is too late, it is under way, too.
            if !deferred.record.abort() {
                self.process_a_deferred_fetch(deferred, group);
            }
        }
        let queued = self.queued.values().map(|queued| &queued.record);
        let records = queued.chain(self.running.values().map(|running| &running.record));
        let is_of_origin = |info: &&Arc<FetchInfo>| info.client.origin == *origin;
        let infos = records.map(|record| &record.teller.info).filter(is_of_origin);
        let mut ids: Vec<_> = infos.map(|info| info.id).collect();
        ids.sort_unstable();
        for id in ids {
            let reason = AbandonReason::SiteDataCleared;
            self.tell_dispatcher(dispatcher::Event::Abandon { id, reason });
        }
    }

    fn tell_whether_busy(&mut self) {
        let is_busy = !self.dispatcher.is_idle();
        if is_busy != self.is_busy {
            self.is_busy = is_busy;
            self.tell_work_outstanding(is_busy);
        }
    }

    fn tell_work_outstanding(&self, outstanding: bool) {
        let Some(sink) = &self.sink else { return };
        let _ = catch_unwind(AssertUnwindSafe(|| sink.work_outstanding(outstanding)));
    }

    fn queue_request(
        &mut self,
        id: FetchId,
        request: Request,
        reservation: Option<Reservation>,
        responder: Option<Responder>,
        group: Arc<GroupState>,
    ) {
        let info = FetchInfo {
            id,
            client: Arc::clone(&request.client),
            url: request.url().clone(),
            initiator_type: request.initiator_type,
            keepalive: request.keepalive,
            body_length: request.body.as_ref().map_or(0, Body::length),
        };
        self.queue(info, Work::Fetch(Box::new(request), reservation), responder, group);
    }

    fn queue(
        &mut self,
        info: FetchInfo,
        work: Work,
        responder: Option<Responder>,
        group: Arc<GroupState>,
    ) {
        let event = dispatcher::Event::Queued(dispatcher::Queued {
            id: info.id,
            group: group.id,
            destination: self.destination(&info),
            may_wait: info.initiator_type != InitiatorType::Fetch && !group.is_urgent(),
            gone: group.is(Flag::Terminated),
        });
        let id = info.id;
        let teller = Teller::new(info, group, self.sink.clone(), self.now);
        teller.tell_at(self.now, EventKind::Queued);
        let cause = responder.as_ref().map(|it| it.cause.clone());
        let record = Record::new(teller, cause);
        self.queued.insert(id, Queued { work, responder, record });
        self.tell_dispatcher(event);
    }

    fn destination(&self, info: &FetchInfo) -> Destination {
        let partition = self.destination_hasher.hash_one(&info.client.network_partition_key);
        let url = &info.url;
        let origin = (partition, url.scheme(), url.host_str(), url.port_or_known_default());
        Destination {
            partition,
            origin: self.destination_hasher.hash_one(origin),
            keepalive: info.keepalive,
        }
    }

    /// Does what the dispatcher says.
    fn act(&mut self) {
        loop {
            while let Some(action) = self.dispatcher.poll(self.now) {
                match action {
                    Action::Start(id) => self.start(id),
                    Action::Cancel(id, error) => self.cancel(id, error),
                }
            }
            // What was given up may have made room.
            if !self.process_deferred_fetches() {
                return;
            }
        }
    }

    fn start(&mut self, id: FetchId) {
        let Some(Queued { work, responder, record }) = self.queued.remove(&id) else { return };
        record.teller.tell_at(self.now, EventKind::Started);
        let (request, reservation) = match work {
            Work::Beacon(beacon) => {
                let (request, reservation) = beacon.into_request();
                (Box::new(request), Some(reservation))
            }
            Work::Fetch(request, reservation) => (request, reservation),
        };
        let (profile, teller) = (Arc::clone(&self.profile), Arc::clone(&record.teller));
        let fetch = run_fetch(profile, teller, request, responder);
        // NB: an async block in place of `map` would hold the fetch twice.
        let future = AssertUnwindSafe(fetch).catch_unwind().map(move |result| Ended { id, result });
        let (abort, registration) = AbortHandle::new_pair();
        self.futures.push(Abortable::new(Contained(Some(future.boxed())), registration));
        self.running.insert(id, Running { abort, reservation, record });
    }

    fn cancel(&mut self, id: FetchId, error: NetworkError) {
        if let Some(queued) = self.queued.remove(&id) {
            drop(queued.work);
            if let Some(responder) = queued.responder {
                responder.fail(error.clone());
            }
            self.tell_done(queued.record, Outcome::Failed(error));
        } else if let Some(running) = self.running.remove(&id) {
            running.record.tell_cause(error.clone());
            // Polled once more it sees the abort, and is dropped.
            running.abort.abort();
            let outcome = running.record.outcome_of(error);
            drop(running.reservation);
            self.tell_done(running.record, outcome);
        }
    }

    fn ended(&mut self, ended: Result<Ended, Aborted>) {
        let Ok(Ended { id, result }) = ended else { return };
        self.tell_dispatcher(dispatcher::Event::Finished { id });
        let Some(running) = self.running.remove(&id) else { return };
        let outcome = match result {
            Ok(Ok(status)) => Outcome::Delivered { status },
            Ok(Err(error)) => Outcome::Failed(error),
            Err(_panic) => Outcome::Failed(AbandonReason::Panic.into()),
        };
        drop(running.reservation);
        self.tell_done(running.record, outcome);
    }

    fn tell_done(&mut self, record: Record, outcome: Outcome) {
        let info = record.done(outcome.clone(), self.now);
        if let Some(shutdown) = &mut self.shutdown
            && info.keepalive
        {
            shutdown.add(info, outcome);
        }
    }

    /// Whether nothing is unfinished, what has been reserved and not yet handed over included, unless
    /// the deadline has passed.
    fn is_drained(&self) -> bool {
        let shutdown = self.shutdown.as_ref();
        let is_late = shutdown.is_some_and(ShutdownInProgress::is_late);
        let is_heard = shutdown.is_some_and(ShutdownInProgress::is_heard);
        // A fetch that has just ended may have had a violation to report.
        let is_over =
            self.futures.is_empty() && self.ledgers.are_empty(is_heard) && self.mailbox.is_empty();
        self.dispatcher.is_idle() && (is_late || is_over)
    }
}

/// What the mailbox still holds when the runtime goes away is told to be dropped, as what is queued
/// and running is.
impl Drop for Driver {
    fn drop(&mut self) {
        self.mailbox.close();
        self.now = Instant::now();
        let mut context = Context::from_waker(Waker::noop());
        // A sender that was let in before may still be writing; not for long.
        let mut patience = 1_000;
        while patience > 0 {
            match self.mailbox.poll_recv(&mut context) {
                Poll::Ready(Some(message)) => self.receive(message),
                Poll::Ready(None) => break,
                Poll::Pending => {
                    patience -= 1;
                    std::thread::yield_now();
                }
            }
        }
        self.deferred.process_all();
        self.process_deferred_fetches();
        self.queued.clear();
        self.running.clear();
        if self.is_busy {
            self.tell_work_outstanding(false);
        }
    }
}

/// A future whose own drop may panic without harm to the others.
struct Contained(Option<BoxFuture<'static, Ended>>);

impl Future for Contained {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        match &mut self.0 {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
    }
}
