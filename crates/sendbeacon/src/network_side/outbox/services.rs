//! The services of a fetch that comes from the outbox: its answer sets nothing, and `RedeliveryCookies` decides about its
//! credentials.

use std::sync::Arc;

use http::HeaderValue;
use sendbeacon_fetch::{
    AddressSpace, Client, CredentialsMode, NetworkError, Nonce, Origin, Request,
    fetch::Profile,
    host::{
        Answer, BoxFuture, CookieContext, CookieStore, HstsEntry, HstsStore, Network,
        NetworkRequest, NetworkResponse, NoAuthenticationEntries, Progress, Transmission,
        TransmissionObserver,
    },
};
use url::Url;

use super::record::{CookieDigest, Kept};
use crate::outbox::RedeliveryCookies;

/// The request of a record, confined to what the outbox may send.
pub(super) fn request_of(kept: &Kept, cookies: RedeliveryCookies, is_sealed: bool) -> Box<Request> {
    let mut request = kept.request.clone().into_request(Arc::clone(&kept.client));
    if cookies == RedeliveryCookies::Omit || !is_sealed {
        request.credentials = CredentialsMode::Omit;
    }
    if !is_sealed {
        // Anybody may have written the record. So it gets no access to private addresses: not by a permission, which
        // needs a document, and not as the same origin.
        let mut client = Client::clone(&kept.client);
        client.address_space = Some(AddressSpace::Public);
        client.has_document = false;
        client.origin = Origin::Opaque(Nonce::random());
        request.client = Arc::new(client);
    }
    request
}

/// The profile for the request of a record: the services of `profile`, which learn nothing from the answer. There is no
/// service worker, because the document is not there.
pub(super) fn profile_of(profile: &Profile, kept: &Kept, cookies: RedeliveryCookies) -> Profile {
    let (network, clock) = (Arc::clone(&profile.network), Arc::clone(&profile.clock));
    let mut own = Profile::new(network, clock, profile.user_agent.clone());
    own.interceptor = Arc::clone(&profile.interceptor);
    own.accept_language.clone_from(&profile.accept_language);
    own.beacon_priority.clone_from(&profile.beacon_priority);
    own.extra_headers.clone_from(&profile.extra_headers);
    own.hsts = Arc::new(KnownHosts(Arc::clone(&profile.hsts)));
    let then = (cookies == RedeliveryCookies::IfUnchanged)
        .then(|| (Arc::clone(kept.request.url()), kept.cookies));
    own.cookies = Arc::new(Cookies { of_now: Arc::clone(&profile.cookies), then });
    own.authentication_entries = match cookies {
        RedeliveryCookies::Current => Arc::clone(&profile.authentication_entries),
        RedeliveryCookies::IfUnchanged | RedeliveryCookies::Omit => {
            Arc::new(NoAuthenticationEntries)
        }
    };
    own
}

/// The known HSTS hosts, to which no answer adds any.
struct KnownHosts(Arc<dyn HstsStore>);

impl HstsStore for KnownHosts {
    fn get(&self, domain: &str) -> Option<HstsEntry> {
        self.0.get(domain)
    }

    fn set(&self, _: &str, _: Option<HstsEntry>) {}
}

/// The cookies of now, which no answer changes.
struct Cookies {
    of_now: Arc<dyn CookieStore>,
    /// If there are any: only a request to this URL gets cookies, and only if they have this digest.
    then: Option<(Arc<Url>, Option<CookieDigest>)>,
}

impl CookieStore for Cookies {
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        let Some((url, digest)) = &self.then else { return self.of_now.retrieve(context) };
        let Some(digest) = digest.filter(|_| **url == *context.url) else {
            return Answer::Ready(None);
        };
        let unchanged = move |now: Option<HeaderValue>| now.filter(|now| digest.is_of(Some(now)));
        match self.of_now.retrieve(context) {
            Answer::Ready(now) => Answer::Ready(unchanged(now)),
            Answer::Later(now) => Answer::Later(Box::pin(async move { unchanged(now.await) })),
        }
    }

    fn store(&self, _: CookieContext<'_>, _: Vec<HeaderValue>) -> Answer<()> {
        Answer::Ready(())
    }
}

/// A network that does not say when it writes: each request counts as written when the network is given it.
pub(crate) struct WaitingNetwork(pub(in crate::network_side) Arc<dyn Network>);

impl Network for WaitingNetwork {
    fn http_network_fetch(
        &self,
        mut request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let of_fetch = std::mem::take(&mut request.transmission);
        let noted = of_fetch.before_writing();
        request.transmission = Transmission::new(Arc::new(Written(of_fetch)));
        match noted {
            None => self.0.http_network_fetch(request),
            Some(noted) => Box::pin(async move {
                noted.await;
                self.0.http_network_fetch(request).await
            }),
        }
    }

    fn network_changed(&self) {
        self.0.network_changed();
    }

    fn waits_before_writing(&self) -> bool {
        true
    }
}

/// Passes on what a network tells of a request that counts as written. It may not say that nothing was sent: it would not
/// wait before it writes.
struct Written(Transmission);

impl TransmissionObserver for Written {
    fn progressed(&self, progress: Progress) {
        if progress != Progress::Unsent {
            self.0.report(progress);
        }
    }

    fn sent_again(&self, reason: &NetworkError) {
        self.0.sent_again(reason);
    }
}
