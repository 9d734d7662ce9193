use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue};
use sendbeacon_fetch::{
    Inflight, KeepaliveLimits, Ledger, Origin,
    deferred::{DeferredFetching, NavigableContainer},
    fetch::Profile,
    host::{
        AuthenticationEntries, Clock, CookieStore, HstsStore, HttpCache, Interceptor, Network,
        ServiceWorkers,
    },
};
use thiserror::Error;
use tokio::{
    runtime::{self, Handle},
    sync::{mpsc, oneshot},
};

#[cfg(feature = "remote")]
use crate::remote::Channel;
use crate::{
    Client, Document, EventSink, FetchGroup, Scheduling, ShutdownReport, Timeouts,
    dispatcher::{Dispatcher, FetchIds, GroupId},
    driver::{Driver, Message, NetworkSide, Reply},
};

/// One profile of a browser: what its documents send goes through it, and nothing is shared with any
/// other `UserAgent`.
///
/// Its network side runs on a thread of its own or on a tokio runtime of the embedder's
/// ([`UserAgentBuilder::runtime`]). End it with [`shutdown`](Self::shutdown), which delivers what was
/// accepted. Dropping it closes intake and returns at once; what was accepted is still delivered for
/// as long as the process, or the embedder's runtime, lives.
pub struct UserAgent {
    groups: Groups,
    /// Where the network side runs.
    #[cfg(feature = "remote")]
    runtime: Handle,
}

/// What it takes to open a fetch group.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    pub(crate) network_side: NetworkSide,
    pub(crate) ledgers: Arc<Ledgers>,
    pub(crate) limits: KeepaliveLimits,
    /// Room for the reports of all groups of a content process.
    pub(crate) reports: Option<Arc<Ledger>>,
    next: Arc<AtomicU64>,
    ids: Arc<FetchIds>,
}

impl Groups {
    pub(crate) fn new(
        network_side: NetworkSide,
        limits: KeepaliveLimits,
        ids: Arc<FetchIds>,
    ) -> Self {
        let (ledgers, next) = Default::default();
        Self { network_side, ledgers, limits, reports: None, next, ids }
    }

    pub(crate) fn open(&self, ledger: Arc<Ledger>, deferred: DeferredFetching) -> FetchGroup {
        let id = GroupId(self.next.fetch_add(1, Relaxed));
        let (network_side, reports) = (self.network_side.clone(), self.reports.clone());
        FetchGroup::new(id, ledger, deferred, network_side, reports, Arc::clone(&self.ids))
    }
}

impl UserAgent {
    /// Starts building a user agent that sends over the default network.
    ///
    /// Without the `net` feature there is none: see [`UserAgentBuilder::new`].
    #[cfg(feature = "net")]
    pub fn builder() -> UserAgentBuilder {
        UserAgentBuilder::new(Arc::new(sendbeacon_net::HyperNetwork::builder().build()))
    }

    /// A new document in a top-level traversable, with `client` as its settings object. Call when the
    /// engine creates one.
    #[must_use]
    pub fn document(&self, client: Client) -> Document {
        let deferred = DeferredFetching::top_level(&client);
        Document::new(client, self.groups.open(self.ledger(), deferred))
    }

