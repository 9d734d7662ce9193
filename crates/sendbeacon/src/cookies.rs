//! The cookie store that comes with the library: a jar in memory, and a policy on third-party cookies.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use http::HeaderValue;
use sendbeacon_cookies::{AccessContext, CookieJar};
use sendbeacon_fetch::{
    Client, PartitionKey, Site,
    host::{Answer, CookieContext, CookieStore, SameSiteMode},
};

/// Whether a site other than the top-level one has access to its unpartitioned cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThirdPartyCookies {
    /// A third party can send and set only partitioned cookies. This is the default.
    #[default]
    Block,
    /// A third party can send and set all cookies that their `SameSite` attribute allows.
    Allow,
}

/// A [`CookieStore`] over a [`CookieJar`] in memory, for [`UserAgentBuilder::cookies`].
///
/// Share it in an `Arc`: the engine uses the same store for navigations and for `document.cookie`. All
/// methods may be called from any thread. A lock is held only while the jar is read or changed.
///
/// ```
/// use http::HeaderValue;
/// use sendbeacon::{
///     Client, MemoryCookieStore, Nonce, ThirdPartyCookies,
///     host::{Answer, CookieContext, CookieStore, SameSiteMode},
/// };
/// use url::Url;
///
/// let store = MemoryCookieStore::new(ThirdPartyCookies::Block);
/// let page = Client::new(Url::parse("https://news.example/")?, Nonce::random());
///
/// // Script in the page sets a cookie and reads it.
/// store.set_document_cookie(&page, "theme=dark");
/// assert_eq!(store.document_cookie(&page), "theme=dark");
///
/// // A third party may set partitioned cookies only.
/// let url = Url::parse("https://widget.example/")?;
/// let context = CookieContext::new(&url, &page, SameSiteMode::UnsetOrLess);
/// let set_cookie = ["a=1; Secure; SameSite=None", "b=2; Secure; SameSite=None; Partitioned"];
/// let _ = store.store(context, set_cookie.map(HeaderValue::from_static).to_vec());
/// let Answer::Ready(cookie) = store.retrieve(context) else { unreachable!("it never waits") };
/// assert_eq!(cookie, Some(HeaderValue::from_static("b=2")));
/// # Ok::<(), url::ParseError>(())
/// ```
///
/// [`UserAgentBuilder::cookies`]: crate::UserAgentBuilder::cookies
pub struct MemoryCookieStore {
    jar: Mutex<CookieJar>,
    third_party: ThirdPartyCookies,
    /// The latest partition key of cookies. Most requests have the same one as the request before.
    latest_partition: Mutex<Option<CookiePartition>>,
}

/// The partition key of cookies, and everything that it depends on.
struct CookiePartition {
    network_partition_key: PartitionKey,
    has_cross_site_ancestor: bool,
    key: Arc<str>,
}

impl Default for MemoryCookieStore {
    fn default() -> Self {
        Self::new(ThirdPartyCookies::default())
    }
}

impl MemoryCookieStore {
    /// Creates a store with an empty jar that has the default limits.
    #[must_use]
    pub fn new(third_party: ThirdPartyCookies) -> Self {
        Self { jar: Mutex::default(), third_party, latest_partition: Mutex::default() }
    }

    /// Replaces the jar: for other limits, or for the cookies of an earlier session.
    #[must_use]
    pub fn with_jar(self, jar: CookieJar) -> Self {
        Self { jar: Mutex::new(jar), ..self }
    }

