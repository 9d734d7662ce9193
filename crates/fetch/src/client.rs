//! The client of a request: an environment settings object as data.

use std::{mem::size_of, sync::Arc};

use http::{HeaderValue, StatusCode};
use url::Url;

use crate::{
    Nonce, Origin, PartitionKey, Site,
    memory::{ClientAccount, Share},
    policy::{
        address_space::AddressSpace, csp::CspList, permissions_policy::PermissionsPolicy,
        referrer_policy::ReferrerPolicy, secure_contexts::is_potentially_trustworthy,
    },
};

/// The [client](https://fetch.spec.whatwg.org/#concept-request-client) of a request: the environment
/// settings object of the script that made the request, as data.
///
/// A `Client` is a snapshot. The engine makes one when it creates a document, and another one when the
/// document's URL, base URL or a policy changes. A request shares the client that it was made with and keeps
/// it. A client does not refer to its document.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Client {
    /// [Creation URL](https://html.spec.whatwg.org/multipage/webappapis.html#concept-environment-creation-url).
    /// For a window it is the current URL of the document. For a `srcdoc` document it is the URL of the nearest
    /// ancestor that is not a `srcdoc` document. `Referer` is derived from it.
    pub creation_url: Url,
    /// [API base URL](https://html.spec.whatwg.org/multipage/webappapis.html#api-base-url), against
    /// which relative URLs are parsed.
    pub api_base_url: Url,
    /// [Origin](https://html.spec.whatwg.org/multipage/webappapis.html#concept-settings-object-origin).
    pub origin: Origin,
    /// The [network partition key](https://fetch.spec.whatwg.org/#network-partition-key), by the top-level
    /// document's site.
    pub network_partition_key: PartitionKey,
    /// The policy container's
    /// [referrer policy](https://html.spec.whatwg.org/multipage/browsers.html#policy-container-referrer-policy).
    pub referrer_policy: ReferrerPolicy,
    /// The policy container's
    /// [CSP list](https://html.spec.whatwg.org/multipage/browsers.html#policy-container-csp-list).
    pub csp_list: CspList,
    /// The policy container's
    /// [embedder policy](https://html.spec.whatwg.org/multipage/browsers.html#policy-container-embedder-policy):
    /// the value that is enforced, not the report-only value.
    pub embedder_policy: EmbedderPolicy,
    /// The policy container's
    /// [IP address space](https://wicg.github.io/local-network-access/#policy-container-ip-address-space):
    /// the address space of the server that sent the document. With `None` Local Network Access refuses
    /// nothing. Default: `None`.
    ///
    /// If it is known, a request to a local address in the URL, or to a name that ends with `.local`, is not blocked as
    /// mixed content. Then the [`Network`](crate::host::Network) has to make the Local Network Access check.
    pub address_space: Option<AddressSpace>,
    /// Whether the global object has an associated document. False for a worker, which may not reach an address less
    /// public than its own. Default: true.
    pub has_document: bool,
    /// The document's permissions policy, for [`fetchLater()`](https://fetch.spec.whatwg.org/#deferred-fetch-quota) and
    /// [Local Network Access](https://wicg.github.io/local-network-access/).
    pub permissions_policy: PermissionsPolicy,
    /// Whether the [insecure requests policy](https://w3c.github.io/webappsec-upgrade-insecure-requests/#insecure-requests-policy)
    /// is "upgrade": the document or an ancestor has the directive `upgrade-insecure-requests`.
    pub upgrade_insecure_requests: bool,
    /// Whether the settings object
    /// [prohibits mixed security contexts](https://w3c.github.io/webappsec-mixed-content/#categorize-settings-object):
    /// its origin, or that of an ancestor, is potentially trustworthy.
    ///
    /// NB: [`Client::new`] sets it for `https` only. By the standard's text a page on `http://localhost`
    /// could reach no other `http` host, which no browser enforces.
    pub prohibits_mixed_security_contexts: bool,
    /// Whether the settings object is a
    /// [secure context](https://html.spec.whatwg.org/multipage/webappapis.html#secure-context): the URL of
    /// the top-level document is potentially trustworthy. A worker is one if its owner is one.
    pub is_secure_context: bool,
    /// [Has cross-site ancestor](https://html.spec.whatwg.org/multipage/webappapis.html#has-cross-site-ancestor).
    pub has_cross_site_ancestor: bool,
    /// Whether the user agent is configured to
    /// [disable cookies](https://fetch.spec.whatwg.org/#append-a-request-cookie-header) for this
    /// document.
    pub cookies_disabled: bool,
    /// The `User-Agent` that this environment emulates. `None`: the user agent's default value.
    #[cfg_attr(feature = "serde", serde(with = "header_value"))]
    pub user_agent: Option<HeaderValue>,
    /// The `Accept-Language` that this environment emulates. `None`: the user agent's default value.
    #[cfg_attr(feature = "serde", serde(with = "header_value"))]
    pub accept_language: Option<HeaderValue>,
    /// The document's [referrer](https://html.spec.whatwg.org/multipage/dom.html#the-document's-referrer), for
    /// reports of violations. Default: `None`.
    pub document_referrer: Option<Url>,
    /// The status of the response that the document came with, for reports of violations. `None` for a
    /// document without a response, such as `about:blank`, which is reported as 0. Default: 200.
    #[cfg_attr(feature = "serde", serde(with = "status_code"))]
    pub document_status: Option<StatusCode>,
    /// The embedder's identifier of the document. Events carry it. Default: 0.
    pub document_id: u64,
    /// The embedder's identifier of the webview that shows the document. Events carry it. Default: 0.
    pub webview_id: u64,
    /// Where its requests count as memory.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) account: ClientAccount,
}

