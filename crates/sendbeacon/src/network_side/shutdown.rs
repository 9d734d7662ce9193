//! A shutdown that is draining: its deadlines, its report, and the callers that wait for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sendbeacon_fetch::host::Progress;
use tokio::time;

use super::mailbox::Reply;
use crate::{
    clock,
    event::{DeliveredFetch, FetchInfo, KeptFetch, LostFetch, Outcome, SentFetch, ShutdownReport},
};

/// How long a shutdown waits for content processes to acknowledge it. A frozen process does not acknowledge it;
/// the requests that it had accepted are in its channel, and have been read by then.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct ShutdownInProgress {
    /// When the time to acknowledge the shutdown is over.
    acknowledged_by: time::Instant,
    /// When the drain ends in any case. `None`: when nothing is unfinished.
    deadline: Option<Instant>,
    /// Whether it waits for answers only while something is unsent.
    is_until_sent: bool,
    replies: Vec<Reply>,
    report: ShutdownReport,
}

impl ShutdownInProgress {
    pub(super) fn new() -> Self {
        Self {
            acknowledged_by: time::Instant::now() + ACKNOWLEDGED_WITHIN,
            deadline: None,
            is_until_sent: false,
            replies: Vec::new(),
            report: ShutdownReport::default(),
        }
    }

    /// Adds a call of `shutdown`. Of several deadlines the earliest counts.
    pub(super) fn ask(
        &mut self,
        deadline: Option<Instant>,
        is_until_sent: bool,
        reply: Option<Reply>,
    ) {
        self.deadline = self.deadline.into_iter().chain(deadline).min();
        self.is_until_sent |= is_until_sent;
        self.replies.extend(reply);
    }

    /// Whether the shutdown waits for answers only while something is unsent.
    pub(super) fn is_until_sent(&self) -> bool {
        self.is_until_sent
    }

    /// Adds the outcome of a keepalive fetch.
    pub(super) fn add(&mut self, fetch: Arc<FetchInfo>, outcome: Outcome) {
        match outcome {
            Outcome::Delivered { status } => {
                self.report.delivered.push(DeliveredFetch { fetch, status });
            }
            Outcome::Failed { error, progress: Progress::Sent } => {
                self.report.sent.push(SentFetch { fetch, error });
            }
            Outcome::Failed { error, progress } => {
                self.report.lost.push(LostFetch { fetch, error, progress });
            }
            Outcome::Kept { record, .. } => self.report.kept.push(KeptFetch { fetch, record }),
            // It is of an earlier run of the app.
            Outcome::Unknown => {}
        }
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= clock::now())
    }

    /// Whether the time to acknowledge the shutdown is over.
    pub(super) fn is_acknowledgement_overdue(&self) -> bool {
        self.acknowledged_by <= time::Instant::now()
    }

    /// When to check again whether the shutdown has drained.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let acknowledged_by =
            (!self.is_acknowledgement_overdue()).then(|| self.acknowledged_by.into_std());
        acknowledged_by.into_iter().chain(self.deadline).min()
    }

    /// Sends the report to every caller, after the shutdown has drained.
    pub(super) fn finish(mut self) {
        self.report.completed = true;
        for reply in self.replies {
            reply(self.report.clone());
        }
    }
}
