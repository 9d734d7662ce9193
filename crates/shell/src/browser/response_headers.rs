//! What the headers of a document's or a script's response say to the browser.

use data_url::mime::Mime;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE},
};
use sendbeacon::{
    CspDisposition, CspList, EmbedderPolicy, Nonce, Origin, ReferrerPolicy,
    is_potentially_trustworthy,
};
use url::Url;

use crate::page::{PolicyContainer, extract_mime_type};

/// [Extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type)
pub(super) fn mime_type(headers: &HeaderMap) -> Option<Mime> {
    let values: Vec<_> = headers.get_all(CONTENT_TYPE).iter().map(isomorphic_decode).collect();
    extract_mime_type(values.iter().map(String::as_str))
}

/// [Create a policy container from a fetch response](https://html.spec.whatwg.org/multipage/browsers.html#creating-a-policy-container-from-a-fetch-response)
/// from `url`, whose scheme is `http` or `https`.
pub(super) fn policy_container(headers: &HeaderMap, url: &Url) -> PolicyContainer {
    PolicyContainer {
        csp_list: csp_list(headers, url),
        embedder_policy: embedder_policy(headers, url),
        referrer_policy: ReferrerPolicy::parse_header(headers),
    }
}

fn csp_list(headers: &HeaderMap, url: &Url) -> CspList {
    let mut list = CspList::new(&Origin::of(url, Nonce::random()));
    for (name, disposition) in [
        (CONTENT_SECURITY_POLICY, CspDisposition::Enforce),
        (CONTENT_SECURITY_POLICY_REPORT_ONLY, CspDisposition::Report),
    ] {
        for value in headers.get_all(name) {
            list.push_header(&isomorphic_decode(value), disposition);
        }
    }
    list
}

fn embedder_policy(headers: &HeaderMap, url: &Url) -> EmbedderPolicy {
    let value = bare_item(headers, "cross-origin-embedder-policy");
    match value.as_deref().filter(|_| is_potentially_trustworthy(url)) {
        Some("require-corp") => EmbedderPolicy::RequireCorp,
        Some("credentialless") => EmbedderPolicy::Credentialless,
        _ => EmbedderPolicy::UnsafeNone,
    }
}

/// The bare item of a structured header: the value without parameters.
pub(super) fn bare_item(headers: &HeaderMap, name: &'static str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_owned())
}

/// [Isomorphic decode](https://infra.spec.whatwg.org/#isomorphic-decode)
pub(super) fn isomorphic_decode(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}