impl Client {
    /// The client of a top-level document at `url`. Every field has the standards' default and may then be
    /// set.
    ///
    /// A URL without a tuple origin (`data:`, `about:`, an engine's own scheme) gets the opaque origin of
    /// `nonce`. Give the same nonce for the same document in every process.
    ///
    /// ```
    /// use sendbeacon_fetch::{Client, Nonce, ReferrerPolicy};
    ///
    /// let mut client = Client::new("https://a.test/article".parse()?, Nonce::random());
    /// client.referrer_policy = ReferrerPolicy::SameOrigin;
    /// assert_eq!(client.origin.to_string(), "https://a.test");
    /// assert!(client.is_secure_context);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(url: Url, nonce: Nonce) -> Self {
        let origin = Origin::of(&url, nonce);
        let is_secure_context = is_potentially_trustworthy(&url);
        Self {
            prohibits_mixed_security_contexts: origin.is_https(),
            ..Self::with_origin(url, origin, is_secure_context)
        }
    }

    /// The client of a top-level document at `url` whose origin the engine knows, because its scheme is one
    /// of the engine's own.
    ///
    /// `is_secure_context` says whether documents of this scheme are secure contexts. If they are, mixed
    /// content is blocked in them as in `https` documents.
    ///
    /// ```
    /// use sendbeacon_fetch::{Client, Origin};
    ///
    /// let origin = Origin::tuple("tauri", "localhost", None)?;
    /// let client = Client::with_origin("tauri://localhost/index.html".parse()?, origin, true);
    /// assert_eq!(client.origin.serialize(), "tauri://localhost");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_origin(url: Url, origin: Origin, is_secure_context: bool) -> Self {
        Self {
            api_base_url: url.clone(),
            creation_url: url,
            network_partition_key: PartitionKey {
                top_level_site: Site::of(&origin),
                second_key: None,
            },
            referrer_policy: ReferrerPolicy::default(),
            csp_list: CspList::new(&origin),
            embedder_policy: EmbedderPolicy::default(),
            address_space: None,
            has_document: true,
            permissions_policy: PermissionsPolicy::default(),
            upgrade_insecure_requests: false,
            prohibits_mixed_security_contexts: is_secure_context,
            is_secure_context,
            has_cross_site_ancestor: false,
            cookies_disabled: false,
            origin,
            user_agent: None,
            accept_language: None,
            document_referrer: None,
            document_status: Some(StatusCode::OK),
            document_id: 0,
            webview_id: 0,
            account: ClientAccount::default(),
        }
    }

    /// The client of a document at `about:blank`, `about:srcdoc`, a `blob:` or a `data:` URL, which inherits
    /// from the client of its creator.
    ///
    /// | `url` | the creator | [origin](https://html.spec.whatwg.org/multipage/document-sequences.html#determining-the-origin) | [base URL](https://html.spec.whatwg.org/multipage/urls-and-fetching.html#fallback-base-url) |
    /// |---|---|---|---|
    /// | `about:blank` | the document that navigated there or opened the window | the creator's | the creator's |
    /// | `about:srcdoc` | the document of the `iframe` | the creator's | the creator's |
    /// | `blob:` | the document that made the blob URL | the blob URL's | `url` |
    /// | `data:` | the document that navigated there | opaque, of `nonce` | `url` |
    ///
    /// The [policy container](https://html.spec.whatwg.org/multipage/browsers.html#clone-a-policy-container),
    /// the insecure requests policy and the emulated headers are the creator's. So are the fields that
    /// depend on the document's place: network partition key, secure context, mixed content, ancestors,
    /// cookies and webview. If the document is at another place, for example in a window of its own, set
    /// [`network_partition_key`](Self::network_partition_key) and
    /// [`has_cross_site_ancestor`](Self::has_cross_site_ancestor).
    ///
    /// Not inherited: the permissions policy, which is that of a top-level document, `document_referrer`,
    /// `document_status` and `document_id`. If the document is sandboxed without `allow-same-origin`, set
    /// [`origin`](Self::origin) to the opaque origin of `nonce`.
    ///
    /// ```
    /// use sendbeacon_fetch::{Client, Nonce};
    ///
    /// let page = Client::new("https://a.test/d/page".parse()?, Nonce::random());
    /// let frame = Client::inherited_from(&page, "about:srcdoc".parse()?, Nonce::random());
    /// assert_eq!(frame.origin, page.origin);
    /// assert_eq!(frame.api_base_url.join("x")?.as_str(), "https://a.test/d/x");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn inherited_from(creator: &Client, url: Url, nonce: Nonce) -> Self {
        let is_of_creator = match (url.scheme(), url.path()) {
            ("about", "blank" | "srcdoc") => true,
            // Compared as text, because the crate `url` takes "null" and an engine's own schemes for opaque
            // origins that equal nothing.
            ("blob", path) => path
                .rsplit_once('/')
                .is_some_and(|(origin, _)| creator.origin.serialize() == origin),
            _ => false,
        };
        let origin = if is_of_creator { creator.origin.clone() } else { Origin::of(&url, nonce) };
        let is_cross_site = Site::of(&origin) != Site::of(&creator.origin);
        let is_about = is_of_creator && url.scheme() == "about";
        Self {
            api_base_url: if is_about { creator.api_base_url.clone() } else { url.clone() },
            // `Referer` of a `srcdoc` document shows the nearest ancestor that is not a `srcdoc` document.
            creation_url: match url.path() {
                "srcdoc" if is_about => creator.creation_url.clone(),
                _ => url,
            },
            origin,
            has_cross_site_ancestor: creator.has_cross_site_ancestor || is_cross_site,
            has_document: true,
            permissions_policy: PermissionsPolicy::default(),
            document_referrer: None,
            document_status: None,
            document_id: 0,
            ..creator.clone()
        }
    }

    /// Lets the memory of its requests count in a share, and its own memory too while a request is unfinished. Does
    /// nothing after the first time. A clone has no share.
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    pub fn count_in(&self, share: impl FnOnce() -> Arc<Share>) {
        self.account.open(share, || self.held_bytes() as u64);
    }

    /// The length of its policies as text, in bytes.
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn policies_length(&self) -> usize {
        self.csp_list.serialized_length() + self.permissions_policy.serialized_length()
    }

    /// About how many bytes of memory the client takes.
    // NB: for the crate `sendbeacon` alone. It may change in any release.
    #[doc(hidden)]
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let urls =
            [Some(&self.creation_url), Some(&self.api_base_url), self.document_referrer.as_ref()];
        let headers = [&self.user_agent, &self.accept_language];
        size_of::<Self>()
            + urls.into_iter().flatten().map(|url| url.as_str().len()).sum::<usize>()
            + headers.into_iter().flatten().map(HeaderValue::len).sum::<usize>()
            + self.csp_list.held_bytes()
            + self.permissions_policy.held_bytes()
    }
}

