//! The driver: it receives messages, keeps the timer, and finds out when a shutdown has drained.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Instant, SystemTime},
};

use futures_util::future::OptionFuture;
use sendbeacon_fetch::{
    AbandonReason,
    deferred::{DeferredQueue, QueuedDeferredFetch},
    fetch::Profile,
    host::OutboxError,
    report_violation,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};

#[cfg(feature = "outbox")]
use super::outbox::Keeping;
use super::{
    dispatcher::{Dispatcher, Event},
    fetches::{Fetches, Work},
    mailbox::{Mailbox, Message},
    retries::Retries,
    shutdown::ShutdownInProgress,
};
use crate::{
    clock,
    event::{EventSink, FetchInfo},
    id::{FetchId, FetchIds},
    ledgers::Ledgers,
    message::{Deferral, FetchCall, Flag, GroupMessage, GroupState, UnreportedViolation},
    site_data::SiteData,
};

/// How many further messages the driver receives in one turn before it acts.
const BURST: usize = 1024;

/// How often a driver that is dropped yields to threads that are still putting a message into its mailbox. Each began
/// before the mailbox was closed, and needs only a moment. But the drop must end even if one of them does not run
/// again, so messages that come later are dropped unread.
const MAX_YIELDS: usize = 1_000;

/// The future that owns every fetch of a user agent.
pub(crate) struct Driver {
    messages: mpsc::UnboundedReceiver<Message>,
    profile: Arc<Profile>,
    reports_violations: bool,
    ledgers: Arc<Ledgers>,
    ids: Arc<FetchIds>,
    /// The pending calls of `fetchLater()`, each with its group.
    deferred: DeferredQueue<(QueuedDeferredFetch, Arc<GroupState>)>,
    fetches: Fetches,
    /// When this turn of the loop began. The clock is read once a turn.
    now: Instant,
    shutdown: Option<ShutdownInProgress>,
}

impl Driver {
    pub(crate) fn new(
        (mailbox, messages): (Mailbox, mpsc::UnboundedReceiver<Message>),
        profile: Profile,
        reports_violations: bool,
        sink: Option<Arc<dyn EventSink>>,
        ledgers: Arc<Ledgers>,
        ids: Arc<FetchIds>,
        (dispatcher, retries): (Dispatcher, Retries),
    ) -> Self {
        let profile = Arc::new(profile);
        Self {
            messages,
            fetches: Fetches::new(Arc::clone(&profile), sink, mailbox, dispatcher, retries),
            profile,
            reports_violations,
            ledgers,
            ids,
            deferred: DeferredQueue::default(),
            now: clock::now(),
            shutdown: None,
        }
    }

    /// Puts unfinished requests into an outbox.
    #[cfg(feature = "outbox")]
    pub(crate) fn keep(&mut self, keeping: Keeping) {
        self.fetches.keep(keeping);
    }

    /// Runs until a shutdown has drained.
    pub(crate) async fn run(mut self) {
        // NB: each fetch that ends can move the next timeout to a later time. The timer is not set anew for that: to wake
        // too early once costs less.
        let mut timer = pin!(OptionFuture::default());
        let mut timer_at = None;
        loop {
            self.act();
            self.fetches.tell_whether_busy();
            if self.is_drained() {
                return self.shutdown.take().into_iter().for_each(ShutdownInProgress::finish);
            }
            let shutdown = self.shutdown.as_ref().and_then(ShutdownInProgress::next_timeout);
            let timeouts = [self.fetches.next_timeout(), self.deferred.next_timeout(), shutdown];
            let timeout = timeouts.into_iter().flatten().min();
            if timer_at.is_some() != timeout.is_some() || timer_at > timeout {
                timer_at = timeout;
                timer.set(timeout.map(|at| sleep_until(at.into())).into());
            }
            // NB: without `biased`, so that an endless stream of messages does not stop the fetches, nor the
            // reverse.
            tokio::select! {
                // NB: this never returns `None`, because the driver's own mailbox is a sender, too.
                Some(message) = self.messages.recv() => {
                    self.now = clock::now();
                    self.receive(message);
                    // Acting once on many messages is cheaper than once on each.
                    self.receive_burst();
                }
                ended = self.fetches.next_ended() => {
                    self.now = clock::now();
                    // A shutdown that was asked for before the fetch ended must have it in its report.
                    self.receive_burst();
                    self.fetches.ended(ended, self.now, &mut self.shutdown);
                }
                Some(()) = timer.as_mut() => {
                    self.now = clock::now();
                    timer_at = None;
                    timer.set(None.into());
                }
            }
        }
    }

