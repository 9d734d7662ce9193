//! The [`Profile`]: the services and settings that all fetches of a user agent's profile share.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue};

use super::{
    cors_preflight_cache::CorsPreflightCache,
    integrity::VerifiedBodies,
    prepared_requests::{PreparedRequests, Settings},
};
use crate::{
    host::{
        AuthenticationEntries, Clock, CookieStore, HstsStore, HttpCache, Interceptor, Network,
        NoAuthenticationEntries, NoCookies, NoHttpCache, NoServiceWorkers, PassEverything,
        ServiceWorkers,
    },
    policy::hsts::MemoryHstsStore,
};

/// The services and settings that all fetches of one profile share. The standard calls them the user agent's.
///
/// Embedders do not need this type: they pass each service to the builder of the `sendbeacon` crate.
#[non_exhaustive]
pub struct Profile {
    /// Sends requests.
    pub network: Arc<dyn Network>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The cookie store. Default: [`NoCookies`].
    pub cookies: Arc<dyn CookieStore>,
    /// Known HSTS hosts. Default: a [`MemoryHstsStore`].
    pub hsts: Arc<dyn HstsStore>,
    /// Authentication entries. Default: [`NoAuthenticationEntries`].
    pub authentication_entries: Arc<dyn AuthenticationEntries>,
    /// The HTTP cache. Default: [`NoHttpCache`].
    pub http_cache: Arc<dyn HttpCache>,
    /// The interceptor. Default: [`PassEverything`].
    pub interceptor: Arc<dyn Interceptor>,
    /// Service workers. Default: [`NoServiceWorkers`].
    pub service_workers: Arc<dyn ServiceWorkers>,
    /// The [default `User-Agent` value](https://fetch.spec.whatwg.org/#default-user-agent-value), for clients without
    /// a value of their own.
    pub user_agent: HeaderValue,
    /// `Accept-Language` for clients without a value of their own. Default: none.
    pub accept_language: Option<HeaderValue>,
    /// [`Priority`](https://www.rfc-editor.org/rfc/rfc9218) of beacons. Default: `u=6`, the lowest urgency except that of
    /// background tasks.
    pub beacon_priority: Option<HeaderValue>,
    /// Headers that the embedder adds to every request. A header that the request has already is not added. Default:
    /// none.
    pub extra_headers: HeaderMap,
    /// Whether requests of `fetch()` ask for content codings, and the bodies of their responses are decoded. Default:
    /// false.
    ///
    /// The feature adds this choice and changes nothing by itself, because Cargo turns a feature on for all crates of a
    /// program if one of them asks for it.
    #[cfg(feature = "content-codings")]
    pub content_codings: bool,
    /// The CORS-preflight cache.
    pub(super) cors_preflight_cache: CorsPreflightCache,
    pub(super) prepared_requests: PreparedRequests,
    pub(super) verified_bodies: Arc<VerifiedBodies>,
}

impl Profile {
    /// A profile with these services and the defaults for everything else.
    pub fn new(network: Arc<dyn Network>, clock: Arc<dyn Clock>, user_agent: HeaderValue) -> Self {
        Self {
            network,
            clock,
            cookies: Arc::new(NoCookies),
            hsts: Arc::new(MemoryHstsStore::default()),
            authentication_entries: Arc::new(NoAuthenticationEntries),
            http_cache: Arc::new(NoHttpCache),
            interceptor: Arc::new(PassEverything),
            service_workers: Arc::new(NoServiceWorkers),
            user_agent,
            accept_language: None,
            beacon_priority: Some(HeaderValue::from_static("u=6")),
            extra_headers: HeaderMap::new(),
            #[cfg(feature = "content-codings")]
            content_codings: false,
            cors_preflight_cache: CorsPreflightCache::default(),
            prepared_requests: PreparedRequests::default(),
            verified_bodies: Arc::default(),
        }
    }

    /// The settings on which requests and their header lists depend.
    pub(super) fn settings(&self) -> Settings<'_> {
        Settings {
            user_agent: &self.user_agent,
            accept_language: self.accept_language.as_ref(),
            beacon_priority: self.beacon_priority.as_ref(),
            extra_headers: &self.extra_headers,
            decodes: self.decodes(),
        }
    }

    #[cfg(feature = "content-codings")]
    pub(super) fn decodes(&self) -> bool {
        self.content_codings
    }

    #[cfg(not(feature = "content-codings"))]
    #[allow(clippy::unused_self)] // The same signature as with the feature.
    pub(super) fn decodes(&self) -> bool {
        false
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}
