//! The user agent of the tests: its event sink can be waited on. Also helpers that several files use.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use sendbeacon::{
    AbandonReason, Client, Document, Event, EventKind, EventSink, FetchId, NetworkError, Nonce,
    Outcome, Request, Response, UserAgent, UserAgentBuilder, host::Progress,
};
use sendbeacon_testkit::network::{ScriptedNetwork, respond};
use tokio::{
    runtime::{self, Runtime},
    sync::Notify,
    time::timeout,
};
use url::Url;

/// How long a test waits for something that has to happen. Even a slow machine needs less.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A user agent and its event sink.
pub(crate) struct Browser {
    pub(crate) agent: UserAgent,
    pub(crate) events: Arc<Events>,
}

/// An event sink that remembers which fetches have started and how fetches have ended.
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
    /// Whether work is outstanding, by the last call of `work_outstanding`.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy.load(SeqCst)
    }

    /// The path and the outcome of each fetch that is done, in order.
    pub(crate) fn outcomes(&self) -> Vec<(String, Outcome)> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `n` fetches are done, and returns the [`outcomes`](Self::outcomes).
    pub(crate) async fn wait_for(&self, n: usize) -> Vec<(String, Outcome)> {
        self.wait(|| Some(self.outcomes()).filter(|outcomes| outcomes.len() >= n)).await
    }

    /// Waits until this fetch has started.
    pub(crate) async fn wait_for_started(&self, id: FetchId) {
        let started = || self.started.lock().unwrap_or_else(PoisonError::into_inner);
        self.wait(|| started().contains(&id).then_some(())).await;
    }

    /// Waits until `condition` returns a value. The condition is asked again after each event.
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
        timeout(LONG, met).await.unwrap_or_else(|_| panic!("only {:?}", self.outcomes()))
    }
}

impl Browser {
    /// A browser with the default network.
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// A browser whose network answers 204 to each request.
    pub(crate) fn scripted() -> Self {
        Self::with(|builder| builder.network(scripted_network()))
    }

    /// A browser with the settings that `configure` makes.
    pub(crate) fn with(configure: impl FnOnce(UserAgentBuilder) -> UserAgentBuilder) -> Self {
        let events = Arc::new(Events::default());
        let builder = configure(UserAgent::builder().event_sink(Arc::clone(&events) as _));
        Self { agent: builder.build().unwrap(), events }
    }

    /// A top-level document with this URL.
    pub(crate) fn open(&self, url: &str) -> Document {
        self.agent.document(client(url))
    }
}

/// The settings object of a document with this URL.
pub(crate) fn client(url: &str) -> Client {
    Client::new(Url::parse(url).unwrap(), Nonce::from_u128(1))
}

/// A `GET` request of `document` for `url`, relative to its base URL.
pub(crate) fn request(document: &Document, url: &str, keepalive: bool) -> Request {
    let url = document.client().api_base_url.join(url).unwrap();
    let mut request = Request::new(document.client(), url);
    request.keepalive = keepalive;
    request
}

/// Reads the body of a response to its end.
pub(crate) async fn read(mut response: Response) -> Result<Vec<u8>, NetworkError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await {
        body.extend_from_slice(&chunk?);
    }
    Ok(body)
}

/// A network that answers 204 to each request.
pub(crate) fn scripted_network() -> Arc<ScriptedNetwork> {
    Arc::new(ScriptedNetwork::new(|_| respond(204, &[])))
}

/// A runtime that runs its tasks on one thread of its own.
pub(crate) fn runtime_with_a_worker() -> Runtime {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The outcome of a fetch that got a response with this status.
pub(crate) fn delivered(status: u16) -> Outcome {
    Outcome::Delivered { status: http::StatusCode::from_u16(status).unwrap() }
}

/// The outcome of a fetch that was given up before it was sent.
pub(crate) fn abandoned(reason: AbandonReason) -> Outcome {
    Outcome::Failed { error: NetworkError::Abandoned(reason), progress: Progress::Unsent }
}

/// The network error of an outcome.
pub(crate) fn failure(outcome: &Outcome) -> NetworkError {
    let Outcome::Failed { error, .. } = outcome else { panic!("{outcome:?}") };
    error.clone()
}

/// Waits until `condition` is true, where no event tells so: asks it again and again.
pub(crate) async fn wait_until(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, met).await.expect("the condition becomes true in time");
}