    fn receive_burst(&mut self) {
        for _ in 0..BURST {
            let Ok(message) = self.messages.try_recv() else { break };
            self.receive(message);
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Group(message) => self.receive_from_group(message),
            Message::Hop(hop) => self.fetches.hop(*hop, self.now),
            Message::ClearSiteData(data, reply) => self.clear_site_data(&data, reply),
            #[cfg(feature = "outbox")]
            Message::Outbox(news) => {
                self.fetches.hear_of_outbox(news, &self.deferred, &self.ids, self.now);
            }
            Message::ImportantLoads(running) => self.dispatch(Event::ImportantLoads(running)),
            Message::Online(online) => self.dispatch(Event::Online(online)),
            Message::NetworkChanged => {
                let network = &self.profile.network;
                let _ = catch_unwind(AssertUnwindSafe(|| network.network_changed()));
                self.fetches.network_changed(self.now);
            }
            Message::ShutDown { deadline, is_until_sent, reply } => {
                let shutdown = self.shutdown.get_or_insert_with(ShutdownInProgress::new);
                shutdown.ask(deadline, is_until_sent, reply);
                if is_until_sent {
                    self.fetches.drain_until_sent();
                }
                #[cfg(feature = "outbox")]
                self.fetches.keep_everything(&self.deferred, self.now);
                self.dispatch(Event::ShutDown { deadline });
                self.deferred.make_all_due();
            }
        }
    }

    fn receive_from_group(&mut self, message: GroupMessage) {
        match message {
            GroupMessage::Beacon(id, beacon, group) => {
                self.queue(Work::of_beacon(id, beacon), group);
            }
            GroupMessage::Ping(id, ping, group) => self.queue(Work::of_ping(id, ping), group),
            GroupMessage::Fetch(fetch, group) => {
                let FetchCall { id, request, reservation, responder } = *fetch;
                let work = Work::of_request(id, Box::new(request), reservation);
                self.fetches.queue(work, Some(responder), group, self.now);
            }
            GroupMessage::Defer(deferral, group) => self.defer(*deferral, group),
            GroupMessage::Violation(violation, group) => self.report(*violation, &group),
            GroupMessage::AbortFetch(id) => {
                self.dispatch(Event::Abandon { id, reason: AbandonReason::Aborted });
            }
            GroupMessage::AbortDeferred(id) => {
                drop(self.deferred.remove(id.0));
                #[cfg(feature = "outbox")]
                self.fetches.deferred_aborted(id, self.now);
            }
            GroupMessage::Unwanted(id) => {
                if !self.fetches.is_keepalive(id) {
                    self.dispatch(Event::Abandon { id, reason: AbandonReason::Unwanted });
                }
            }
            GroupMessage::Flags(group) => {
                group.flags_seen();
                // If the document was not fully active, even for a moment, the script side has marked the records
                // of these fetches as sent.
                self.deferred.make_group_due(group.id.0, |(it, _)| it.record().is_sent());
                if group.is(Flag::Frozen) {
                    self.deferred.scripts_stop(group.id.0);
                }
                self.start_due();
                // NB: the flags of this moment do not matter, because the document may have been hidden before.
                self.dispatch(Event::Flush { group: group.id });
                #[cfg(feature = "outbox")]
                self.fetches.look_into_outbox(self.now);
            }
            GroupMessage::Terminated(group) => {
                self.deferred.make_group_due(group.id.0, |_| true);
                self.start_due();
                self.dispatch(Event::GroupTerminated { group: group.id });
                #[cfg(feature = "outbox")]
                self.fetches.keep_fetches_of(group.id, self.now);
            }
            GroupMessage::Abort(group) => {
                let (group, reason) = (group.id, AbandonReason::Aborted);
                self.dispatch(Event::AbandonGroup { group, reason });
            }
            GroupMessage::ReservationReleased(group) => self.deferred.room_freed(group.0),
            // The message has woken the loop, which sees whether the shutdown has drained.
            GroupMessage::Wake => {
                #[cfg(feature = "outbox")]
                self.fetches.look_into_outbox(self.now);
            }
        }
    }

