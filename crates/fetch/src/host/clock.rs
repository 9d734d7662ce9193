//! The clock.

use std::time::{Instant, SystemTime};

/// The monotonic clock and the wall clock.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// struct SystemClock;
///
/// impl sendbeacon_fetch::host::Clock for SystemClock {
///     fn now(&self) -> Instant {
///         Instant::now()
///     }
///
///     fn wall(&self) -> SystemTime {
///         SystemTime::now()
///     }
/// }
/// ```
pub trait Clock: Send + Sync {
    /// The time of the monotonic clock: never earlier than an earlier answer.
    fn now(&self) -> Instant;

    /// The time of the wall clock.
    fn wall(&self) -> SystemTime;
}
