//! The gate before the first byte of a request: its record must say before that a byte may have been sent.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use sendbeacon_fetch::host::RecordId;
use tokio::{sync::oneshot, time::timeout};

use super::{
    record::State,
    thread::{Job, Thread},
};

/// How long a request waits until its record is changed. A disk that is slower must not stop beacons: the record may
/// then say that nothing was sent, and a crash in this moment leads to a second copy.
const NOTED_WITHIN: Duration = Duration::from_secs(1);

/// Whether a request has a record, and whether its first byte may have been written.
///
/// The driver makes the record, and the network writes the byte, perhaps on another thread at the same time. So
/// whichever comes first decides, under the lock.
#[derive(Default)]
pub(crate) struct Gate(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    has_passed: bool,
    record: Option<(RecordId, Thread, State)>,
}

/// What a record belongs to.
pub(in crate::network_side) enum Whose<'a> {
    /// An unfinished request, with this gate.
    Request(&'a Gate),
    /// A deferred fetch that is pending.
    Deferred,
    /// Nothing: it is over.
    Ended,
}

impl Gate {
    /// Gives the request a record, which the thread then knows. `state` is the state that the record gets when the
    /// first byte is written. Returns false, and does nothing, if that has happened.
    pub(super) fn close(
        &self,
        id: RecordId,
        thread: Thread,
        state: State,
        job: Option<Job>,
    ) -> bool {
        let mut inner = self.lock();
        if inner.has_passed {
            return false;
        }
        // NB: under the lock, so that the thread gets this job before the one of `pass`.
        if let Some(job) = job {
            thread.ask(job);
        }
        inner.record = Some((id, thread, state));
        true
    }

    /// The first byte is about to be written. If there is a record, the future ends when the record says so.
    pub(in crate::network_side) fn pass(&self) -> Option<BoxFuture<'static, ()>> {
        let mut inner = self.lock();
        if std::mem::replace(&mut inner.has_passed, true) {
            return None;
        }
        let (id, thread, state) = inner.record.as_ref()?;
        let (reply, noted) = oneshot::channel();
        thread.ask(Job::SetState { id: *id, state: *state, reply: Some(reply) });
        Some(Box::pin(async move {
            let _ = timeout(NOTED_WITHIN, noted).await;
        }))
    }

    /// No byte was written after all.
    pub(in crate::network_side) fn unpass(&self) {
        let mut inner = self.lock();
        if std::mem::replace(&mut inner.has_passed, false)
            && let Some((id, thread, state)) = &inner.record
        {
            let state = State { may_be_sent: false, ..*state };
            thread.ask(Job::SetState { id: *id, state, reply: None });
        }
    }

    /// Whether a byte may have been written.
    pub(in crate::network_side) fn has_passed(&self) -> bool {
        self.lock().has_passed
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
