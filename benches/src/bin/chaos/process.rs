//! What the process uses, as Linux tells it.

use std::{
    fs, io,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::BoxError;

/// How often the number of open descriptors is looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long the descriptors of a user agent that has shut down may stay open.
const PATIENCE: Duration = Duration::from_secs(10);

/// A value of `/proc/self/status` in KiB: `VmHWM` is the most memory so far, `VmRSS` the memory now.
pub(crate) fn memory(name: &str) -> Result<usize, BoxError> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(other, _)| *other == name).ok_or("no such value")?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// The number of open descriptors.
pub(crate) fn descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// The number of open descriptors, as soon as it is at most `most`, or else after a while.
pub(crate) fn descriptors_at_most(most: usize) -> io::Result<usize> {
    let start = Instant::now();
    loop {
        let open = descriptors()?;
        if open <= most || start.elapsed() > PATIENCE {
            return Ok(open);
        }
        thread::sleep(INTERVAL);
    }
}

/// Looks at the number of open descriptors again and again.
pub(crate) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<usize>>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut most = 0;
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                most = most.max(descriptors()?);
            }
            Ok(most)
        });
        Self { stop, thread }
    }

    /// The largest number so far.
    pub(crate) fn most(self) -> Result<usize, BoxError> {
        drop(self.stop);
        Ok(self.thread.join().map_err(|_| "the watch panicked")??)
    }
}