    /// Locks the jar until the guard is dropped: to read, save or clear the cookies.
    pub fn jar(&self) -> MutexGuard<'_, CookieJar> {
        // The jar keeps its own invariants from call to call, so a panic elsewhere does no harm.
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The [cookie string](https://html.spec.whatwg.org/multipage/dom.html#dom-document-cookie) that the
    /// getter of `document.cookie` returns in a document of `client`.
    ///
    /// It is empty where cookies are disabled, and in a document with an opaque origin. There, the
    /// standard's getter throws a `SecurityError`; the engine throws it.
    #[must_use]
    pub fn document_cookie(&self, client: &Client) -> String {
        let context = document_context(client);
        // Step 3.
        let value = context.and_then(|context| self.cookie_header(context, false));
        String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
    }

    /// What `document.cookie = cookie` does in a document of `client`.
    ///
    /// A rejected cookie is ignored. So is every cookie where cookies are disabled, and in a document
    /// with an opaque origin.
    pub fn set_document_cookie(&self, client: &Client, cookie: &str) {
        if let Some(context) = document_context(client) {
            // Step 3.
            self.set(context, cookie.as_bytes(), false);
        }
    }

    /// Steps 3 to 7 of
    /// [append a request `Cookie` header](https://fetch.spec.whatwg.org/#append-a-request-cookie-header).
    fn cookie_header(&self, context: CookieContext<'_>, http_only_allowed: bool) -> Option<Bytes> {
        let partition = self.partition_of(context.client);
        let access = self.access(context, &partition)?.with_http_only_allowed(http_only_allowed);
        self.jar().cookie_header(&access, SystemTime::now())
    }

    /// Steps 6.2 and 6.3 of
    /// [parse and store response `Set-Cookie` headers](https://fetch.spec.whatwg.org/#parse-and-store-response-set-cookie-headers).
    fn set(&self, context: CookieContext<'_>, cookie: &[u8], http_only_allowed: bool) {
        let partition = self.partition_of(context.client);
        let Some(access) = self.access(context, &partition) else { return };
        let access = access.with_http_only_allowed(http_only_allowed);
        // Neither a server nor a script learns why its cookie was rejected.
        let _ = self.jar().store(cookie, &access, SystemTime::now());
    }

    fn partition_of(&self, client: &Client) -> Arc<str> {
        let mut latest = self.latest_partition.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_client = |it: &&CookiePartition| {
            it.has_cross_site_ancestor == client.has_cross_site_ancestor
                && it.network_partition_key == client.network_partition_key
        };
        if let Some(latest) = latest.as_ref().filter(is_of_client) {
            return Arc::clone(&latest.key);
        }
        let Client { network_partition_key, has_cross_site_ancestor, .. } = client;
        let key: Arc<str> = partition_key(network_partition_key, *has_cross_site_ancestor).into();
        *latest = Some(CookiePartition {
            network_partition_key: network_partition_key.clone(),
            has_cross_site_ancestor: *has_cross_site_ancestor,
            key: Arc::clone(&key),
        });
        key
    }

    /// The jar's form of a context; `None` if the URL has no host. Steps 3 to 5 of both algorithms.
    fn access<'a>(
        &self,
        context: CookieContext<'a>,
        partition: &'a str,
    ) -> Option<AccessContext<'a>> {
        Some(
            AccessContext::for_url(context.url)?
                .with_same_site(context.same_site)
                .with_partition(Some(partition))
                .with_unpartitioned_allowed(self.unpartitioned_allowed(context)),
        )
    }

    fn unpartitioned_allowed(&self, context: CookieContext<'_>) -> bool {
        let CookieContext { url, client, .. } = context;
        let is_first_party = || {
            !client.has_cross_site_ancestor
                && client.network_partition_key.top_level_site.is_of_url(url)
        };
        self.third_party == ThirdPartyCookies::Allow || is_first_party()
    }
}

impl CookieStore for MemoryCookieStore {
    fn retrieve(&self, context: CookieContext<'_>) -> Answer<Option<HeaderValue>> {
        let value = self.cookie_header(context, true);
        // The jar rejects control characters, so a cookie from it is always a header value.
        Answer::Ready(value.and_then(|value| HeaderValue::from_maybe_shared(value).ok()))
    }

    fn store(&self, context: CookieContext<'_>, set_cookie: Vec<HeaderValue>) -> Answer<()> {
        for value in set_cookie {
            self.set(context, value.as_bytes(), true);
        }
        Answer::Ready(())
    }
}

impl fmt::Debug for MemoryCookieStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCookieStore")
            .field("third_party", &self.third_party)
            .finish_non_exhaustive()
    }
}

/// The context of `document.cookie` in a document of `client`; `None` where script has no cookies.
fn document_context(client: &Client) -> Option<CookieContext<'_>> {
    let url = &client.creation_url;
    // Steps 1 and 2.
    if client.cookies_disabled || !client.origin.is_same_origin_with_url(url) {
        return None;
    }
    let same_site = if client.has_cross_site_ancestor {
        SameSiteMode::UnsetOrLess
    } else {
        SameSiteMode::StrictOrLess
    };
    Some(CookieContext::new(url, client, same_site))
}

