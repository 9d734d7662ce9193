//! The settings object of a page in a case.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::REFERRER_POLICY};
use sendbeacon_fetch::{
    AddressSpace, Client, CspDisposition, CspList, EmbedderPolicy, KeepaliveLimits, Ledger, Nonce,
    Origin, ReferrerPolicy, Site,
};
use serde::Deserialize;
use url::Url;

/// The settings object of a page: its URL, and what differs from the defaults of the standards.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageSetup {
    url: Url,
    /// The base URL. Default: the page's URL.
    base: Option<Url>,
    /// The referrer source. Default: the page's URL. A `srcdoc` document has another one.
    referrer_source: Option<Url>,
    #[serde(default)]
    opaque_origin: bool,
    top_level: Option<Url>,
    #[serde(default)]
    cross_site_ancestor: bool,
    /// A value of the `Referrer-Policy` header.
    referrer_policy: Option<String>,
    #[serde(default)]
    csp: Vec<String>,
    #[serde(default)]
    csp_report_only: Vec<String>,
    #[serde(default)]
    csp_meta: Vec<String>,
    embedder_policy: Option<EmbedderPolicyName>,
    /// A value of the `Permissions-Policy` header.
    permissions_policy: Option<String>,
    prohibits_mixed_content: Option<bool>,
    /// Whether the document came from a public address. Default: the address space is not known.
    #[serde(default)]
    is_public: bool,
    #[serde(default)]
    cookies_disabled: bool,
    user_agent: Option<String>,
    accept_language: Option<String>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EmbedderPolicyName {
    Credentialless,
    RequireCorp,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    requests: Option<u16>,
    url_bytes: Option<u32>,
}

impl PageSetup {
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The headers of which the page's permissions policy is made.
    pub(crate) fn permissions_policy(&self) -> HeaderMap {
        let name = HeaderName::from_static("permissions-policy");
        self.permissions_policy.iter().map(|value| (name.clone(), header_value(value))).collect()
    }

    /// Makes the client.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::new(self.url.clone(), Nonce::from_u128(1));
        if let Some(base) = &self.base {
            client.api_base_url = base.clone();
        }
        if let Some(source) = &self.referrer_source {
            client.creation_url = source.clone();
        }
        let mut csp = CspList::new(&client.origin);
        self.csp.iter().for_each(|value| csp.push_header(value, CspDisposition::Enforce));
        self.csp_report_only
            .iter()
            .for_each(|value| csp.push_header(value, CspDisposition::Report));
        self.csp_meta.iter().for_each(|value| csp.push_meta(value));
        client.upgrade_insecure_requests =
            csp.enforced_directives("upgrade-insecure-requests").next().is_some();
        client.csp_list = csp;
        if self.opaque_origin {
            client.origin = Origin::Opaque(Nonce::from_u128(2));
        }
        if let Some(top_level) = &self.top_level {
            client.network_partition_key.top_level_site =
                Site::of(&Origin::of(top_level, Nonce::from_u128(3)));
        }
        client.has_cross_site_ancestor = self.cross_site_ancestor;
        if let Some(value) = &self.referrer_policy {
            let headers = [(REFERRER_POLICY, header_value(value))];
            let policy = ReferrerPolicy::parse_header(&headers.into_iter().collect());
            client.referrer_policy = policy.unwrap_or_default();
        }
        client.embedder_policy = match self.embedder_policy {
            None => EmbedderPolicy::UnsafeNone,
            Some(EmbedderPolicyName::Credentialless) => EmbedderPolicy::Credentialless,
            Some(EmbedderPolicyName::RequireCorp) => EmbedderPolicy::RequireCorp,
        };
        if let Some(prohibits) = self.prohibits_mixed_content {
            client.prohibits_mixed_security_contexts = prohibits;
        }
        client.address_space = self.is_public.then_some(AddressSpace::Public);
        client.cookies_disabled = self.cookies_disabled;
        client.user_agent = self.user_agent.as_deref().map(header_value);
        client.accept_language = self.accept_language.as_deref().map(header_value);
        client
    }

    /// Makes a ledger with the case's limits.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        let default = KeepaliveLimits::default();
        let requests = self.limits.requests.unwrap_or(default.requests);
        let url_bytes = self.limits.url_bytes.unwrap_or(default.url_bytes);
        Ledger::new(default.with_requests(requests).with_url_bytes(url_bytes))
    }
}

/// Makes a header value.
///
/// # Panics
/// If the case has a value that is not valid in a header.
pub(crate) fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).expect("a case has header values")
}
