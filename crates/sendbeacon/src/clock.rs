//! The system's clock.

use std::time::{Instant, SystemTime};

use sendbeacon_fetch::host::Clock;

/// The time now. NB: it is the time of tokio's timers, which a test may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The system's clock, as the fetch algorithms see it.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
