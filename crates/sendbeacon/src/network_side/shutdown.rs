//! A shutdown that is draining: its deadlines, its report, and the callers that wait for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time;

use super::mailbox::Reply;
use crate::{
    clock,
    event::{DeliveredFetch, FetchInfo, LostFetch, Outcome, ShutdownReport},
};

/// How long a shutdown waits for content processes to acknowledge it. A frozen process does not acknowledge it;
/// the requests that it had accepted are in its channel, and have been read by then.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct ShutdownInProgress {
    /// When the time to acknowledge the shutdown is over.
    acknowledged_by: time::Instant,
    /// When the drain ends in any case. `None`: when nothing is unfinished.
    deadline: Option<Instant>,
    replies: Vec<Reply>,
    report: ShutdownReport,
}

impl ShutdownInProgress {
    pub(super) fn new() -> Self {
        Self {
            acknowledged_by: time::Instant::now() + ACKNOWLEDGED_WITHIN,
            deadline: None,
            replies: Vec::new(),
            report: ShutdownReport::default(),
        }
    }

    /// Adds a call of `shutdown`. Of several deadlines the earliest counts.
    pub(super) fn ask(&mut self, deadline: Option<Instant>, reply: Option<Reply>) {
        self.deadline = self.deadline.into_iter().chain(deadline).min();
        self.replies.extend(reply);
    }

    /// Adds the outcome of a keepalive fetch.
    pub(super) fn add(&mut self, fetch: Arc<FetchInfo>, outcome: Outcome) {
        match outcome {
            Outcome::Delivered { status } => {
                self.report.delivered.push(DeliveredFetch { fetch, status });
            }
            Outcome::Failed(error) => self.report.lost.push(LostFetch { fetch, error }),
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
