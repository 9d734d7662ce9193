//! A document's settings object: what its script says of it, and what the app knows of its response.

use http::{HeaderMap, HeaderValue, StatusCode};
use sendbeacon::{Client, CspDisposition, Nonce, Origin, PermissionsPolicy, ReferrerPolicy, Site};
use url::Url;

use crate::message::MessageError;

/// The headers of a response that have policies of its document.
const POLICIES: [&str; 4] = [
    "content-security-policy",
    "content-security-policy-report-only",
    "permissions-policy",
    "referrer-policy",
];

/// What is known of a document from its beginning.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// The serialized origin.
    pub(crate) origin: String,
    pub(crate) is_secure: bool,
    pub(crate) referrer: String,
    /// `navigator.languages`, separated by commas.
    pub(crate) languages: String,
    /// The serialized origins of the documents around it.
    pub(crate) ancestors: Vec<String>,
    /// The opaque origin that the document has if its origin is opaque.
    pub(crate) nonce: Nonce,
}

/// The head of the response that a document came with.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) url: Url,
    pub(crate) status: Option<StatusCode>,
    pub(crate) headers: HeaderMap,
}

impl Beginning {
    /// How long it is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        let Self { origin, referrer, languages, ancestors, .. } = self;
        let ancestors = ancestors.iter().map(String::len).sum::<usize>();
        (origin.len() + referrer.len() + languages.len() + ancestors) as u64
    }
}

impl Head {
    /// How long it is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        let headers = self.headers.values().map(HeaderValue::len).sum::<usize>();
        (self.url.as_str().len() + headers) as u64
    }
}

/// What may change of a settings object.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) url: Url,
    pub(crate) base: Url,
    pub(crate) referrer_policies: Vec<String>,
    pub(crate) policies: Vec<String>,
}

impl Settings {
    /// Parses what a message says.
    pub(crate) fn parse(
        url: &str,
        base: &str,
        referrer_policies: Vec<String>,
        policies: Vec<String>,
    ) -> Result<Self, MessageError> {
        let url = Url::parse(url).map_err(|_| MessageError::Field("url"))?;
        let base = Url::parse(base).map_err(|_| MessageError::Field("base"))?;
        Ok(Self { url, base, referrer_policies, policies })
    }

