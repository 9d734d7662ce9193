//! Telling the embedder what happens to a fetch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use sendbeacon_fetch::{
    AbandonReason, NetworkError, ResponseSummary,
    fetch::{Observation, Observer},
    host::{NetworkRequest, NetworkResponse, Progress, Transmission, TransmissionObserver},
};
use url::Url;

use super::{mailbox::Mailbox, retries::Retries};
use crate::{
    clock,
    event::{Event, EventKind, EventSink, FetchInfo, Outcome},
    message::{Cause, Flag, GroupMessage, GroupState, NetworkSide},
    timing::FetchTiming,
};

/// The receivers of news about the fetches: the embedder's event sink, and the driver's own mailbox.
pub(super) struct Listeners {
    pub(super) sink: Option<Arc<dyn EventSink>>,
    /// Receives the violations that fetches observe, which the driver then reports.
    pub(super) mailbox: Mailbox,
    /// Whether there is no network. NB: only the network side reads and writes it.
    pub(super) is_offline: AtomicBool,
    /// Whether a shutdown waits only until everything is sent. It has to hear of each answer then.
    pub(super) is_until_sent: AtomicBool,
    pub(super) retries: Retries,
}

impl Listeners {
    /// Tells the sink that the outbox has failed. A panic of the sink ends here.
    #[cfg(feature = "outbox")]
    pub(super) fn tell_outbox_failed(&self, error: &sendbeacon_fetch::host::OutboxError) {
        let Some(sink) = &self.sink else { return };
        let _ = catch_unwind(AssertUnwindSafe(|| sink.outbox_failed(error)));
    }
}

/// What is known of a fetch until now.
pub(super) struct Account {
    /// The times of the steps until now.
    pub(super) timing: FetchTiming,
    /// Why the network has sent a request again, one reason for each time.
    sent_again: Vec<NetworkError>,
}

/// Makes sure that the sink hears exactly once that a fetch is done. A record that is dropped before `done` was
/// called says so with [`AbandonReason::Dropped`]: the runtime under the driver has gone.
pub(super) struct Record {
    pub(super) teller: Arc<Teller>,
    /// Tells the `PendingResponse`, if there is one, why it failed.
    cause: Option<Cause>,
    is_done: bool,
}

impl Record {
    pub(super) fn new(teller: Arc<Teller>, cause: Option<Cause>) -> Self {
        Self { teller, cause, is_done: false }
    }

    /// Whether the request was sent, or has even been answered.
    pub(super) fn is_sent(&self) -> bool {
        self.teller.progress() == Progress::Sent
    }

    /// Tells the `PendingResponse` and the reader of its body why the fetch failed.
    pub(super) fn tell_cause(&self, error: NetworkError) {
        if let Some(cause) = &self.cause {
            cause.tell(error);
        }
    }

    /// The outcome of a fetch that is given up with `error`. If the head of the response has come, the request was
    /// delivered, and only the body is cut off.
    pub(super) fn outcome_of(&self, error: NetworkError) -> Outcome {
        let status = self.teller.account().timing.response_status;
        status.map_or_else(|| self.failed(error), |status| Outcome::Delivered { status })
    }

    /// The outcome of a fetch that has failed with `error`.
    pub(super) fn failed(&self, error: NetworkError) -> Outcome {
        Outcome::Failed { error, progress: self.teller.progress() }
    }

    /// Tells the sink that the fetch is done.
    pub(super) fn done(mut self, outcome: Outcome, at: Instant) -> Arc<FetchInfo> {
        self.is_done = true;
        self.teller.tell_done(outcome, at);
        Arc::clone(&self.teller.info)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_done {
            self.tell_cause(AbandonReason::Dropped.into());
            let outcome = self.outcome_of(AbandonReason::Dropped.into());
            self.teller.tell_done(outcome, clock::now());
        }
    }
}

