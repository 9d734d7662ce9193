//! A shutdown while it drains: whom to tell, and what of.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time;

use super::Reply;
use crate::{FetchInfo, Outcome, ShutdownReport};

/// How long a shutdown waits for content processes to say that they accept nothing more. One that is
/// frozen does not say it; what it had accepted before is in its channel, and is read by then.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct ShutdownInProgress {
    heard_by: time::Instant,
    /// When not even what is reserved elsewhere is waited for any longer.
    deadline: Option<Instant>,
    replies: Vec<Reply>,
    report: ShutdownReport,
}

impl ShutdownInProgress {
    pub(super) fn new() -> Self {
        let heard_by = time::Instant::now() + HEARD_WITHIN;
        Self { heard_by, deadline: None, replies: Vec::new(), report: ShutdownReport::default() }
    }

    /// Takes note of a call, the first or one more.
    pub(super) fn ask(&mut self, deadline: Option<Instant>, reply: Option<Reply>) {
        self.deadline = self.deadline.into_iter().chain(deadline).min();
        self.replies.extend(reply);
    }

    /// Takes note of what became of a keepalive fetch.
    pub(super) fn add(&mut self, fetch: Arc<FetchInfo>, outcome: Outcome) {
        let list = match outcome {
            Outcome::Delivered { .. } => &mut self.report.delivered,
            Outcome::Failed(_) => &mut self.report.lost,
        };
        list.push((fetch, outcome));
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Whether content processes that have not said that they have heard of it are not waited for any
    /// longer.
    pub(super) fn is_heard(&self) -> bool {
        self.heard_by <= time::Instant::now()
    }

    /// When to look again whether it has drained.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let heard_by = (!self.is_heard()).then(|| self.heard_by.into_std());
        heard_by.into_iter().chain(self.deadline).min()
    }

    /// It has drained.
    pub(super) fn finish(mut self) {
        self.report.completed = true;
        for reply in self.replies {
            reply(self.report.clone());
        }
    }
}