    fn dispatch(&mut self, event: Event) {
        self.fetches.dispatch(event, self.now);
    }

    fn queue(&mut self, work: (FetchInfo, Work), group: Arc<GroupState>) {
        self.fetches.queue(work, None, group, self.now);
    }

    fn defer(&mut self, deferral: Deferral, group: Arc<GroupState>) {
        let Deferral { id: FetchId(id), queued, hold_open } = deferral;
        drop(hold_open);
        let (group_id, after) = (group.id.0, queued.activate_after());
        // The document may have stopped being fully active, and become it again, before this message came.
        let is_processed = queued.record().is_sent() || !group.is_fully_active();
        // The message about the flag may have come before this one.
        let is_stopped = after.is_some() && group.is(Flag::Frozen);
        let is_over = self.shutdown.is_some() || is_processed || is_stopped;
        let size = queued.request().weight().body_bytes;
        self.deferred.add(id, group_id, after, size, (queued, group), self.now);
        // `hold_open` has given its room back.
        self.deferred.room_freed(group_id);
        #[cfg(feature = "outbox")]
        self.fetches.keep_soon(FetchId(id), self.now);
        if is_over {
            self.deferred.make_due(id);
            self.start_due();
        }
    }

    /// Queues the deferred fetches that are due, and says whether there were any. The driver calls it at once
    /// after a message that makes some due, because the next message may be one that gives the group's fetches up.
    fn start_due(&mut self) -> bool {
        for group in self.fetches.freed.drain(..) {
            self.deferred.room_freed(group.0);
        }
        let mut is_any = false;
        while let Some((id, (queued, group))) =
            self.deferred.poll(self.now, |(it, _)| it.has_room())
        {
            self.start_deferred(FetchId(id), queued, group);
            is_any = true;
        }
        is_any
    }

    fn start_deferred(&mut self, id: FetchId, queued: QueuedDeferredFetch, group: Arc<GroupState>) {
        let Some((request, reservation)) = queued.process() else {
            // It was aborted.
            #[cfg(feature = "outbox")]
            self.fetches.deferred_aborted(id, self.now);
            return;
        };
        self.queue(Work::of_request(id, request, Some(reservation)), group);
    }

    /// Queues the reports of a violation, as far as there is room for them.
    fn report(&mut self, violation: UnreportedViolation, group: &Arc<GroupState>) {
        let UnreportedViolation { violation, client, reservation } = violation;
        drop(reservation);
        if !self.reports_violations {
            return;
        }
        for request in report_violation(&violation, &client) {
            let Some(reservation) = group.reserve_report(&request) else { return };
            let work = Work::of_request(self.ids.next(), Box::new(request), Some(reservation));
            self.queue(work, Arc::clone(group));
        }
    }

