//! The [`Cross-Origin-Resource-Policy` header](https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header).

use http::HeaderName;

use crate::{
    client::EmbedderPolicy, headers::extract::get, origin::is_schemelessly_same_site,
    request::Request, response::HttpResponse,
};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// [Cross-origin resource policy check](https://fetch.spec.whatwg.org/#cross-origin-resource-policy-check)
/// of a response to `request`. Returns true for blocked.
///
/// NB: the engine does the reports of steps 4 and 6. It learns of a block from the outcome of the fetch. Nothing checks a
/// report-only embedder policy.
pub(super) fn blocks(request: &Request, response: &HttpResponse) -> bool {
    let embedder_policy = request.client.embedder_policy;
    // Step 3. NB: step 5 includes it, because a response that is blocked for "unsafe-none" is also blocked for the other
    // embedder policies.
    // Steps 5 and 7.
    internal_check(request, response, embedder_policy) == Check::Blocked
}

/// The result of the internal check.
#[derive(PartialEq)]
enum Check {
    Allowed,
    Blocked,
}

/// [Cross-origin resource policy internal check](https://fetch.spec.whatwg.org/#cross-origin-resource-policy-internal-check).
fn internal_check(
    request: &Request,
    response: &HttpResponse,
    embedder_policy: EmbedderPolicy,
) -> Check {
    // Step 1 is for navigations.
    // Steps 2 to 4.
    let policy = get(&response.internal.headers, &CROSS_ORIGIN_RESOURCE_POLICY);
    let policy = match (policy.as_deref(), embedder_policy) {
        (Some(policy @ (b"same-origin" | b"same-site" | b"cross-origin")), _) => policy,
        (_, EmbedderPolicy::UnsafeNone) => b"cross-origin",
        (_, EmbedderPolicy::Credentialless) if !response.request_includes_credentials => {
            b"cross-origin"
        }
        (_, EmbedderPolicy::Credentialless | EmbedderPolicy::RequireCorp) => b"same-origin",
    };
    // Step 5. NB: a response that a service worker made has no URL. It counts as one from the request's URL.
    let url = response.url(request).unwrap_or(request.current_url());
    let origin = &request.origin;
    let is_allowed = match policy {
        b"same-origin" => origin.is_same_origin_with_url(url),
        b"same-site" => {
            is_schemelessly_same_site(origin, url) && (origin.is_https() || url.scheme() != "https")
        }
        _ => true,
    };
    if is_allowed { Check::Allowed } else { Check::Blocked }
}
