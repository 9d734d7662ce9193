//! Building a user agent.

use std::{
    fmt, io,
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue};
use sendbeacon_fetch::{
    KeepaliveLimits,
    fetch::Profile,
    host::{
        AuthenticationEntries, Clock, CookieStore, HstsStore, HttpCache, Interceptor, Network,
        ServiceWorkers,
    },
};
use thiserror::Error;
use tokio::runtime::{self, Handle};

use super::agent::UserAgent;
use crate::{
    event::EventSink,
    id::FetchIds,
    ledgers::Ledgers,
    limits::{Scheduling, Timeouts},
    network_side::{Dispatcher, Driver, Mailbox},
    script::Groups,
};

impl UserAgent {
    /// Starts building a user agent that sends over the default network.
    ///
    /// Without the `net` feature there is no default network: see [`UserAgentBuilder::new`].
    #[cfg(feature = "net")]
    pub fn builder() -> UserAgentBuilder {
        UserAgentBuilder::new(Arc::new(sendbeacon_net::HttpNetwork::default()))
    }
}

/// Builds a [`UserAgent`].
#[must_use]
pub struct UserAgentBuilder {
    profile: Profile,
    reports_violations: bool,
    content_codings: bool,
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
            reports_violations: true,
            content_codings: cfg!(feature = "content-codings"),
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

    /// Whether requests of `fetch()` ask for content codings (gzip, deflate, br, zstd), and the bodies of their responses
    /// are decoded. Default: true with the feature `content-codings`, else false.
    ///
    /// Cargo turns a feature on for all crates of a program if one of them asks for it. So a crate that depends on one of
    /// the two behaviours sets it here. Without the feature, true is an error of [`build`](Self::build).
    pub fn content_codings(mut self, decode: bool) -> Self {
        self.content_codings = decode;
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
    /// If its thread or its runtime cannot be made.
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
        if !self.scheduling.is_possible() {
            return Err(BuildError::Scheduling);
        }
        if !self.limits.fit() {
            return Err(BuildError::KeepaliveLimits);
        }
        let (mailbox, messages) = Mailbox::new();
        let (ledgers, ids) = (Arc::<Ledgers>::default(), Arc::<FetchIds>::default());
        let groups = Groups::new(Arc::new(mailbox.clone()), Arc::clone(&ids));
        let driver = Driver::new(
            (mailbox.clone(), messages),
            self.profile,
            self.reports_violations,
            self.sink,
            Arc::clone(&ledgers),
            ids,
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
            mailbox,
            groups,
            ledgers,
            limits: self.limits,
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
    #[error("the network thread could not be started")]
    Thread(#[from] io::Error),
    /// The builder asks for [content codings](UserAgentBuilder::content_codings), and the feature `content-codings` is
    /// off.
    #[error("content codings need the feature `content-codings` of sendbeacon")]
    ContentCodings,
    /// A limit of the [`Scheduling`] is 0: some fetches would never start.
    #[error("a limit of the scheduling is 0: give each at least 1")]
    Scheduling,
    /// A [`KeepaliveLimits`] is larger than a ledger can count.
    #[error("a keepalive limit is too large: at most {} bytes of bodies and {} bytes of URLs", KeepaliveLimits::MAX.body_bytes, KeepaliveLimits::MAX.url_bytes)]
    KeepaliveLimits,
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
