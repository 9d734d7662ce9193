//! The methods of the builder of a user agent, and the start of the network side.

use std::{io, sync::Arc};

use http::{HeaderMap, HeaderValue};
#[cfg(feature = "outbox")]
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "outbox")]
use sendbeacon_fetch::host::Outbox;
use sendbeacon_fetch::{
    KeepaliveLimits,
    fetch::Profile,
    host::{
        AuthenticationEntries, CookieStore, HstsStore, HttpCache, Interceptor, Network,
        ServiceWorkers,
    },
};
use tokio::runtime::{self, Handle};

use super::{BuildError, UserAgent, UserAgentBuilder};
use crate::{
    background_send::{BackgroundSend, NoBackgroundSend},
    budget::Budget,
    clock::SystemClock,
    documents::Documents,
    event::EventSink,
    id::FetchIds,
    ledgers::Ledgers,
    limits::{MemoryLimits, Scheduling, Timeouts},
    network_side::{Dispatcher, Driver, Mailbox, Retries},
    random,
    script::Groups,
};
#[cfg(feature = "outbox")]
use crate::{network_side::Keeping, outbox::OutboxSettings};

impl UserAgent {
    /// Starts building a user agent that sends over the default network, [`HttpNetwork`](crate::net::HttpNetwork).
    ///
    /// Without the feature `net` there is no default network: see [`UserAgentBuilder::new`].
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use sendbeacon::{UserAgent, net::HttpNetwork};
    ///
    /// // The default network with its default settings.
    /// let agent = UserAgent::builder().build()?;
    /// // The default network with other settings.
    /// let network = HttpNetwork::builder().build()?;
    /// let agent = UserAgent::builder().network(Arc::new(network)).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "net")]
    pub fn builder() -> UserAgentBuilder {
        UserAgentBuilder::new(Arc::new(sendbeacon_net::HttpNetwork::default()))
    }
}

impl UserAgentBuilder {
    /// Starts building a user agent that sends over `network`.
    pub fn new(network: Arc<dyn Network>) -> Self {
        let user_agent = concat!("sendbeacon/", env!("CARGO_PKG_VERSION"));
        let user_agent = HeaderValue::from_static(user_agent);
        Self {
            profile: Profile::new(network, Arc::new(SystemClock), user_agent),
            reports_violations: true,
            content_codings: cfg!(feature = "content-codings"),
            sink: None,
            runtime: None,
            limits: KeepaliveLimits::default(),
            memory: MemoryLimits::default(),
            scheduling: Scheduling::default(),
            timeouts: Timeouts::default(),
            tries_again: true,
            background_send: Arc::new(NoBackgroundSend),
            #[cfg(feature = "outbox")]
            outbox: None,
        }
    }

