//! What is told of one fetch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Instant,
};

use http::StatusCode;
use sendbeacon_fetch::{
    AbandonReason, NetworkError,
    fetch::{Observation, Observer},
};

use crate::{
    Event, EventKind, EventSink, FetchInfo, Outcome,
    fetch_group::{Flag, GroupState},
    response::Cause,
};

/// A fetch that has not been told to be done. If it is dropped before, the driver was: its runtime
/// has gone, and that is what it says.
pub(super) struct Record {
    pub(super) teller: Teller,
    /// Where whoever waits for the response learns why there is none.
    pub(super) cause: Cause,
    done: bool,
}

impl Record {
    pub(super) fn new(teller: Teller, cause: Cause) -> Self {
        Self { teller, cause, done: false }
    }

    /// The outcome of a fetch that is given up: once the answer is there, only its body is cut off.
    pub(super) fn outcome_of(&self, error: NetworkError) -> Outcome {
        match self.teller.answered.get() {
            Some(status) => Outcome::Delivered { status: *status },
            None => Outcome::Failed(error),
        }
    }

    pub(super) fn done(mut self, outcome: Outcome) -> Arc<FetchInfo> {
        self.done = true;
        self.teller.tell(EventKind::Done(outcome));
        Arc::clone(&self.teller.info)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.done {
            self.cause.tell(AbandonReason::Dropped.into());
            let outcome = self.outcome_of(AbandonReason::Dropped.into());
            self.teller.tell(EventKind::Done(outcome));
        }
    }
}

/// Tells the event sink about one fetch.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) info: Arc<FetchInfo>,
    pub(crate) group: Arc<GroupState>,
    /// The status, from when the head of the response has arrived.
    answered: Arc<OnceLock<StatusCode>>,
    sink: Arc<dyn EventSink>,
}

impl Teller {
    pub(super) fn new(info: FetchInfo, group: Arc<GroupState>, sink: Arc<dyn EventSink>) -> Self {
        Self { info: Arc::new(info), group, answered: Arc::default(), sink }
    }

    /// The head of the response has arrived.
    pub(crate) fn answered(&self, status: StatusCode) {
        let _ = self.answered.set(status);
    }

    pub(super) fn tell(&self, kind: EventKind) {
        let event = Event { fetch: Arc::clone(&self.info), at: Instant::now(), kind };
        let _ = catch_unwind(AssertUnwindSafe(|| self.sink.event(event)));
    }
}

impl Observer for Teller {
    fn observe(&self, observation: Observation) {
        self.tell(EventKind::Observed(observation));
    }

    fn document_is_gone(&self) -> bool {
        self.group.is(Flag::Terminated)
    }
}
