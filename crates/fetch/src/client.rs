//! The environment settings object as data.

use http::HeaderValue;
use url::Url;

use crate::{
    Origin, PartitionKey, Site,
    policy::{
        address_space::AddressSpace, csp::CspList, permissions_policy::PermissionsPolicy,
        referrer_policy::ReferrerPolicy, secure_contexts::is_potentially_trustworthy,
    },
};

/// What a request takes from its
/// [client](https://fetch.spec.whatwg.org/#concept-request-client), the environment settings object
/// of the script that made it.
///
/// A `Client` is a snapshot. The engine makes one when a document is created and another whenever
/// its base URL, URL or a policy changes, and hands it over in an `Arc`; requests keep the one they
/// were made with. Nothing in it points back into the document.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Client {
    /// [Creation URL](https://html.spec.whatwg.org/multipage/webappapis.html#concept-environment-creation-url):
    /// for a window its document's current URL, for a `srcdoc` document that of the first ancestor
    /// that is none. It is the source of `Referer`.
    pub creation_url: Url,
    /// [API base URL](https://html.spec.whatwg.org/multipage/webappapis.html#api-base-url): what a
    /// relative URL is resolved against.
    pub api_base_url: Url,
    /// [Origin](https://html.spec.whatwg.org/multipage/webappapis.html#concept-settings-object-origin).
    pub origin: Origin,
    /// Network partition key.
    pub network_partition_key: PartitionKey,
    /// The policy container's
    /// [referrer policy](https://html.spec.whatwg.org/multipage/browsers.html#policy-container-referrer-policy).
    pub referrer_policy: ReferrerPolicy,
    /// The policy container's
    /// [CSP list](https://html.spec.whatwg.org/multipage/browsers.html#policy-container-csp-list).
    pub csp_list: CspList,
    /// The policy container's
    /// [embedder policy](https://html.spec.whatwg.org/multipage/browsers.html#policy-container-embedder-policy),
    /// the value that is enforced.
    pub embedder_policy: EmbedderPolicy,
    /// The policy container's
    /// [IP address space](https://wicg.github.io/local-network-access/#policy-container-ip-address-space):
    /// that of the address the document came from. `None`, the default, if it is not known; Local Network
    /// Access then refuses nothing.
    pub address_space: Option<AddressSpace>,
    /// The document's permissions policy, for [`fetchLater()`](https://fetch.spec.whatwg.org/#deferred-fetch-quota).
    pub permissions_policy: PermissionsPolicy,
    /// Whether the [insecure requests policy](https://w3c.github.io/webappsec-upgrade-insecure-requests/#insecure-requests-policy)
    /// is to upgrade (the directive `upgrade-insecure-requests`, inherited by nested documents).
    pub upgrade_insecure_requests: bool,
    /// Whether the settings object
    /// [prohibits mixed security contexts](https://w3c.github.io/webappsec-mixed-content/#categorize-settings-object):
    /// its origin, or that of an ancestor, is potentially trustworthy.
    ///
    /// NB: [`Client::new`] says so for `https` only. By the text a page on `http://localhost` could
    /// reach no other plain `http` host, which no browser enforces.
    pub prohibits_mixed_security_contexts: bool,
    /// Whether the settings object is a
    /// [secure context](https://html.spec.whatwg.org/multipage/webappapis.html#secure-context): whether
    /// the top-level document's URL is potentially trustworthy.
    pub is_secure_context: bool,
    /// [Has cross-site ancestor](https://html.spec.whatwg.org/multipage/webappapis.html#has-cross-site-ancestor).
    pub has_cross_site_ancestor: bool,
    /// Whether the user agent is configured to
    /// [disable cookies](https://fetch.spec.whatwg.org/#append-a-request-cookie-header) for this
    /// document.
    pub cookies_disabled: bool,
    /// `User-Agent` of this environment (emulation); `None` for the user agent's default.
    #[cfg_attr(feature = "serde", serde(with = "header_value"))]
    pub user_agent: Option<HeaderValue>,
    /// `Accept-Language` of this environment; `None` for the user agent's default.
    #[cfg_attr(feature = "serde", serde(with = "header_value"))]
    pub accept_language: Option<HeaderValue>,
    /// The document's [referrer](https://html.spec.whatwg.org/multipage/dom.html#the-document's-referrer), for
    /// reports of violations. Default: none.
    pub document_referrer: Option<Url>,
    /// Status of the response that the document came with, for reports of violations. Default: 200.
    pub document_status: u16,
    /// The embedder's own identifier of the document, given back in events.
    pub document_id: u64,
    /// The embedder's own identifier of the webview the document is in, given back in events.
    pub webview_id: u64,
}

impl Client {
    /// The client of a top-level document at `url`, with the standards' defaults: every other field
    /// may then be set.
    ///
    /// `nonce` becomes the opaque origin of a URL that has no tuple origin (`data:`, `about:`).
    /// Give 128 random bits, the same ones for the same document in every process.
    #[must_use]
    pub fn new(url: Url, nonce: u128) -> Self {
        let origin = Origin::of(&url, nonce);
        let is_secure_context = is_potentially_trustworthy(&url);
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
            permissions_policy: PermissionsPolicy::default(),
            upgrade_insecure_requests: false,
            prohibits_mixed_security_contexts: origin.is_https(),
            is_secure_context,
            has_cross_site_ancestor: false,
            cookies_disabled: false,
            origin,
            user_agent: None,
            accept_language: None,
            document_referrer: None,
            document_status: 200,
            document_id: 0,
            webview_id: 0,
        }
    }
}

/// The value of an [embedder policy](https://html.spec.whatwg.org/multipage/browsers.html#embedder-policy-value).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EmbedderPolicy {
    /// `unsafe-none`
    #[default]
    UnsafeNone,
    /// `credentialless`
    Credentialless,
    /// `require-corp`
    RequireCorp,
}

/// Header values are bytes.
#[cfg(feature = "serde")]
mod header_value {
    use http::HeaderValue;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    // By reference, as serde's `with` has it.
    #[allow(clippy::ref_option)]
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
