//! The methods of the user agent: making documents, news of the network, and the shutdown.

use std::{sync::Arc, time::Duration};

use sendbeacon_fetch::{
    Client, Ledger,
    deferred::{DeferredFetching, NavigableContainer},
    host::OutboxError,
};
use tokio::{sync::oneshot, time};

use super::UserAgent;
use crate::{
    clock,
    event::ShutdownReport,
    ledgers::Ledgers,
    limits::Drain,
    network_side::{Mailbox, Message, Reply},
    script::{Document, FetchGroup},
    site_data::SiteData,
};

/// How often a user agent that quits looks whether its documents have gone.
const GONE_CHECK: Duration = Duration::from_millis(10);

impl UserAgent {
    /// Makes a document in a top-level traversable, with `client` as its settings object. Call it when the
    /// engine creates such a document.
    #[must_use]
    pub fn document(&self, client: Client) -> Document {
        let deferred = DeferredFetching::top_level(&client);
        self.document_with(client, deferred)
    }

    fn document_with(&self, client: Client, deferred: DeferredFetching) -> Document {
        let partition = &client.network_partition_key;
        let group = self.groups.open_for_document(partition, self.ledger(), deferred);
        Document::new(client, group)
    }

    /// Makes a document in `container`, with `client` as its settings object. Call it when the engine creates
    /// such a document.
    ///
    /// A document that is same origin with the container's document shares the
    /// [deferred-fetch quota](https://fetch.spec.whatwg.org/#deferred-fetch-quota) of that document. Any other
    /// document has the quota that was reserved in the container.
    ///
    /// ```
    /// use sendbeacon::{Client, ContainerPolicy, Nonce, Origin, ReservedQuota};
    ///
    /// # let network = sendbeacon_testkit::network::ScriptedNetwork::new(|_| unreachable!());
    /// # let agent = sendbeacon::UserAgentBuilder::new(std::sync::Arc::new(network)).build()?;
    /// let page = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    ///
    /// // The page inserts <iframe src="https://b.test/" allow="deferred-fetch">.
    /// let iframe = page.navigable_container();
    ///
    /// // It navigates the frame.
    /// let url = "https://b.test/".parse()?;
    /// let origin = Origin::of(&url, Nonce::random());
    /// let client = page.client();
    /// let (of_page, allow) = (&client.permissions_policy, "deferred-fetch");
    /// let policy = ContainerPolicy::new(of_page, &client.origin, allow, &origin);
    /// iframe.reserve_deferred_fetch_quota(&policy, &origin);
    /// assert_eq!(iframe.reserved_quota(), ReservedQuota::Normal);
    ///
    /// // The response has come, and the engine creates the document.
    /// let frame = agent.nested_document(Client::new(url, Nonce::random()), &iframe);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn nested_document(&self, client: Client, container: &NavigableContainer) -> Document {
        let deferred = DeferredFetching::nested(&client, container);
        self.document_with(client, deferred)
    }

    /// Makes a fetch group for a settings object that does not belong to a document: a worker's, for example.
    #[must_use]
    pub fn fetch_group(&self) -> FetchGroup {
        self.groups.open(self.ledger(), DeferredFetching::unshared())
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.ledgers.open(self.limits)
    }

    /// Makes the network process's end of a channel to a content process. The content process may send for the
    /// documents that `pin` allows: see [`remote`](crate::remote).
    #[cfg(feature = "remote")]
    #[must_use]
    pub fn content_process(&self, pin: crate::remote::Pin) -> crate::remote::ContentProcess {
        crate::remote::ContentProcess::new(
            &self.groups,
            &self.budget,
            &self.ledgers,
            self.limits,
            self.runtime.clone(),
            pin,
        )
    }

    /// Tells whether loads are running that the user waits for (a navigation, for example). While they run,
    /// beacons wait, for [`Scheduling::max_delay`](crate::Scheduling::max_delay) at most. The beacons of a
    /// document that is hidden, frozen or gone do not wait. Default: false.
    pub fn important_loads(&self, running: bool) {
        self.tell(Message::ImportantLoads(running));
    }

    /// Tells whether there is a network. Default: true.
    ///
    /// Without a network a `fetch()` fails with [`NetworkError::Offline`](crate::NetworkError::Offline), unless a
    /// service worker or the interceptor answers it. Beacons, pings, reports and deferred fetches do not start. One of
    /// these that has waited for [`Timeouts::offline`](crate::Timeouts::offline) fails. When the network is back, every
    /// server that could not be reached is tried at once.
    pub fn set_online(&self, online: bool) {
        self.tell(Message::Online(online));
    }

    /// Tells that the device has joined another network. Connections made before are not used for new requests.
    ///
    /// A beacon that did not reach its server before is tried again at once, if a fully active document of its network
    /// partition is there, or if the [`BackgroundSend`](crate::host::BackgroundSend) permits it. Otherwise it ends with
    /// [`AbandonReason::NetworkChanged`](crate::AbandonReason::NetworkChanged).
    pub fn network_changed(&self) {
        self.tell(Message::NetworkChanged);
    }

    /// Gives up the unfinished fetches that belong to this data, with
    /// [`AbandonReason::SiteDataCleared`](crate::AbandonReason::SiteDataCleared) as their outcome. `data` is an `&Origin`,
    /// or a [`SiteData`], which may be that of a site, and may begin at some time. The engine clears cookies and the other
    /// data of the origin in its own stores.
    ///
    /// The fetches are given up even if the future is dropped. The future ends when the records of this data are no longer
    /// in the [`Outbox`](crate::host::Outbox) and cannot be read there any more. Without an outbox it ends soon.
    ///
    /// # Errors
    /// The records could not be removed from the outbox. It tries again, but a crash before that leaves them there. Or the
    /// outbox could not read the records of earlier runs, some of which may be of this data. Then every call fails until
    /// the user agent is built again.
    pub fn clear_site_data<D: Into<SiteData>>(
        &self,
        data: D,
    ) -> impl Future<Output = Result<(), OutboxError>> + Send + use<D> {
        let (sender, cleared) = oneshot::channel();
        self.tell(Message::ClearSiteData(data.into(), sender));
        // If the network side has gone, its fetches have gone, too.
        async move { cleared.await.unwrap_or(Ok(())) }
    }

    fn tell(&self, message: Message) {
        // If the network side has gone, nothing is left to tell.
        self.mailbox.put(message);
    }

    /// Drains: refuses new requests, stops fetches without keepalive, starts every queued and deferred fetch,
    /// waits until all are done or the deadline has passed, and reports the outcome of each keepalive fetch that
    /// was unfinished. `drain` is the deadline, or a [`Drain`], which may also end when everything is sent.
    ///
    /// The drain begins before this returns. The future may be awaited on any runtime, or dropped. A second call
    /// during the drain gets the same report. A call after the drain, or after the runtime of the network side
    /// has gone, gets a report that is not [`completed`](ShutdownReport::completed).
    pub fn shutdown<D: Into<Drain>>(
        &self,
        drain: D,
    ) -> impl Future<Output = ShutdownReport> + Send + use<D> {
        let (sender, receiver) = oneshot::channel();
        self.begin_shutdown(drain.into(), Box::new(|report| drop(sender.send(report))));
        async move { receiver.await.unwrap_or_default() }
    }

    /// [`shutdown`](Self::shutdown) for a caller that is not async: blocks the thread until the report is
    /// there, or until one second after the deadline. In the second case the report is not
    /// [`completed`](ShutdownReport::completed).
    ///
    /// Do not call it on a thread that drives the runtime of
    /// [`UserAgentBuilder::runtime`](crate::UserAgentBuilder::runtime), or on a thread that must answer a service
    /// of this user agent: the drain waits for that thread.
    #[allow(clippy::must_use_candidate)] // A caller may want the drain and not the report.
    pub fn shutdown_blocking(&self, drain: impl Into<Drain>) -> ShutdownReport {
        let (sender, receiver) = std::sync::mpsc::channel();
        let drain = drain.into();
        self.begin_shutdown(drain, Box::new(move |report| drop(sender.send(report))));
        let patience = drain.deadline.saturating_add(Duration::from_secs(1));
        receiver.recv_timeout(patience).unwrap_or_default()
    }

    /// Quits in order: waits until every document and content process has gone, or until half the deadline has passed,
    /// and then does what [`shutdown`](Self::shutdown) does in the time that is left. So beacons that the handlers of
    /// closing documents send are delivered, too.
    ///
    /// A document has gone when it was unloaded or dropped, and a content process when its channel has ended. Make no new
    /// documents meanwhile. The wait begins before this returns, and looks every 10 milliseconds. The future may be
    /// awaited on any runtime, or dropped.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use sendbeacon::{Client, Nonce, UserAgentBuilder};
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sendbeacon_testkit::network::{ScriptedNetwork, respond};
    /// # let network = std::sync::Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
    /// # let agent = UserAgentBuilder::new(network).build()?;
    /// let document = agent.document(Client::new("https://a.test/".parse()?, Nonce::random()));
    /// let report = agent.quit(Duration::from_secs(10));
    ///
    /// // The document's handler of `pagehide` is still to come.
    /// assert!(document.send_beacon("/collect", Some("bye".into()))?);
    /// document.unload();
    /// assert!(report.await.completed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn quit<D: Into<Drain>>(
        &self,
        drain: D,
    ) -> impl Future<Output = ShutdownReport> + Send + use<D> {
        let (sender, receiver) = oneshot::channel();
        let mut drain = drain.into();
        let documents = Arc::clone(self.groups.documents());
        let (ledgers, mailbox) = (Arc::clone(&self.ledgers), self.mailbox.clone());
        self.runtime.spawn(async move {
            let begun = time::Instant::now();
            let are_gone = async {
                while !(documents.are_gone() && ledgers.are_intakes_drained()) {
                    time::sleep(GONE_CHECK).await;
                }
            };
            // An error means that half the deadline has passed.
            let _ = time::timeout(drain.deadline / 2, are_gone).await;
            drain.deadline = drain.deadline.saturating_sub(begun.elapsed());
            begin_shutdown(&ledgers, &mailbox, drain, Box::new(|it| drop(sender.send(it))));
        });
        async move { receiver.await.unwrap_or_default() }
    }

    fn begin_shutdown(&self, drain: Drain, reply: Reply) {
        begin_shutdown(&self.ledgers, &self.mailbox, drain, reply);
    }
}

impl Drop for UserAgent {
    fn drop(&mut self) {
        self.ledgers.close();
        self.tell(Message::ShutDown { deadline: None, is_until_sent: false, reply: None });
    }
}

fn begin_shutdown(ledgers: &Ledgers, mailbox: &Mailbox, drain: Drain, reply: Reply) {
    ledgers.close();
    // A deadline that the clock cannot express never comes.
    let Drain { deadline, is_until_sent } = drain;
    let deadline = clock::now().checked_add(deadline);
    // If the network side has gone, the reply is dropped, and its receiver returns an error.
    mailbox.put(Message::ShutDown { deadline, is_until_sent, reply: Some(reply) });
}
