use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use sendbeacon::{Event, EventKind, EventSink, Outcome};
use url::Url;

/// A keepalive fetch that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Where it was sent.
    pub url: Url,
    /// Length of its body in bytes.
    pub body_length: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: std::time::Instant,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, body_length, outcome, .. } = self;
        match outcome {
            Outcome::Delivered { status } => {
                write!(f, "delivered: {url} ({body_length} bytes): {status}")
            }
            Outcome::Failed(error) => write!(f, "lost: {url} ({body_length} bytes): {error}"),
            other => write!(f, "{url}: {other:?}"),
        }
    }
}

/// An event sink that remembers how keepalive fetches ended.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Finished>>);

impl Log {
    /// Everything so far, in order.
    #[must_use]
    pub fn finished(&self) -> Vec<Finished> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Log {
    fn event(&self, event: Event) {
        let EventKind::Done(outcome) = event.kind else { return };
        if event.fetch.keepalive {
            let (url, body_length) = (event.fetch.url.clone(), event.fetch.body_length);
            let finished = Finished { url, body_length, outcome, at: event.at };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(finished);
        }
    }
}