    /// Sets the network to send over. Default: the network that this builder was made with.
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.profile.network = network;
        self
    }

    /// Sets the sink that receives the events. Default: none.
    pub fn event_sink(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Runs the network side on a tokio runtime of the embedder. The runtime must have its I/O and time drivers
    /// enabled, and something must drive it until [`UserAgent::shutdown`] has answered. Default: a thread of its
    /// own.
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// Sets the `User-Agent` header of requests that have none. Default: `sendbeacon/` and the version of this
    /// library.
    pub fn user_agent(mut self, value: HeaderValue) -> Self {
        self.profile.user_agent = value;
        self
    }

    /// Sets the `Accept-Language` header of requests that have none. Default: no such header.
    pub fn accept_language(mut self, value: HeaderValue) -> Self {
        self.profile.accept_language = Some(value);
        self
    }

    /// Sets the [`Priority`](https://www.rfc-editor.org/rfc/rfc9218) header of beacons; `None` for no such
    /// header. Default: `u=6`.
    pub fn beacon_priority(mut self, value: Option<HeaderValue>) -> Self {
        self.profile.beacon_priority = value;
        self
    }

    /// Sets headers that are added to every request which does not have them. Default: none.
    pub fn extra_headers(mut self, headers: HeaderMap) -> Self {
        self.profile.extra_headers = headers;
        self
    }

    /// Sets the cookie store. Default: [`NoCookies`](crate::host::NoCookies).
    pub fn cookies(mut self, store: Arc<dyn CookieStore>) -> Self {
        self.profile.cookies = store;
        self
    }

    /// Sets the store of the known HSTS hosts. Default: an empty
    /// [`MemoryHstsStore`](crate::MemoryHstsStore).
    pub fn hsts(mut self, store: Arc<dyn HstsStore>) -> Self {
        self.profile.hsts = store;
        self
    }

    /// Sets the authentication entries. Default:
    /// [`NoAuthenticationEntries`](crate::host::NoAuthenticationEntries).
    pub fn authentication_entries(mut self, entries: Arc<dyn AuthenticationEntries>) -> Self {
        self.profile.authentication_entries = entries;
        self
    }

    /// Sets the HTTP cache, whose entries unsafe requests invalidate. Default:
    /// [`NoHttpCache`](crate::host::NoHttpCache).
    pub fn http_cache(mut self, cache: Arc<dyn HttpCache>) -> Self {
        self.profile.http_cache = cache;
        self
    }

    /// Sets the interceptor, which sees each request before it is sent and may change or block it. Default:
    /// [`PassEverything`](crate::host::PassEverything).
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.profile.interceptor = interceptor;
        self
    }

    /// Sets the service workers. Default: [`NoServiceWorkers`](crate::host::NoServiceWorkers).
    pub fn service_workers(mut self, workers: Arc<dyn ServiceWorkers>) -> Self {
        self.profile.service_workers = workers;
        self
    }

    /// Sets whether violations of a Content Security Policy are reported to the endpoints of its `report-uri`.
    /// An engine that makes these reports itself, from the events, passes `false`. Default: true.
    pub fn report_violations(mut self, report: bool) -> Self {
        self.reports_violations = report;
        self
    }

    /// Sets whether requests of `fetch()` ask for content codings (gzip, deflate, br, zstd), and whether the bodies of their
    /// responses are decoded. Default: true with the feature `content-codings`, else false.
    ///
    /// Cargo turns a feature on for all crates of a program if one of them asks for it. So a crate that depends on one of
    /// the two behaviours sets it here. Without the feature, true is an error of [`build`](Self::build).
    pub fn content_codings(mut self, decode: bool) -> Self {
        self.content_codings = decode;
        self
    }

    /// Sets how much each fetch group may have unfinished. Default: [`KeepaliveLimits::default`].
    pub fn keepalive_limits(mut self, limits: KeepaliveLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how much memory the unfinished requests may hold together. Default: [`MemoryLimits::default`].
    pub fn memory_limits(mut self, limits: MemoryLimits) -> Self {
        self.memory = limits;
        self
    }

    /// Sets when fetches start and how many run at once. Default: [`Scheduling::default`].
    pub fn scheduling(mut self, scheduling: Scheduling) -> Self {
        self.scheduling = scheduling;
        self
    }

    /// Sets when fetches are given up. Default: [`Timeouts::default`].
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets whether a request that did not reach its server is sent again, for as long as its fetch may live. It
    /// concerns beacons, pings, reports, deferred fetches, and a keepalive `fetch()` whose document has gone. See
    /// [`NetworkError::is_unreached`](crate::NetworkError::is_unreached). Default: true.
    ///
    /// Such a request may then take 10 seconds at most to connect. The server is tried by one fetch at a time, after
    /// waits of up to 250 milliseconds, which grow up to 8 seconds; the others wait for that one.
    pub fn try_again(mut self, tries_again: bool) -> Self {
        self.tries_again = tries_again;
        self
    }

    /// Sets the service that permits another attempt on another network, for a site that is no longer open. Default:
    /// [`NoBackgroundSend`].
    pub fn background_send(mut self, permission: Arc<dyn BackgroundSend>) -> Self {
        self.background_send = permission;
        self
    }

    /// Keeps unfinished requests in `outbox`, for a time after a crash or a shutdown: see [`outbox`](crate::outbox).
    /// Default: none.
    #[cfg(feature = "outbox")]
    pub fn outbox(mut self, outbox: Box<dyn Outbox>, settings: OutboxSettings) -> Self {
        self.outbox = Some((Mutex::new(outbox), settings));
        self
    }

    /// Starts the network side.
    ///
    /// # Errors
    /// [`BuildError`], if a setting makes no sense, or if the thread of the network side cannot be started.
    #[cfg_attr(not(any(feature = "content-codings", feature = "outbox")), allow(unused_mut))]
    pub fn build(mut self) -> Result<UserAgent, BuildError> {
        #[cfg(feature = "content-codings")]
        {
            self.profile.content_codings = self.content_codings;
        }
        #[cfg(not(feature = "content-codings"))]
        if self.content_codings {
            return Err(BuildError::ContentCodings);
        }
        if !self.scheduling.is_possible() {
            return Err(BuildError::Scheduling);
        }
        if !self.limits.fit() {
            return Err(BuildError::KeepaliveLimits);
        }
        if !self.memory.fit() {
            return Err(BuildError::MemoryLimits);
        }
        let (mailbox, messages) = Mailbox::new();
        let (ledgers, ids) = (Arc::<Ledgers>::default(), Arc::<FetchIds>::default());
        let documents = Arc::<Documents>::default();
        let budget = Arc::new(Budget::new(self.memory));
        let groups =
            Groups::new(Arc::new(mailbox.clone()), Arc::clone(&ids), Arc::clone(&documents))
                .within(Arc::clone(&budget));
        #[cfg(feature = "outbox")]
        let keeping = match self.outbox {
            Some((outbox, settings)) => {
                let outbox = outbox.into_inner().unwrap_or_else(PoisonError::into_inner);
                Some(Keeping::start(outbox, settings, &mut self.profile, &mailbox)?)
            }
            None => None,
        };
        #[cfg(feature = "outbox")]
        let groups = groups.waking(keeping.is_some());
        #[cfg_attr(not(feature = "outbox"), allow(unused_mut))]
        let mut driver = Driver::new(
            (mailbox.clone(), messages),
            self.profile,
            self.reports_violations,
            self.sink,
            Arc::clone(&ledgers),
            ids,
            (
                Dispatcher::new(self.timeouts, self.scheduling, random::up_to),
                Retries::new(self.tries_again, documents, self.background_send),
            ),
        );
        #[cfg(feature = "outbox")]
        if let Some(keeping) = keeping {
            driver.keep(keeping);
        }
        let runtime = match self.runtime {
            Some(handle) => {
                handle.spawn(driver.run());
                handle
            }
            None => spawn_thread(driver)?,
        };
        #[cfg(not(feature = "remote"))]
        drop(budget);
        Ok(UserAgent {
            mailbox,
            groups,
            ledgers,
            limits: self.limits,
            #[cfg(feature = "remote")]
            budget,
            runtime,
        })
    }
}

/// Runs the driver on a thread of its own, and returns the handle of the runtime there.
fn spawn_thread(driver: Driver) -> io::Result<Handle> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("sendbeacon".into()).spawn(move || {
        // NB: the driver is a task, like those of the connections. The runtime polls the future of `block_on`
        // itself only after it has asked the kernel for events. A panic has reached the panic hook, and there
        // is no caller to pass it to.
        let _ = runtime.block_on(runtime.spawn(driver.run()));
        // A name look-up that hangs must not keep the thread alive.
        runtime.shutdown_background();
    })?;
    Ok(handle)
}
