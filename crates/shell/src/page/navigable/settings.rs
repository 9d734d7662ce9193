//! The settings objects of documents in frames, and of documents that inherit from another document.

use std::sync::Arc;

use sendbeacon::{
    Client, Nonce, Origin, Referrer, ReferrerPolicy, Request, Site, determine_referrer,
};
use url::Url;

/// Sets the parts of `client` that depend on the document with the frame, whose settings object is `container`.
pub fn nest(client: &mut Client, container: &Client) {
    let is_same_site = Site::of(&client.origin) == Site::of(&container.origin);
    client.network_partition_key = container.network_partition_key.clone();
    client.has_cross_site_ancestor = container.has_cross_site_ancestor || !is_same_site;
    client.is_secure_context &= container.is_secure_context;
    client.prohibits_mixed_security_contexts |= container.prohibits_mixed_security_contexts;
    client.upgrade_insecure_requests |= container.upgrade_insecure_requests;
    client.cookies_disabled = container.cookies_disabled;
    client.webview_id = container.webview_id;
}

/// The settings object of an `about:blank` or `about:srcdoc` document. It has the origin, the base URL and a clone of the
/// [policy container](https://html.spec.whatwg.org/multipage/browsers.html#requires-storing-the-policy-container-in-history)
/// of `source`, the document that creates it.
pub(super) fn inherit(source: &Client, url: &Url) -> Client {
    Client::inherited_from(source, url.clone(), Nonce::random())
}

/// The settings object of a `data:` document. It has a new opaque origin, and the policies of `source`, the document that
/// creates it.
pub(super) fn inherit_policies(source: &Client, url: &Url) -> Client {
    let mut client = Client::new(url.clone(), Nonce::random());
    client.origin = opaque_origin();
    client.referrer_policy = source.referrer_policy;
    client.csp_list = source.csp_list.clone();
    client.embedder_policy = source.embedder_policy;
    client.address_space = source.address_space;
    client.upgrade_insecure_requests = source.upgrade_insecure_requests;
    client
}

/// A new opaque origin.
pub(in crate::page) fn opaque_origin() -> Origin {
    Origin::Opaque(Nonce::random())
}

/// The referrer of a navigation's request for `url` on behalf of `source`. `so_far` is the referrer of the request before
/// the redirect, or [`Referrer::Client`] for the first request.
pub fn referrer_of_navigation(
    source: &Client,
    url: &Url,
    so_far: Referrer,
    policy: Option<ReferrerPolicy>,
) -> Referrer {
    let mut request = Request::new(Arc::new(source.clone()), url.clone());
    request.referrer = so_far;
    determine_referrer(&request, policy.unwrap_or(source.referrer_policy))
}
