//! The services that an embedder may provide.
//!
//! Every service is a small, object-safe trait that is `Send + Sync`. The library calls the methods on its
//! network side, not on a thread that runs scripts, unless a method says otherwise. No method may block.
//! Beside most traits stands a type that does nothing, which is the default.

mod interceptor;
mod network;
mod service_workers;

use std::{
    fmt,
    pin::Pin,
    time::{Instant, SystemTime},
};

use http::HeaderValue;
pub use sendbeacon_cookies::SameSiteMode;
use url::Url;

pub use self::{
    interceptor::{InterceptedRequest, Interception, Interceptor, PassEverything},
    network::{
        BodyStream, ConnectionKey, EmptyBody, Network, NetworkRequest, NetworkResponse,
        ResponseBody,
    },
    service_workers::{
        NoServiceWorkers, ServiceWorkerAnswer, ServiceWorkerResponse, ServiceWorkers,
    },
};
use crate::{AddressSpace, Client, PartitionKey};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer of a service. Some engines know it at once; others ask another thread or process for it.
///
/// ```
/// use sendbeacon_fetch::host::Answer;
///
/// let known: Answer<bool> = Answer::Ready(true);
/// let asked_for: Answer<bool> = Answer::Later(Box::pin(async { true }));
/// ```
pub enum Answer<T> {
    /// The answer is known now.
    Ready(T),
    /// The future completes with the answer. The library drops it to withdraw the question.
    Later(BoxFuture<'static, T>),
}

impl<T> Answer<T> {
    /// Waits for the answer, if it is not known yet.
    pub async fn get(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(value) => f.debug_tuple("Ready").field(value).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// The monotonic clock and the wall clock.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// struct SystemClock;
///
/// impl sendbeacon_fetch::host::Clock for SystemClock {
///     fn now(&self) -> Instant {
///         Instant::now()
///     }
///
///     fn wall(&self) -> SystemTime {
///         SystemTime::now()
///     }
/// }
/// ```
pub trait Clock: Send + Sync {
    /// The time of the monotonic clock: never earlier than an earlier answer.
    fn now(&self) -> Instant;

    /// The time of the wall clock.
    fn wall(&self) -> SystemTime;
}

/// The cookies of a profile: what Fetch asks of the
/// [cookie store](https://fetch.spec.whatwg.org/#cookies).
///
/// `MemoryCookieStore` in the crate `sendbeacon` is an implementation.
pub trait CookieStore: Send + Sync {
    /// Retrieves the cookies for a request and serializes them:
    /// [append a request `Cookie` header](https://fetch.spec.whatwg.org/#append-a-request-cookie-header).
    ///
    /// Returns the value of the `Cookie` header, or `None` if the request has no such header.
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>>;

    /// Stores the cookies that a response sets:
    /// [parse and store response `Set-Cookie` headers](https://fetch.spec.whatwg.org/#parse-and-store-response-set-cookie-headers).
    ///
    /// `set_cookie` holds the values of the response's `Set-Cookie` headers in their order, at least one.
    /// A cookie that is rejected is ignored.
    fn store(&self, context: CookieContext<'_>, set_cookie: Vec<HeaderValue>) -> Answer<()>;
}

/// A [`CookieStore`] without cookies: no request sends one, and no response sets one.
///
/// This is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCookies;

impl CookieStore for NoCookies {
    fn retrieve(&self, _: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        Answer::Ready(None)
    }

    fn store(&self, _: CookieContext<'_>, _: Vec<HeaderValue>) -> Answer<()> {
        Answer::Ready(())
    }
}

/// The properties of a request that decide which cookies it may send and set.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CookieContext<'a> {
    /// The request's current URL.
    pub url: &'a Url,
    /// The request's client, which has the network partition key and knows about cross-site ancestors.
    pub client: &'a Client,
    /// The [same-site mode](https://fetch.spec.whatwg.org/#determine-the-same-site-mode).
    pub same_site: SameSiteMode,
}

impl<'a> CookieContext<'a> {
    /// The context of a request for `url`. An engine makes one for a navigation.
    #[must_use]
    pub fn new(url: &'a Url, client: &'a Client, same_site: SameSiteMode) -> Self {
        Self { url, client, same_site }
    }

    /// Sets [`same_site`](Self::same_site).
    #[must_use]
    pub fn with_same_site(self, same_site: SameSiteMode) -> Self {
        Self { same_site, ..self }
    }
}

/// Stores the known HSTS hosts. The default is [`MemoryHstsStore`](crate::MemoryHstsStore).
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
///
/// use sendbeacon_fetch::host::{HstsEntry, HstsStore};
///
/// #[derive(Default)]
/// struct Hosts(Mutex<HashMap<String, HstsEntry>>);
///
/// impl HstsStore for Hosts {
///     fn get(&self, domain: &str) -> Option<HstsEntry> {
///         self.0.lock().unwrap().get(domain).copied()
///     }
///
///     fn set(&self, domain: &str, entry: Option<HstsEntry>) {
///         let mut hosts = self.0.lock().unwrap();
///         match entry {
///             Some(entry) => hosts.insert(domain.to_owned(), entry),
///             None => hosts.remove(domain),
///         };
///     }
/// }
/// ```
pub trait HstsStore: Send + Sync {
    /// The entry of exactly this domain (lower case, no final dot).
    fn get(&self, domain: &str) -> Option<HstsEntry>;

    /// Stores the entry of this domain. `None` removes it.
    fn set(&self, domain: &str, entry: Option<HstsEntry>);
}

/// A [known HSTS host](https://www.rfc-editor.org/rfc/rfc6797#section-8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HstsEntry {
    /// The time at which the entry expires.
    pub expires: SystemTime,
    /// Whether the entry covers subdomains.
    pub include_subdomains: bool,
}

impl HstsEntry {
    /// An entry that expires at `expires`.
    #[must_use]
    pub fn new(expires: SystemTime, include_subdomains: bool) -> Self {
        Self { expires, include_subdomains }
    }
}

/// The [authentication entries](https://fetch.spec.whatwg.org/#authentication-entries) of the user agent.
///
/// ```
/// use http::HeaderValue;
/// use sendbeacon_fetch::{Client, host::{Answer, AuthenticationEntries}};
///
/// struct Intranet;
///
/// impl AuthenticationEntries for Intranet {
///     fn authorization(&self, url: &url::Url, _: &Client) -> Answer<Option<HeaderValue>> {
///         let is_ours = url.host_str() == Some("intranet.example");
///         Answer::Ready(is_ours.then(|| HeaderValue::from_static("Basic dTpw")))
///     }
/// }
/// ```
pub trait AuthenticationEntries: Send + Sync {
    /// The value of the `Authorization` header for a request of `client` to `url`, if there is an entry.
    /// The implementation does not prompt: a keepalive request has no traversable for user prompts.
    fn authorization(&self, url: &Url, client: &Client) -> Answer<Option<HeaderValue>>;
}

/// No authentication entries. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthenticationEntries;

impl AuthenticationEntries for NoAuthenticationEntries {
    fn authorization(&self, _: &Url, _: &Client) -> Answer<Option<HeaderValue>> {
        Answer::Ready(None)
    }
}

/// The permissions of [Local Network Access](https://wicg.github.io/local-network-access/), which a user or an
/// administrator grants.
///
/// The [`Network`] asks, because it knows the addresses.
///
/// ```
/// use sendbeacon_fetch::{AddressSpace, Client, host::{Answer, LocalNetworkAccess}};
///
/// /// The administrator lets one site reach devices of the local network.
/// struct Managed;
///
/// impl LocalNetworkAccess for Managed {
///     fn permits(&self, client: &Client, _: &url::Url, target: AddressSpace) -> Answer<bool> {
///         let is_managed = client.origin.to_string() == "https://devices.example";
///         Answer::Ready(is_managed && target == AddressSpace::Local)
///     }
/// }
/// ```
pub trait LocalNetworkAccess: Send + Sync {
    /// Whether `client` may reach `url` at an address in the address space `target`, which is less public
    /// than the client's. The client is a secure context: without one the request fails unasked.
    ///
    /// The network calls this for every request. An implementation that prompts a user stores the answer.
    fn permits(&self, client: &Client, url: &Url, target: AddressSpace) -> Answer<bool>;
}

/// Refuses every request to an address less public than its client's. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefuseAll;

impl LocalNetworkAccess for RefuseAll {
    fn permits(&self, _: &Client, _: &Url, _: AddressSpace) -> Answer<bool> {
        Answer::Ready(false)
    }
}

/// The HTTP cache. The library answers no request from it, but tells it which entries are out of date.
///
/// ```
/// use std::sync::Mutex;
///
/// use sendbeacon_fetch::{PartitionKey, host::HttpCache};
///
/// struct Cache(Mutex<Vec<(url::Url, PartitionKey)>>);
///
/// impl HttpCache for Cache {
///     fn invalidate(&self, url: &url::Url, partition: &PartitionKey) {
///         self.0.lock().unwrap().retain(|(it, of)| it != url || of != partition);
///     }
/// }
/// ```
pub trait HttpCache: Send + Sync {
    /// [Invalidates](https://www.rfc-editor.org/rfc/rfc9111#section-4.4) the stored responses for `url` in
    /// `partition`: an unsafe request to `url` was answered with 200 to 399.
    fn invalidate(&self, url: &Url, partition: &PartitionKey);
}

/// No HTTP cache. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHttpCache;

impl HttpCache for NoHttpCache {
    fn invalidate(&self, _: &Url, _: &PartitionKey) {}
}

/// Random bytes that pages and servers cannot predict. Called on any thread.
///
/// ```
/// struct SystemRandom;
///
/// impl sendbeacon_fetch::host::Random for SystemRandom {
///     fn fill(&self, bytes: &mut [u8]) {
///         getrandom::fill(bytes).expect("the operating system has random bytes");
///     }
/// }
/// ```
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}
