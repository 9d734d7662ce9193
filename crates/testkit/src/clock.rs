//! A clock that stands still until a test moves it.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant, SystemTime},
};

use sendbeacon_fetch::host::Clock;

/// A clock that starts at the current time and stands still. It implements [`Clock`].
#[derive(Debug)]
pub struct VirtualClock {
    start: Instant,
    start_wall: SystemTime,
    passed_millis: AtomicU64,
}

impl Default for VirtualClock {
    fn default() -> Self {
        let (start, start_wall) = (Instant::now(), SystemTime::now());
        Self { start, start_wall, passed_millis: AtomicU64::new(0) }
    }
}

impl VirtualClock {
    /// Moves the clock forward. Parts of a millisecond are dropped.
    ///
    /// # Panics
    /// If `by` has more milliseconds than a `u64` can hold.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a test does not last that long");
        self.passed_millis.fetch_add(millis, SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.passed_millis.load(SeqCst))
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn wall(&self) -> SystemTime {
        self.start_wall + self.passed()
    }
}
