//! The system's clock.

use std::time::{Instant, SystemTime};

use sendbeacon_fetch::host::Clock;

/// The system's clock, as the fetch algorithms see it.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
