//! Says on stderr what the program waits for, if that takes longer than a second.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long the program may wait without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// The program waits for something until this is dropped.
pub struct Progress {
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Says after a second, and then after each time that is twice as long, how long it has taken and what `state` says.
    #[must_use]
    pub fn new(state: impl Fn() -> String + Send + 'static) -> Self {
        Self::start(PATIENCE, move |waited| {
            eprintln!("{} s: {}", waited.as_secs(), state());
        })
    }

    fn start(mut patience: Duration, say: impl Fn(Duration) + Send + 'static) -> Self {
        let (end, ended) = channel::<()>();
        let start = Instant::now();
        let thread = thread::spawn(move || {
            while ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                say(start.elapsed());
                patience *= 2;
            }
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has said itself what happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_said_until_the_end_of_the_waiting() {
        let (sender, said) = channel();
        let progress = Progress::start(Duration::ZERO, move |waited| sender.send(waited).unwrap());
        let first = said.recv().unwrap();
        assert!(said.recv().unwrap() >= first);
        drop(progress);
        // The thread has ended, and its sender with it.
        assert!(said.iter().all(|waited| waited >= first));
    }

    #[test]
    fn nothing_is_said_of_a_short_waiting() {
        let (sender, said) = channel();
        drop(Progress::start(Duration::MAX, move |waited| sender.send(waited).unwrap()));
        assert_eq!(said.recv().ok(), None);
    }
}
