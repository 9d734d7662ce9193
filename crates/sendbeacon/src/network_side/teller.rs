//! Telling the embedder what happens to a fetch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use sendbeacon_fetch::{
    AbandonReason, NetworkError,
    fetch::{Observation, Observer},
    host::{NetworkRequest, NetworkResponse},
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
    pub(super) retries: Retries,
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
    pub(super) fn new(teller: Teller, cause: Option<Cause>) -> Self {
        Self { teller: Arc::new(teller), cause, is_done: false }
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
        match self.teller.timing().response_status {
            Some(status) => Outcome::Delivered { status },
            None => Outcome::Failed(error),
        }
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

/// Tells the event sink about one fetch. The fetch algorithms observe the fetch through it.
pub(super) struct Teller {
    pub(super) info: Arc<FetchInfo>,
    pub(super) group: Arc<GroupState>,
    /// Whether script waits for the response. If it does not, the fetch waits for the network.
    pub(super) is_awaited: bool,
    /// How often the network had changed when the fetch was queued.
    pub(super) network_changes: u64,
    /// How often a request of the fetch has not reached its server.
    pub(super) unreached_attempts: AtomicU32,
    /// The times of the steps until now.
    timing: Mutex<FetchTiming>,
    listeners: Arc<Listeners>,
}

impl Teller {
    pub(super) fn new(
        info: FetchInfo,
        group: Arc<GroupState>,
        is_awaited: bool,
        listeners: Arc<Listeners>,
        start: Instant,
    ) -> Self {
        Self {
            info: Arc::new(info),
            group,
            is_awaited,
            network_changes: listeners.retries.network_changes(),
            unreached_attempts: AtomicU32::new(0),
            timing: Mutex::new(FetchTiming::new(start)),
            listeners,
        }
    }

    pub(super) fn retries(&self) -> &Retries {
        &self.listeners.retries
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.listeners.mailbox
    }

    pub(super) fn timing(&self) -> MutexGuard<'_, FetchTiming> {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the sink what happened at `at`. A panic of the sink ends here.
    pub(super) fn tell_at(&self, at: Instant, kind: EventKind) {
        let event = Event { fetch: Arc::clone(&self.info), at, kind };
        let _ = catch_unwind(AssertUnwindSafe(|| {
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
        let mut timing = self.timing().clone();
        timing.response_end = at;
        self.tell_at(at, EventKind::Done { outcome, timing });
    }
}

impl Observer for Teller {
    fn observe(&self, observation: Observation) {
        let at = clock::now();
        if let Observation::CspViolation(violation) = &observation {
            let message = GroupMessage::violation(violation, &self.info.client, &self.group);
            message.map(|message| self.listeners.mailbox.send(message));
        }
        match &observation {
            Observation::Upgraded { url, .. } => self.timing().upgraded(url),
            Observation::Redirected { .. } => self.timing().redirected(at),
            _ => {}
        }
        self.tell_at(at, EventKind::Observed(observation));
    }

    fn request_sent(&self, is_preflight: bool, request: &NetworkRequest) {
        let at = clock::now();
        if !is_preflight {
            self.timing().request_start = Some(at);
        }
        if self.wants_wire_events() {
            let observation = Observation::request_sent(is_preflight, request);
            self.tell_at(at, EventKind::Observed(observation));
        }
    }

    fn response_started(&self, is_preflight: bool, url: &Url, response: &NetworkResponse) {
        let at = clock::now();
        self.tell_reached(url);
        if !is_preflight {
            self.timing().response_started(response, at);
        }
        if self.wants_wire_events() {
            let observation = Observation::response_started(is_preflight, url, response);
            self.tell_at(at, EventKind::Observed(observation));
        }
    }

    fn service_worker_answered(&self, started: Instant) {
        self.timing().worker_start = Some(started);
    }

    fn document_is_gone(&self) -> bool {
        self.group.is(Flag::Terminated)
    }

    fn is_offline(&self) -> bool {
        self.is_awaited && self.listeners.is_offline.load(Relaxed)
    }

    fn connect_timeout(&self) -> Option<Duration> {
        self.limit_of_connecting()
    }

    fn hold(&self, url: &Url) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        self.turn_at(url)
    }

    fn try_again(
        &self,
        url: &Url,
        error: &NetworkError,
    ) -> Option<BoxFuture<'_, Result<(), NetworkError>>> {
        self.turn_after(url, error)
    }
}
