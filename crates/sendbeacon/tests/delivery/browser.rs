//! A user agent with a sink that a test can wait on.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use sendbeacon::{
    Client, Document, Event, EventKind, EventSink, FetchId, Nonce, Outcome, UserAgent,
    UserAgentBuilder,
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
    started: Mutex<Vec<FetchId>>,
    changed: Notify,
    is_busy: AtomicBool,
}

impl EventSink for Events {
    fn event(&self, event: Event) {
        if let EventKind::Started = event.kind {
            self.started.lock().unwrap_or_else(PoisonError::into_inner).push(event.fetch.id);
            self.changed.notify_waiters();
        }
        if let EventKind::Done { outcome, .. } = event.kind {
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
        self.wait(|| Some(self.outcomes()).filter(|outcomes| outcomes.len() >= n)).await
    }

    /// Waits until this fetch was dispatched.
    pub(crate) async fn wait_for_started(&self, id: FetchId) {
        let started = || self.started.lock().unwrap_or_else(PoisonError::into_inner);
        self.wait(|| started().contains(&id).then_some(())).await;
    }

    async fn wait<T>(&self, condition: impl Fn() -> Option<T>) -> T {
        let met = async {
            loop {
                let changed = self.changed.notified();
                if let Some(value) = condition() {
                    return value;
                }
                changed.await;
            }
        };
        let patience = Duration::from_secs(20);
        timeout(patience, met).await.unwrap_or_else(|_| panic!("only {:?}", self.outcomes()))
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
        self.agent.document(Client::new(Url::parse(url).unwrap(), Nonce::from_u128(1)))
    }
}

pub(crate) fn delivered(status: u16) -> Outcome {
    Outcome::Delivered { status: http::StatusCode::from_u16(status).unwrap() }
}

/// Waits for what only looking can tell.
pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), met).await.expect("it to come true");
}