    /// A new document in `container`, with `client` as its settings object. Call when the engine creates
    /// one: same origin with the container's document, it shares the
    /// [deferred-fetch quota](https://fetch.spec.whatwg.org/#deferred-fetch-quota) of that.
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
        self.groups.ledgers.open(self.groups.limits)
    }

    /// What this user agent is to know of a content process, and lets it do: see [`remote`](crate::remote).
    #[cfg(feature = "remote")]
    #[must_use]
    pub fn content_process(&self, pin: crate::remote::Pin) -> crate::remote::ContentProcess {
        crate::remote::ContentProcess::new(self.groups.clone(), self.runtime.clone(), pin)
    }

    /// Says whether loads run that matter to the user now (a navigation, say). While they do, beacons
    /// let them go first, for [`Scheduling::max_delay`] at most, and not at all when their document is
    /// hidden, frozen or gone. Default: none do.
    pub fn important_loads(&self, running: bool) {
        self.tell(Message::ImportantLoads(running));
    }

    /// Says whether there is a network. While there is none nothing is started; what has waited for
    /// [`Timeouts::offline`] fails. Default: there is one.
    pub fn set_online(&self, online: bool) {
        self.tell(Message::Online(online));
    }

    /// Says that the network is another one: idle connections are of no use any more.
    pub fn network_changed(&self) {
        self.tell(Message::NetworkChanged);
    }

    /// Forgets what documents of `origin` have sent and is unfinished: it is given up, with
    /// [`AbandonReason::SiteDataCleared`](crate::AbandonReason::SiteDataCleared) as its outcome. Cookies
    /// and the rest of the origin's data are in the engine's own stores.
    pub fn clear_site_data(&self, origin: &Origin) {
        self.tell(Message::ClearSiteData(origin.clone()));
    }

    fn tell(&self, message: Message) {
        // If the network side has gone it does not matter any more.
        self.groups.network_side.send(message);
    }

    /// Drains: refuses new beacons, stops what has no keepalive flag, starts everything queued, waits
    /// until all is done or `deadline` has passed, and says what became of each keepalive fetch that
    /// was unfinished.
    ///
    /// The future may be awaited on any runtime, and need not be: the drain has begun when this
    /// returns. A second call gets a report of the same drain if it comes in time. One that comes after
    /// the drain, or after the runtime of the network side has gone, gets one that is not
    /// [`completed`](ShutdownReport::completed).
    pub fn shutdown(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = ShutdownReport> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.begin_shutdown(deadline, Box::new(|report| drop(sender.send(report))));
        async move { receiver.await.unwrap_or_default() }
    }

    /// [`shutdown`](Self::shutdown) for a caller that is not async: blocks the thread until the
    /// report is there, a second longer than `deadline` at most; then the report is not
    /// [`completed`](ShutdownReport::completed).
    ///
    /// On a thread that drives the runtime given to [`UserAgentBuilder::runtime`], use the other: here
    /// such a thread waits in vain, as it may be the one that has to drain. The drain begins when that
    /// runtime runs again.
    #[allow(clippy::must_use_candidate)] // the drain is what it is for
    pub fn shutdown_blocking(&self, deadline: Duration) -> ShutdownReport {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.begin_shutdown(deadline, Box::new(move |report| drop(sender.send(report))));
        let patience = deadline.saturating_add(Duration::from_secs(1));
        receiver.recv_timeout(patience).unwrap_or_default()
    }

    fn begin_shutdown(&self, deadline: Duration, reply: Reply) {
        self.groups.ledgers.close();
        // A deadline beyond the clock's end is none.
        let deadline = Instant::now().checked_add(deadline);
        // If the network side has gone, the reply is dropped and its receiver knows.
        self.tell(Message::ShutDown { deadline, reply: Some(reply) });
    }
}

impl Drop for UserAgent {
    fn drop(&mut self) {
        self.groups.ledgers.close();
        self.tell(Message::ShutDown { deadline: None, reply: None });
    }
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgent").finish_non_exhaustive()
    }
}

/// The ledgers of all fetch groups, and the channels to content processes, so that a shutdown can
/// close them. Locked when a group or a channel is made and at shutdown, never by a beacon.
#[derive(Debug, Default)]
pub(crate) struct Ledgers(Mutex<LedgersInner>);

#[derive(Debug, Default)]
struct LedgersInner {
    ledgers: Vec<Weak<Ledger>>,
    #[cfg(feature = "remote")]
    channels: Vec<Weak<Channel>>,
    prune_at: usize,
    is_closed: bool,
}

impl Ledgers {
    fn open(&self, limits: KeepaliveLimits) -> Arc<Ledger> {
        let ledger = Ledger::new(limits);
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.is_closed {
            ledger.close();
        }
        if inner.ledgers.len() >= inner.prune_at {
            inner.ledgers.retain(|ledger| ledger.strong_count() > 0);
            inner.prune_at = 2 * inner.ledgers.len() + 16;
        }
        inner.ledgers.push(Arc::downgrade(&ledger));
        ledger
    }

