//! A user agent with a sink that a test can wait on.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use sendbeacon::{
    Client, Document, Event, EventKind, EventSink, Outcome, UserAgent, UserAgentBuilder,
};
use tokio::{sync::Notify, time::timeout};
use url::Url;

pub(crate) struct Browser {
    pub(crate) agent: UserAgent,
    pub(crate) events: Arc<Events>,
}

#[derive(Default)]
pub(crate) struct Events {
    outcomes: Mutex<Vec<(String, Outcome)>>,
    changed: Notify,
    is_busy: AtomicBool,
}

impl EventSink for Events {
    fn event(&self, event: Event) {
        if let EventKind::Done(outcome) = event.kind {
            let done = (event.fetch.url.path().to_owned(), outcome);
            self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(done);
            self.changed.notify_waiters();
        }
    }

    fn work_outstanding(&self, outstanding: bool) {
        self.is_busy.store(outstanding, SeqCst);
    }
}

impl Events {
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy.load(SeqCst)
    }

    pub(crate) fn outcomes(&self) -> Vec<(String, Outcome)> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `n` fetches are done, and gives what became of them, in order.
    pub(crate) async fn wait_for(&self, n: usize) -> Vec<(String, Outcome)> {
        let done = async {
            loop {
                let changed = self.changed.notified();
                let outcomes = self.outcomes();
                if outcomes.len() >= n {
                    return outcomes;
                }
                changed.await;
            }
        };
        let patience = Duration::from_secs(20);
        timeout(patience, done).await.unwrap_or_else(|_| panic!("only {:?}", self.outcomes()))
    }
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(UserAgentBuilder) -> UserAgentBuilder) -> Self {
        let events = Arc::new(Events::default());
        let builder = configure(UserAgent::builder().event_sink(Arc::clone(&events) as _));
        Self { agent: builder.build().unwrap(), events }
    }

    pub(crate) fn open(&self, url: &str) -> Document {
        self.agent.document(Client::new(Url::parse(url).unwrap(), 1))
    }
}

pub(crate) fn delivered(status: u16) -> Outcome {
    Outcome::Delivered { status: http::StatusCode::from_u16(status).unwrap() }
}
