//! The default cookie store: a jar in memory, and the policy on third parties.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use http::HeaderValue;
use sendbeacon_cookies::{CookieJar, Limits, RetrieveContext, StoreContext};
use sendbeacon_fetch::{
    Client, Site,
    host::{Answer, CookieContext, CookieStore, SameSiteMode},
};
/// Whether cookies that are not partitioned go to a site other than the top-level one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ThirdPartyCookies {
    /// They are neither sent nor set there. Partitioned cookies are.
    #[default]
    Block,
    /// They are, as their `SameSite` says.
    Allow,
}

/// A [`CookieStore`] over a [`CookieJar`] in memory, for [`UserAgentBuilder::cookies`].
///
/// Share it in an `Arc`: the engine uses the same one for navigations and `document.cookie`.
///
/// [`UserAgentBuilder::cookies`]: crate::UserAgentBuilder::cookies
pub struct MemoryCookieStore {
    jar: Mutex<CookieJar>,
    third_party: ThirdPartyCookies,
}

impl Default for MemoryCookieStore {
    fn default() -> Self {
        Self::new(ThirdPartyCookies::default())
    }
}

impl MemoryCookieStore {
    /// An empty jar with the default limits.
    #[must_use]
    pub fn new(third_party: ThirdPartyCookies) -> Self {
        Self { jar: Mutex::new(CookieJar::new(Limits::default())), third_party }
    }

    /// The jar, to load, save or clear it. Locked until dropped.
    pub fn jar(&self) -> MutexGuard<'_, CookieJar> {
        // The jar keeps its own invariants from call to call.
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The [cookie string](https://html.spec.whatwg.org/multipage/dom.html#dom-document-cookie) that
    /// `document.cookie` gets in a document of `client`: empty where cookies are disabled, and where the
    /// document has an opaque origin (the getter throws a `SecurityError` there, which is the engine's).
    #[must_use]
    pub fn document_cookie(&self, client: &Client) -> String {
        let context = of_script(client);
        let value = context.and_then(|context| self.cookie_header(context, false));
        String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
    }

    /// What `document.cookie = cookie` does in a document of `client`. A cookie that is rejected is
    /// ignored, and so is any where [`document_cookie`](Self::document_cookie) is empty.
    pub fn set_document_cookie(&self, client: &Client, cookie: &str) {
        if let Some(context) = of_script(client) {
            self.set(context, cookie.as_bytes(), false);
        }
    }

    fn cookie_header(
        &self,
        context: CookieContext<'_>,
        http_only_allowed: bool,
    ) -> Option<Vec<u8>> {
        let partition = partition_of(context.client);
        let retrieve = RetrieveContext {
            http_only_allowed,
            same_site: match context.same_site {
                SameSiteMode::StrictOrLess => sendbeacon_cookies::SameSiteMode::StrictOrLess,
                SameSiteMode::LaxOrLess => sendbeacon_cookies::SameSiteMode::LaxOrLess,
                SameSiteMode::UnsetOrLess => sendbeacon_cookies::SameSiteMode::UnsetOrLess,
            },
            partition: Some(&partition),
            unpartitioned_allowed: self.unpartitioned_allowed(context),
            ..RetrieveContext::for_url(context.url)?
        };
        self.jar().cookie_header(&retrieve, SystemTime::now())
    }

    fn set(&self, context: CookieContext<'_>, cookie: &[u8], http_only_allowed: bool) {
        let partition = partition_of(context.client);
        let Some(for_url) = StoreContext::for_url(context.url) else { return };
        let store = StoreContext {
            http_only_allowed,
            same_site_strict_or_lax_allowed: context.same_site == SameSiteMode::StrictOrLess,
            partition: Some(&partition),
            unpartitioned_allowed: self.unpartitioned_allowed(context),
            ..for_url
        };
        // A server is not told why its cookie was rejected.
        let _ = self.jar().store(cookie, &store, SystemTime::now());
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
        // The jar rejects what has control characters, so a stored cookie is a header value.
        Answer::Ready(value.and_then(|value| HeaderValue::try_from(value).ok()))
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

/// The context of `document.cookie`; `None` where it has none.
fn of_script(client: &Client) -> Option<CookieContext<'_>> {
    let url = &client.creation_url;
    if client.cookies_disabled || !client.origin.is_same_origin_with_url(url) {
        return None;
    }
    let same_site = if client.has_cross_site_ancestor {
        SameSiteMode::UnsetOrLess
    } else {
        SameSiteMode::StrictOrLess
    };
    Some(CookieContext { url, client, same_site })
}

/// The [partition key](https://github.com/privacycg/CHIPS#partitioning-model) of partitioned cookies:
/// the top-level site, and whether an ancestor is cross-site.
fn partition_of(client: &Client) -> String {
    let key = &client.network_partition_key;
    let site = match &key.top_level_site {
        // Made for every request, so without formatting.
        Site::Tuple { scheme, host } => [scheme, "://", host].concat(),
        Site::Opaque(nonce) => format!("opaque {nonce}"),
    };
    let ancestor = if client.has_cross_site_ancestor { "; cross-site ancestor" } else { "" };
    match key.second_key {
        Some(second_key) => format!("{site}; {second_key:032x}{ancestor}"),
        None => site + ancestor,
    }
}

#[cfg(test)]
mod tests {
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
        let context = CookieContext { url: &url, client, same_site };
        let Answer::Ready(value) = store.retrieve(context) else { panic!("has to wait") };
        value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn set(store: &MemoryCookieStore, client: &Client, url: &str, same_site: SameSiteMode) {
        let url = Url::parse(url).unwrap();
        let cookies =
            ["n=1", "x=1; SameSite=None; Secure", "p=1; Secure; SameSite=None; Partitioned"];
        let cookies = cookies.map(HeaderValue::from_static).to_vec();
        let _ = store.store(CookieContext { url: &url, client, same_site }, cookies);
    }

    #[test]
    fn a_third_party_gets_its_partitioned_cookies_only() {
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

    #[test]
    fn third_party_cookies_may_be_allowed() {
        let store = MemoryCookieStore::new(ThirdPartyCookies::Allow);
        let (a, b) = (client("https://a.test/"), client("https://b.test/"));
        set(&store, &b, "https://b.test/", StrictOrLess);
        assert_eq!(sent(&store, &a, "https://b.test/", UnsetOrLess), "x=1");
    }

    #[test]
    fn script_sees_what_is_not_http_only() {
        let store = MemoryCookieStore::default();
        let page = client("https://a.test/");
        let context =
            CookieContext { url: &page.creation_url, client: &page, same_site: StrictOrLess };
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