    fn close(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.is_closed = true;
        inner.ledgers.iter().filter_map(Weak::upgrade).for_each(|ledger| ledger.close());
        #[cfg(feature = "remote")]
        inner.channels.iter().filter_map(Weak::upgrade).for_each(|channel| channel.close());
    }

    /// From now on a shutdown waits for this channel, too.
    #[cfg(feature = "remote")]
    pub(crate) fn watch(&self, channel: &Arc<Channel>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.is_closed {
            channel.close();
        }
        inner.channels.retain(|channel| channel.strong_count() > 0);
        inner.channels.push(Arc::downgrade(channel));
    }

    /// Whether no group has anything reserved, and nothing comes from elsewhere, or `is_heard`: whoever
    /// is there has had time to say so.
    pub(crate) fn are_empty(&self, is_heard: bool) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "remote")]
        if !is_heard
            && !inner.channels.iter().filter_map(Weak::upgrade).all(|channel| channel.is_drained())
        {
            return false;
        }
        #[cfg(not(feature = "remote"))]
        let _ = is_heard;
        inner.ledgers.iter().filter_map(Weak::upgrade).all(|l| l.inflight() == Inflight::default())
    }
}

/// Builds a [`UserAgent`].
#[must_use]
pub struct UserAgentBuilder {
    profile: Profile,
    content_codings: bool,
    reports_violations: bool,
    sink: Option<Arc<dyn EventSink>>,
    runtime: Option<Handle>,
    limits: KeepaliveLimits,
    scheduling: Scheduling,
    timeouts: Timeouts,
}