/// The value of an [embedder policy](https://html.spec.whatwg.org/multipage/browsers.html#embedder-policy-value).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EmbedderPolicy {
    /// `unsafe-none`
    #[default]
    UnsafeNone,
    /// `credentialless`
    Credentialless,
    /// `require-corp`
    RequireCorp,
}

/// Serialises a header value as bytes.
#[cfg(feature = "serde")]
mod header_value {
    use http::HeaderValue;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    // By reference, as serde's `with` has it.
    #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<HeaderValue>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(HeaderValue::as_bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<HeaderValue>, D::Error> {
        let bytes = Option::<Vec<u8>>::deserialize(deserializer)?;
        bytes.map(HeaderValue::try_from).transpose().map_err(Error::custom)
    }
}

/// Serialises a status code as a number. `None` is 0, which is no status code.
#[cfg(feature = "serde")]
mod status_code {
    use http::StatusCode;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    // By reference, as serde's `with` has it.
    #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)]
    pub(super) fn serialize<S: Serializer>(
        status: &Option<StatusCode>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        status.map_or(0, |status| status.as_u16()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<StatusCode>, D::Error> {
        match u16::deserialize(deserializer)? {
            0 => Ok(None),
            status => StatusCode::from_u16(status).map(Some).map_err(Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn creator(text: &str) -> Client {
        let mut creator = Client::new(url(text), Nonce::from_u128(1));
        creator.api_base_url = url("https://base.test/d/");
        creator.referrer_policy = ReferrerPolicy::NoReferrer;
        creator.csp_list.push_header("connect-src 'self'", crate::CspDisposition::Enforce);
        creator.address_space = Some(AddressSpace::Public);
        creator.upgrade_insecure_requests = true;
        creator.has_cross_site_ancestor = true;
        creator.document_id = 7;
        creator.webview_id = 8;
        creator
    }

    #[test]
    fn an_about_document_has_the_origin_and_base_url_of_its_creator() {
        let creator = creator("https://a.test/page");
        for (text, creation_url) in
            [("about:blank#x", "about:blank#x"), ("about:srcdoc", "https://a.test/page")]
        {
            let client = Client::inherited_from(&creator, url(text), Nonce::from_u128(2));
            assert_eq!(client.origin, creator.origin);
            assert_eq!(client.api_base_url, creator.api_base_url);
            assert_eq!(client.creation_url, url(creation_url));
        }
    }

    #[test]
    fn a_local_document_has_the_policies_and_the_place_of_its_creator() {
        let creator = creator("https://a.test/page");
        for text in ["about:blank", "about:srcdoc", "blob:https://a.test/1", "data:,x"] {
            let client = Client::inherited_from(&creator, url(text), Nonce::from_u128(2));
            assert_eq!(client.referrer_policy, ReferrerPolicy::NoReferrer);
            assert_eq!(client.csp_list.serialized_length(), creator.csp_list.serialized_length());
            assert_eq!(client.address_space, creator.address_space);
            assert_eq!(client.network_partition_key, creator.network_partition_key);
            assert!(client.upgrade_insecure_requests && client.has_cross_site_ancestor);
            assert!(client.is_secure_context && client.prohibits_mixed_security_contexts);
            assert_eq!((client.document_status, client.document_id), (None, 0));
            assert_eq!(client.webview_id, 8);
        }
    }

    #[test]
    fn an_insecure_creator_makes_an_insecure_document() {
        let creator = creator("http://a.test/page");
        let client = Client::inherited_from(&creator, url("about:blank"), Nonce::from_u128(2));
        assert!(!client.is_secure_context && !client.prohibits_mixed_security_contexts);
    }

    #[test]
    fn a_blob_document_has_the_origin_in_its_url() {
        let creator = creator("https://a.test/page");
        let of = |creator: &Client, text: &str| {
            Client::inherited_from(creator, url(text), Nonce::from_u128(2)).origin
        };
        assert_eq!(of(&creator, "blob:https://a.test/1"), creator.origin);
        assert_eq!(of(&creator, "blob:https://b.test/1").to_string(), "https://b.test");
        assert_eq!(of(&creator, "blob:null/1"), Origin::Opaque(Nonce::from_u128(2)));
        let mut sandboxed = creator.clone();
        sandboxed.origin = Origin::Opaque(Nonce::from_u128(3));
        assert_eq!(of(&sandboxed, "blob:null/1"), sandboxed.origin);
        let origin = Origin::tuple("app", "main", None).unwrap();
        let app = Client::with_origin(url("app://main/"), origin, true);
        assert_eq!(of(&app, "blob:app://main/1"), app.origin);
    }

    #[test]
    fn a_data_document_has_an_origin_of_its_own() {
        let mut creator = creator("https://a.test/page");
        creator.has_cross_site_ancestor = false;
        let client = Client::inherited_from(&creator, url("data:,x"), Nonce::from_u128(2));
        assert_eq!(client.origin, Origin::Opaque(Nonce::from_u128(2)));
        assert_eq!(client.api_base_url, url("data:,x"));
        assert!(client.has_cross_site_ancestor);
    }

    #[test]
    fn a_document_of_the_engines_own_scheme_is_of_a_site_and_perhaps_secure() {
        let page = url("tauri://localhost/index.html");
        let origin = Origin::tuple("tauri", "localhost", None).unwrap();
        let secure = Client::with_origin(page.clone(), origin.clone(), true);
        let site = Site::Tuple { scheme: "tauri".into(), host: "localhost".into() };
        assert_eq!(secure.network_partition_key.top_level_site, site);
        assert!(secure.is_secure_context && secure.prohibits_mixed_security_contexts);
        let insecure = Client::with_origin(page, origin, false);
        assert!(!insecure.is_secure_context && !insecure.prohibits_mixed_security_contexts);
    }
}
