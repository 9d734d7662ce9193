//! The clock of the records.

use std::time::{Instant, SystemTime};

use super::record::Timestamp;

/// The clock of the records. It does not go back when the system's clock is set back, not even while the app is closed.
pub(super) struct Clock {
    /// The latest time that a record knows.
    latest: Timestamp,
    known_at: Instant,
}

impl Clock {
    /// `latest` is the latest time that a record knows.
    pub(super) fn new(latest: Timestamp, now: Instant) -> Self {
        Self { latest, known_at: now }
    }

    pub(super) fn now(&self, now: Instant) -> Timestamp {
        let passed = now.saturating_duration_since(self.known_at);
        self.latest.after(passed).max(Timestamp::of(SystemTime::now()))
    }
}