    fn clear_site_data(
        &mut self,
        data: &SiteData,
        reply: oneshot::Sender<Result<(), OutboxError>>,
    ) {
        // NB: when a deferred fetch was queued is not known, so it counts as new.
        let is_of_it = |(it, _): &(QueuedDeferredFetch, _)| {
            let (client, url) = (&it.request().client, it.request().url());
            data.has(&client.origin, url, &client.network_partition_key, SystemTime::now)
        };
        for (id, (queued, group)) in self.deferred.remove_where(is_of_it) {
            // If the script side has marked it as sent, it becomes a fetch, which the loop below gives up.
            if queued.record().abort() {
                let (id, reason) = (FetchId(id), AbandonReason::SiteDataCleared);
                let request = queued.request();
                self.fetches.deferred_abandoned(id, request, group, reason, self.now);
            } else {
                self.start_deferred(FetchId(id), queued, group);
            }
        }
        for id in self.fetches.of_site_data(data, self.now) {
            self.dispatch(Event::Abandon { id, reason: AbandonReason::SiteDataCleared });
        }
        // Their records are removed before the outbox is cleared.
        self.act();
        #[cfg(feature = "outbox")]
        let Some(reply) = self.fetches.clear_outbox(data, reply, &self.ids, self.now) else {
            return;
        };
        // NB: nobody may be waiting.
        let _ = reply.send(Ok(()));
    }

    /// Does everything that is due.
    fn act(&mut self) {
        loop {
            #[cfg(feature = "outbox")]
            if self.fetches.has_outbox() {
                let is_over = self.shutdown.is_some();
                self.fetches.act_on_outbox(&self.deferred, &self.ids, is_over, self.now);
            }
            self.fetches.act(self.now, &mut self.shutdown);
            // A fetch that was given up may have made room for a deferred fetch.
            if !self.start_due() && !self.give_up_sent() {
                return;
            }
        }
    }

    /// In a shutdown that waits until everything is sent, gives up the fetches once each of them is, and says whether
    /// there were any. Until then, the answer to a sent one may still come.
    fn give_up_sent(&mut self) -> bool {
        let is_until_sent =
            self.shutdown.as_ref().is_some_and(|it| it.is_until_sent() && self.has_received(it));
        let sent = if is_until_sent { self.fetches.all_sent() } else { Vec::new() };
        for id in &sent {
            self.dispatch(Event::Abandon { id: *id, reason: AbandonReason::Shutdown });
        }
        !sent.is_empty()
    }

    /// Whether every request that was accepted before the shutdown has been received, as far as this can be known.
    fn has_received(&self, shutdown: &ShutdownInProgress) -> bool {
        (shutdown.is_acknowledgement_overdue() || self.ledgers.are_intakes_drained())
            && self.messages.is_empty()
    }

    /// Whether a shutdown was asked for, and either nothing is unfinished or its deadline has passed. A reservation
    /// whose request has not reached this side counts as unfinished.
    fn is_drained(&self) -> bool {
        let Some(shutdown) = &self.shutdown else { return false };
        if !self.fetches.is_idle() {
            return false;
        }
        // NB: the mailbox is checked last. The last message of a content process is in it before the process
        // counts as drained, and a fetch that has just ended may have left a violation in it.
        let is_over =
            || self.fetches.is_empty() && self.ledgers.are_empty() && self.has_received(shutdown);
        #[cfg(feature = "outbox")]
        let is_over = || is_over() && self.fetches.is_outbox_idle();
        shutdown.is_late() || is_over()
    }
}

/// If the runtime goes away, every fetch fails: the queued fetches, the running ones, and those whose messages are
/// still in the mailbox. The sink is told of each.
impl Drop for Driver {
    fn drop(&mut self) {
        self.messages.close();
        self.now = clock::now();
        // The records stay for the next run.
        #[cfg(feature = "outbox")]
        self.fetches.leave_outbox();
        let mut context = Context::from_waker(Waker::noop());
        // A thread that began to send before the mailbox was closed may still be writing, for a moment.
        let mut yields = 0;
        while yields < MAX_YIELDS {
            match self.messages.poll_recv(&mut context) {
                Poll::Ready(Some(message)) => self.receive(message),
                Poll::Ready(None) => break,
                Poll::Pending => {
                    yields += 1;
                    std::thread::yield_now();
                }
            }
        }
        self.deferred.make_all_due();
        self.start_due();
        self.fetches.clear();
    }
}