    /// How long it is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        let texts = self.referrer_policies.iter().chain(&self.policies);
        let texts = texts.map(String::len).sum::<usize>();
        (self.url.as_str().len() + self.base.as_str().len() + texts) as u64
    }

    /// Whether the document may have come with this response: their URLs are equal without the fragments.
    pub(crate) fn is_of(&self, head: &Head) -> bool {
        let without_fragment = |url: &Url| {
            let mut url = url.clone();
            url.set_fragment(None);
            url
        };
        without_fragment(&head.url) == without_fragment(&self.url)
    }

    /// Makes the settings object.
    pub(crate) fn client(
        &self,
        beginning: &Beginning,
        head: Option<&Head>,
        user_agent: Option<&HeaderValue>,
    ) -> Result<Client, MessageError> {
        let origin = origin(&self.url, beginning)?;
        let mut client = Client::with_origin(self.url.clone(), origin, beginning.is_secure);
        if self.url.scheme() == "http" {
            client.prohibits_mixed_security_contexts = false;
        }
        client.api_base_url = self.base.clone();
        client.has_cross_site_ancestor = beginning.ancestors.iter().any(|ancestor| {
            // NB: an opaque origin is serialised as `null`, which is no URL.
            let ancestor = Url::parse(ancestor).ok().and_then(|url| page_origin(&url));
            ancestor.is_none_or(|ancestor| Site::of(&ancestor) != Site::of(&client.origin))
        });
        client.document_referrer = Url::parse(&beginning.referrer).ok();
        client.accept_language = accept_language(&beginning.languages);
        client.user_agent = user_agent.cloned();
        client.document_status = None;
        if let Some(Head { status, headers, .. }) = head {
            client.document_status = *status;
            client.permissions_policy = PermissionsPolicy::top_level(&client.origin, headers);
            if let Some(policy) = ReferrerPolicy::parse_header(headers) {
                client.referrer_policy = policy;
            }
            for (name, disposition) in [
                ("content-security-policy", CspDisposition::Enforce),
                ("content-security-policy-report-only", CspDisposition::Report),
            ] {
                let values = headers.get_all(name).iter().filter_map(|it| it.to_str().ok());
                values.for_each(|value| client.csp_list.push_header(value, disposition));
            }
        }
        self.apply_elements(&mut client);
        Ok(client)
    }

    /// Makes the settings object of a document at `about:`, which inherits from that of its creator.
    pub(crate) fn inheriting_client(
        &self,
        beginning: &Beginning,
        creator: &Client,
    ) -> Result<Client, MessageError> {
        let is_at_about = self.url.scheme() == "about";
        // NB: `document.open()` gives a document the URL of the script that calls it.
        let about = if is_at_about { self.url.as_str() } else { "about:blank" };
        let about = Url::parse(about).map_err(|_| MessageError::Field("url"))?;
        let mut client = Client::inherited_from(creator, about, beginning.nonce);
        if client.origin.serialize() != beginning.origin.as_str() {
            return Err(MessageError::Field("origin"));
        }
        if !is_at_about {
            origin(&self.url, beginning)?;
            client.creation_url = self.url.clone();
        }
        client.api_base_url = self.base.clone();
        client.document_referrer = Url::parse(&beginning.referrer).ok();
        client.document_status = None;
        self.apply_elements(&mut client);
        Ok(client)
    }

    /// Applies the policies of the document's `meta` elements.
    fn apply_elements(&self, client: &mut Client) {
        self.policies.iter().for_each(|policy| client.csp_list.push_meta(policy));
        for policy in &self.referrer_policies {
            if let Ok(policy) = policy.trim().parse() {
                client.referrer_policy = policy;
            }
        }
        client.upgrade_insecure_requests =
            client.csp_list.enforced_directives("upgrade-insecure-requests").next().is_some();
    }
}

/// Adds a header of a response to `headers` if it has a policy of the response's document. Nothing else of a response's
/// headers is needed, and a server that sends any number of others fills no map.
pub fn add_policy(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = POLICIES.into_iter().find(|it| it.eq_ignore_ascii_case(name));
    if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
        headers.append(name, value);
    }
}

/// The origin that the script has named, if a document at `url` may have it.
fn origin(url: &Url, beginning: &Beginning) -> Result<Origin, MessageError> {
    let opaque = Origin::Opaque(beginning.nonce);
    if beginning.origin == "null" {
        return Ok(opaque);
    }
    let of_url = page_origin(url).filter(|it| it.serialize() == beginning.origin.as_str());
    of_url.ok_or(MessageError::Field("origin"))
}

/// The origin of a page at this URL, whose scheme may be one of the app's own, such as `tauri://localhost`. `None` if the
/// page has an opaque origin.
#[must_use]
pub fn page_origin(url: &Url) -> Option<Origin> {
    match Origin::of(url, Nonce::from_u128(0)) {
        origin @ Origin::Tuple { .. } => Some(origin),
        Origin::Opaque(_) => Origin::tuple(url.scheme(), url.host_str()?, url.port()).ok(),
    }
}

/// The header `Accept-Language` for these languages, in the form of WebKitGTK.
fn accept_language(languages: &str) -> Option<HeaderValue> {
    let languages = languages.split(',').filter(|it| !it.is_empty()).take(10).enumerate();
    let weighted = languages.map(|(at, language)| match at {
        0 => language.to_owned(),
        _ => format!("{language};q=0.{}", 10 - at),
    });
    let value = weighted.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(value).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
