//! The user agent: makes documents, and is told of the network and of its end.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use sendbeacon_fetch::{
    Client, KeepaliveLimits, Ledger, Origin,
    deferred::{DeferredFetching, NavigableContainer},
};
#[cfg(feature = "remote")]
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::{
    event::ShutdownReport,
    ledgers::Ledgers,
    network_side::{Mailbox, Message, Reply},
    script::{Document, FetchGroup, Groups},
};

/// One profile of a browser: its documents send through it, and it shares nothing with another `UserAgent`.
///
/// Its network side runs on a thread of its own, or on the embedder's tokio runtime
/// ([`UserAgentBuilder::runtime`](crate::UserAgentBuilder::runtime)). End it with [`shutdown`](Self::shutdown), which delivers the accepted
/// requests. Dropping it refuses new requests and returns at once; accepted requests are still delivered for as
/// long as the process, or the embedder's runtime, lives.
pub struct UserAgent {
    pub(super) mailbox: Mailbox,
    pub(super) groups: Groups,
    pub(super) ledgers: Arc<Ledgers>,
    pub(super) limits: KeepaliveLimits,
    /// Where the network side runs.
    #[cfg(feature = "remote")]
    pub(super) runtime: Handle,
}

impl UserAgent {
    /// A new document in a top-level traversable, with `client` as its settings object. Call when the
    /// engine creates one.
    #[must_use]
    pub fn document(&self, client: Client) -> Document {
        let deferred = DeferredFetching::top_level(&client);
        Document::new(client, self.groups.open(self.ledger(), deferred))
    }

    /// A new document in `container`, with `client` as its settings object. Call when the engine creates
    /// one. A document that is same origin with the container's document shares the
    /// [deferred-fetch quota](https://fetch.spec.whatwg.org/#deferred-fetch-quota) of that document.
    #[must_use]
    pub fn nested_document(&self, client: Client, container: &NavigableContainer) -> Document {
        let deferred = DeferredFetching::nested(&client, container);
        Document::new(client, self.groups.open(self.ledger(), deferred))
    }

    /// A new fetch group, for a settings object that is not a document's (a worker's).
    #[must_use]
    pub fn fetch_group(&self) -> FetchGroup {
        self.groups.open(self.ledger(), DeferredFetching::unshared())
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.ledgers.open(self.limits)
    }

    /// The network process's end of a content process, which may speak for the documents that `pin` allows: see
    /// [`remote`](crate::remote).
    #[cfg(feature = "remote")]
    #[must_use]
    pub fn content_process(&self, pin: crate::remote::Pin) -> crate::remote::ContentProcess {
        crate::remote::ContentProcess::new(
            self.groups.clone(),
            &self.ledgers,
            self.limits,
            self.runtime.clone(),
            pin,
        )
    }

    /// Tells whether loads run that matter to the user now (a navigation, for example). While they run, beacons
    /// wait, for [`Scheduling::max_delay`](crate::Scheduling::max_delay) at most. The beacons of a document
    /// that is hidden, frozen or gone do not wait. Default: false.
    pub fn important_loads(&self, running: bool) {
        self.tell(Message::ImportantLoads(running));
    }

    /// Tells whether there is a network. While there is none, no fetch starts, and a fetch that has waited for
    /// [`Timeouts::offline`](crate::Timeouts::offline) fails. Default: true.
    pub fn set_online(&self, online: bool) {
        self.tell(Message::Online(online));
    }

    /// Tells that the device has joined another network: idle connections are closed.
    pub fn network_changed(&self) {
        self.tell(Message::NetworkChanged);
    }

    /// Gives up the unfinished fetches of the documents of `origin`, with
    /// [`AbandonReason::SiteDataCleared`](crate::AbandonReason::SiteDataCleared) as their outcome. The engine
    /// clears cookies and the other data of the origin in its own stores.
    pub fn clear_site_data(&self, origin: &Origin) {
        self.tell(Message::ClearSiteData(origin.clone()));
    }

    fn tell(&self, message: Message) {
        // If the network side has gone, nothing is left to tell.
        self.mailbox.put(message);
    }

    /// Drains: refuses new requests, stops fetches without keepalive, starts every queued and deferred fetch,
    /// waits until all are done or `deadline` has passed, and reports the outcome of each keepalive fetch that
    /// was unfinished.
    ///
    /// The drain begins before this returns. The future may be awaited on any runtime, or dropped. A second call
    /// during the drain gets the same report. A call after the drain, or after the runtime of the network side
    /// has gone, gets a report that is not [`completed`](ShutdownReport::completed).
    pub fn shutdown(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = ShutdownReport> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.begin_shutdown(deadline, Box::new(|report| drop(sender.send(report))));
        async move { receiver.await.unwrap_or_default() }
    }

    /// [`shutdown`](Self::shutdown) for a caller that is not async: blocks the thread until the report is
    /// there, or until one second after `deadline`. In the second case the report is not
    /// [`completed`](ShutdownReport::completed).
    ///
    /// Do not call it on a thread that drives the runtime of [`UserAgentBuilder::runtime`](crate::UserAgentBuilder::runtime), or on a thread
    /// that must answer a service of this user agent: the drain waits for that thread.
    #[allow(clippy::must_use_candidate)] // Callers may want the drain alone.
    pub fn shutdown_blocking(&self, deadline: Duration) -> ShutdownReport {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.begin_shutdown(deadline, Box::new(move |report| drop(sender.send(report))));
        let patience = deadline.saturating_add(Duration::from_secs(1));
        receiver.recv_timeout(patience).unwrap_or_default()
    }

    fn begin_shutdown(&self, deadline: Duration, reply: Reply) {
        self.ledgers.close();
        // A deadline beyond the clock's range is no deadline.
        let deadline = Instant::now().checked_add(deadline);
        // If the network side has gone, the reply is dropped and its receiver knows.
        self.tell(Message::ShutDown { deadline, reply: Some(reply) });
    }
}

impl Drop for UserAgent {
    fn drop(&mut self) {
        self.ledgers.close();
        self.tell(Message::ShutDown { deadline: None, reply: None });
    }
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgent").finish_non_exhaustive()
    }
}