/// Tells the event sink about one fetch.
pub(super) struct Teller {
    pub(super) info: Arc<FetchInfo>,
    pub(super) group: Arc<GroupState>,
    /// Whether script waits for the response. If it does not, the fetch waits for the network.
    pub(super) is_awaited: bool,
    /// How often the network had changed when the fetch was first tried, or, if it has waited for its server before
    /// that, when it was queued.
    network_changes: AtomicU64,
    /// How often a request of the fetch has not reached its server.
    pub(super) unreached_attempts: AtomicU32,
    account: Mutex<Account>,
    /// How far the last request got that was not a preflight: 0 unsent, 1 in part, 2 sent.
    progress: AtomicU8,
    /// What the request waits for before its first byte is written.
    #[cfg(feature = "outbox")]
    pub(super) gate: super::outbox::Gate,
    listeners: Arc<Listeners>,
}

impl Teller {
    pub(super) fn new(
        info: FetchInfo,
        group: Arc<GroupState>,
        is_awaited: bool,
        listeners: Arc<Listeners>,
        start: Instant,
    ) -> Arc<Self> {
        let info = Arc::new(info);
        Arc::new(Self {
            info,
            group,
            is_awaited,
            network_changes: AtomicU64::new(listeners.retries.network_changes()),
            unreached_attempts: AtomicU32::new(0),
            account: Mutex::new(Account {
                timing: FetchTiming::new(start),
                sent_again: Vec::new(),
            }),
            progress: AtomicU8::new(0),
            #[cfg(feature = "outbox")]
            gate: super::outbox::Gate::default(),
            listeners,
        })
    }

    /// The fetch is tried for the first time, on the network of this moment.
    pub(super) fn first_tried(&self) {
        self.network_changes.store(self.retries().network_changes(), Relaxed);
    }

    /// How often the network has changed since the fetch was first tried, or, if it has waited for its server before
    /// that, since it was queued.
    pub(super) fn network_changes(&self) -> u64 {
        self.retries().network_changes() - self.network_changes.load(Relaxed)
    }

    pub(super) fn retries(&self) -> &Retries {
        &self.listeners.retries
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.listeners.mailbox
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_progress(&self, progress: Progress) {
        let number = match progress {
            Progress::Unsent => 0,
            Progress::Sent => 2,
            _ => 1,
        };
        self.progress.store(number, Relaxed);
        #[cfg(feature = "outbox")]
        if self.progress() == Progress::Unsent {
            self.gate.unpass();
        }
    }

    /// How far the fetch got. After a redirect a server has seen the request, even if the next one has not.
    fn progress(&self) -> Progress {
        match self.progress.load(Relaxed) {
            0 if self.account().timing.response_start.is_none() => Progress::Unsent,
            2 => Progress::Sent,
            _ => Progress::InPart,
        }
    }

    /// The fetch algorithm has returned a response.
    pub(super) fn answered(&self, response: ResponseSummary) {
        self.account().timing.answered(response);
        if self.listeners.is_until_sent.load(Relaxed) {
            self.listeners.mailbox.send(GroupMessage::Wake);
        }
    }

    /// Tells the sink what happened at `at`. A panic of the sink ends here.
    ///
    /// `kind` makes the kind of the event. An event is large, and is made in place in this way instead of moved.
    pub(super) fn tell_at(&self, at: Instant, kind: impl FnOnce() -> EventKind) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let event = Event { fetch: Arc::clone(&self.info), at, kind: kind() };
            #[cfg(feature = "tracing")]
            crate::trace::event(&event);
            if let Some(sink) = &self.listeners.sink {
                sink.event(event);
            }
        }));
    }

    fn wants_wire_events(&self) -> bool {
        #[cfg(feature = "tracing")]
        if crate::trace::wants_wire_events() {
            return true;
        }
        self.listeners.sink.as_ref().is_some_and(|sink| {
            catch_unwind(AssertUnwindSafe(|| sink.wants_wire_events())).unwrap_or_default()
        })
    }

    fn tell_done(&self, outcome: Outcome, at: Instant) {
        let mut account = self.account();
        let sent_again = std::mem::take(&mut account.sent_again);
        // NB: a server may send many metrics, so they are moved and not cloned.
        let server_timing = std::mem::take(&mut account.timing.server_timing);
        let mut timing = account.timing.clone();
        drop(account);
        timing.server_timing = server_timing;
        timing.response_end = at;
        self.tell_at(at, || EventKind::Done { outcome, timing, sent_again });
    }
}