impl UserAgentBuilder {
    /// Starts building a user agent that sends over `network`.
    pub fn new(network: Arc<dyn Network>) -> Self {
        let user_agent = concat!("sendbeacon/", env!("CARGO_PKG_VERSION"));
        let user_agent = HeaderValue::from_static(user_agent);
        Self {
            profile: Profile::new(network, Arc::new(SystemClock), user_agent),
            content_codings: cfg!(feature = "content-codings"),
            reports_violations: true,
            sink: None,
            runtime: None,
            limits: KeepaliveLimits::default(),
            scheduling: Scheduling::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// The network to send over, in place of the default one.
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.profile.network = network;
        self
    }

    /// Where events go. Default: nowhere.
    pub fn event_sink(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Runs the network side on this runtime, which needs its I/O and time drivers and must be driven
    /// until [`UserAgent::shutdown`] has answered. Default: a thread of its own.
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// The default `User-Agent`. Default: `sendbeacon/` and the version of this library.
    pub fn user_agent(mut self, value: HeaderValue) -> Self {
        self.profile.user_agent = value;
        self
    }

    /// The default `Accept-Language`. Default: none is sent.
    pub fn accept_language(mut self, value: HeaderValue) -> Self {
        self.profile.accept_language = Some(value);
        self
    }

    /// [`Priority`](https://www.rfc-editor.org/rfc/rfc9218) of beacons; `None` to send none. Default:
    /// `u=6`.
    pub fn beacon_priority(mut self, value: Option<HeaderValue>) -> Self {
        self.profile.beacon_priority = value;
        self
    }

    /// Headers for every request that does not have them. Default: none.
    pub fn extra_headers(mut self, headers: HeaderMap) -> Self {
        self.profile.extra_headers = headers;
        self
    }

    /// Whether requests of `fetch()` ask for content codings (gzip, deflate, br, zstd), and the bodies of their
    /// responses are decoded. Default: true with the feature `content-codings`, else false.
    ///
    /// Cargo turns a feature on for all crates of a program if one of them asks for it. A crate that depends on
    /// either behaviour therefore says so here. Without the feature, true is an error of
    /// [`build`](Self::build).
    pub fn content_codings(mut self, decode: bool) -> Self {
        self.content_codings = decode;
        self
    }

    /// The cookie store. Default: there are no cookies.
    pub fn cookies(mut self, store: Arc<dyn CookieStore>) -> Self {
        self.profile.cookies = store;
        self
    }

    /// Known HSTS hosts. Default: [`MemoryHstsStore`](crate::MemoryHstsStore).
    pub fn hsts(mut self, store: Arc<dyn HstsStore>) -> Self {
        self.profile.hsts = store;
        self
    }

    /// Authentication entries. Default: there are none.
    pub fn authentication_entries(mut self, entries: Arc<dyn AuthenticationEntries>) -> Self {
        self.profile.authentication_entries = entries;
        self
    }

    /// The HTTP cache to invalidate. Default: there is none.
    pub fn http_cache(mut self, cache: Arc<dyn HttpCache>) -> Self {
        self.profile.http_cache = cache;
        self
    }

    /// Who looks at each request before it is sent. Default: nobody.
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.profile.interceptor = interceptor;
        self
    }

    /// The service workers in control of clients. Default: there are none.
    pub fn service_workers(mut self, workers: Arc<dyn ServiceWorkers>) -> Self {
        self.profile.service_workers = workers;
        self
    }

    /// Whether violations of a Content Security Policy are reported to the endpoints of its `report-uri`. An
    /// engine that reports them itself, from their events, says no. Default: they are.
    pub fn report_violations(mut self, report: bool) -> Self {
        self.reports_violations = report;
        self
    }

    /// How much each fetch group may have unfinished.
    pub fn keepalive_limits(mut self, limits: KeepaliveLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What is started when.
    pub fn scheduling(mut self, scheduling: Scheduling) -> Self {
        self.scheduling = scheduling;
        self
    }

    /// Limits on time.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Starts the network side.
    ///
    /// # Errors
    /// If its thread or its runtime cannot be made, or if the builder asks for
    /// [content codings](Self::content_codings) without their feature.
    #[cfg_attr(not(feature = "content-codings"), allow(unused_mut))]
    pub fn build(mut self) -> Result<UserAgent, BuildError> {
        #[cfg(feature = "content-codings")]
        {
            self.profile.content_codings = self.content_codings;
        }
        #[cfg(not(feature = "content-codings"))]
        if self.content_codings {
            return Err(BuildError::ContentCodings);
        }
        let (mailbox, receiver) = mpsc::unbounded_channel();
        let groups = Groups::new(NetworkSide::Here(mailbox), self.limits, Arc::default());
        let driver = Driver::new(
            receiver,
            Arc::new(self.profile),
            self.reports_violations,
            self.sink,
            Arc::clone(&groups.ledgers),
            Arc::clone(&groups.ids),
            Dispatcher::new(self.timeouts, self.scheduling),
        );
        let runtime = match self.runtime {
            Some(handle) => {
                handle.spawn(driver.run());
                handle
            }
            None => spawn_thread(driver)?,
        };
        #[cfg(not(feature = "remote"))]
        drop(runtime);
        Ok(UserAgent {
            groups,
            #[cfg(feature = "remote")]
            runtime,
        })
    }
}

impl fmt::Debug for UserAgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAgentBuilder").finish_non_exhaustive()
    }
}

/// Why a user agent could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The network thread or its runtime could not be started.
    #[error("the network thread could not be started: {0}")]
    Thread(#[from] io::Error),
    /// [`UserAgentBuilder::content_codings`] was asked for, and the feature `content-codings` is off.
    #[error("content codings need the feature `content-codings` of sendbeacon")]
    ContentCodings,
}

fn spawn_thread(driver: Driver) -> io::Result<Handle> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("sendbeacon".into()).spawn(move || {
        // As a task like the connections': what is blocked on itself is only polled after the runtime has
        // asked the kernel for news. A panic has been told, and there is nobody to hand it to.
        let _ = runtime.block_on(runtime.spawn(driver.run()));
        // A name look-up that hangs must not keep the thread.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