/// The [partition key](https://github.com/privacycg/CHIPS#partitioning-model) of partitioned cookies:
/// the top-level site, and whether an ancestor is cross-site.
fn partition_key(key: &PartitionKey, has_cross_site_ancestor: bool) -> String {
    // Steps 1 to 3.
    let site = match &key.top_level_site {
        Site::Tuple { scheme, host } => format!("{scheme}://{host}"),
        Site::Opaque(nonce) => format!("opaque {nonce}"),
    };
    let ancestor = if has_cross_site_ancestor { "; cross-site ancestor" } else { "" };
    match key.second_key {
        Some(second_key) => format!("{site}; {second_key:032x}{ancestor}"),
        None => site + ancestor,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use sendbeacon_fetch::{Nonce, Origin};
    use url::Url;

    use super::{
        SameSiteMode::{StrictOrLess, UnsetOrLess},
        *,
    };

    fn client(top_level: &str) -> Client {
        Client::new(Url::parse(top_level).unwrap(), Nonce::from_u128(1))
    }

    fn sent(
        store: &MemoryCookieStore,
        client: &Client,
        url: &str,
        same_site: SameSiteMode,
    ) -> String {
        let url = Url::parse(url).unwrap();
        let context = CookieContext::new(&url, client, same_site);
        let Answer::Ready(value) = store.retrieve(context) else { panic!("the store has to wait") };
        value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn set(store: &MemoryCookieStore, client: &Client, url: &str, same_site: SameSiteMode) {
        let url = Url::parse(url).unwrap();
        let cookies =
            ["n=1", "x=1; SameSite=None; Secure", "p=1; Secure; SameSite=None; Partitioned"];
        let cookies = cookies.map(HeaderValue::from_static).to_vec();
        let _ = store.store(CookieContext::new(&url, client, same_site), cookies);
    }

    #[test]
    fn a_third_party_gets_only_its_partitioned_cookies() {
        let store = MemoryCookieStore::default();
        let (a, b) = (client("https://a.test/"), client("https://b.test/"));
        set(&store, &b, "https://b.test/", StrictOrLess);
        assert_eq!(sent(&store, &b, "https://b.test/", StrictOrLess), "n=1; x=1; p=1");
        assert_eq!(sent(&store, &a, "https://b.test/", UnsetOrLess), "");
        set(&store, &a, "https://b.test/", UnsetOrLess);
        assert_eq!(sent(&store, &a, "https://b.test/", UnsetOrLess), "p=1");
        let mut framed = client("https://a.test/");
        framed.has_cross_site_ancestor = true;
        assert_eq!(sent(&store, &framed, "https://a.test/", UnsetOrLess), "");
    }

    proptest! {
        #[test]
        fn a_partition_is_the_one_that_would_be_made_anew(
            clients in vec((0..3_usize, select(vec![None, Some(1), Some(2)]), any::<bool>()), 1..40),
        ) {
            let store = MemoryCookieStore::default();
            for (top_level, second_key, has_cross_site_ancestor) in clients {
                let mut client = client(["https://a.test/", "https://b.test/", "data:,x"][top_level]);
                client.network_partition_key.second_key = second_key;
                client.has_cross_site_ancestor = has_cross_site_ancestor;
                let anew = partition_key(&client.network_partition_key, has_cross_site_ancestor);
                prop_assert_eq!(&*store.partition_of(&client), anew);
            }
        }
    }

    #[test]
    fn third_party_cookies_can_be_allowed() {
        let store = MemoryCookieStore::new(ThirdPartyCookies::Allow);
        let (a, b) = (client("https://a.test/"), client("https://b.test/"));
        set(&store, &b, "https://b.test/", StrictOrLess);
        assert_eq!(sent(&store, &a, "https://b.test/", UnsetOrLess), "x=1");
    }

    #[test]
    fn script_neither_sees_nor_sets_http_only_cookies() {
        let store = MemoryCookieStore::default();
        let page = client("https://a.test/");
        let context = CookieContext::new(&page.creation_url, &page, StrictOrLess);
        let _ = store.store(context, vec![HeaderValue::from_static("h=1; HttpOnly")]);
        store.set_document_cookie(&page, "s=1");
        store.set_document_cookie(&page, "t=1; HttpOnly");
        assert_eq!(store.document_cookie(&page), "s=1");
        assert_eq!(sent(&store, &page, "https://a.test/", StrictOrLess), "h=1; s=1");
        let mut sandboxed = page.clone();
        sandboxed.origin = Origin::Opaque(Nonce::from_u128(1));
        store.set_document_cookie(&sandboxed, "x=1");
        assert_eq!(store.document_cookie(&sandboxed), "");
        assert_eq!(store.document_cookie(&page), "s=1");
    }
}