/// The observer of a fetch: its teller tells what happens.
pub(super) struct Watcher(pub(super) Arc<Teller>);

impl Observer for Watcher {
    fn observe(&self, observation: Observation) {
        let at = clock::now();
        let teller = &self.0;
        let is_of_outbox = teller.info.record.is_some();
        if is_of_outbox && matches!(observation, Observation::ClearSiteData { .. }) {
            // The answer to a request of the outbox sets nothing.
            return;
        }
        if let Observation::CspViolation(violation) = &observation
            && !is_of_outbox
        {
            let message = GroupMessage::violation(violation, &teller.info.client, &teller.group);
            message.map(|message| teller.listeners.mailbox.send(message));
        }
        match &observation {
            Observation::Upgraded { url, .. } => teller.account().timing.upgraded(url),
            Observation::Redirected { .. } => {
                teller.account().timing.redirected(at);
                teller.set_progress(Progress::Unsent);
            }
            _ => {}
        }
        teller.tell_at(at, || EventKind::Observed(observation));
    }

    fn request_sent(&self, is_preflight: bool, request: &NetworkRequest) {
        let at = clock::now();
        if !is_preflight {
            self.0.account().timing.request_start = Some(at);
            // Until the network reports something else.
            self.0.set_progress(Progress::InPart);
        }
        if self.0.wants_wire_events() {
            let observation = Observation::request_sent(is_preflight, request);
            self.0.tell_at(at, || EventKind::Observed(observation));
        }
    }

    fn response_started(&self, is_preflight: bool, url: &Url, response: &NetworkResponse) {
        let at = clock::now();
        self.0.tell_reached(url);
        if !is_preflight {
            self.0.account().timing.response_started(response, at);
            self.0.set_progress(Progress::Sent);
        }
        if self.0.wants_wire_events() {
            let observation = Observation::response_started(is_preflight, url, response);
            self.0.tell_at(at, || EventKind::Observed(observation));
        }
    }

    fn service_worker_answered(&self, started: Instant) {
        self.0.account().timing.worker_start = Some(started);
        // Only the worker knows what it has sent.
        self.0.set_progress(Progress::InPart);
    }

    fn document_is_gone(&self) -> bool {
        self.0.group.is(Flag::Terminated)
    }

    fn is_awaited(&self) -> bool {
        self.0.is_awaited
    }

    fn transmission(&self) -> Transmission {
        let teller: Arc<Teller> = Arc::clone(&self.0);
        Transmission::new(teller)
    }

    fn is_offline(&self) -> bool {
        self.0.is_awaited && self.0.listeners.is_offline.load(Relaxed)
    }

    fn connect_timeout(&self) -> Option<Duration> {
        self.0.limit_of_connecting()
    }

    fn hold(&self, url: &Url) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        self.0.turn_at(url)
    }

    fn try_again(
        &self,
        url: &Url,
        error: &NetworkError,
    ) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        if error.is_unreached() {
            self.0.set_progress(Progress::Unsent);
        }
        self.0.turn_after(url, error)
    }
}

impl TransmissionObserver for Teller {
    #[cfg(feature = "outbox")]
    fn before_writing(&self) -> Option<BoxFuture<'static, ()>> {
        self.gate.pass()
    }

    fn progressed(&self, progress: Progress) {
        self.set_progress(progress);
        if progress == Progress::Sent {
            // A shutdown may wait for this.
            self.listeners.mailbox.send(GroupMessage::Wake);
        }
    }

    fn sent_again(&self, reason: &NetworkError) {
        self.account().sent_again.push(reason.clone());
        let observation = Observation::sent_again(reason);
        self.tell_at(clock::now(), || EventKind::Observed(observation));
    }
}
