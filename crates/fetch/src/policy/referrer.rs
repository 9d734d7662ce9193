//! The algorithms of [Referrer Policy](https://w3c.github.io/webappsec-referrer-policy/#algorithms) that set a
//! request's referrer.

use http::HeaderMap;
use url::Url;

use super::{referrer_policy::ReferrerPolicy, secure_contexts::is_potentially_trustworthy};
use crate::{
    origin::{Origin, same_origin},
    request::{Referrer, Request},
};

/// [Set request's referrer policy on redirect](https://w3c.github.io/webappsec-referrer-policy/#set-requests-referrer-policy-on-redirect).
pub(crate) fn set_policy_on_redirect(request: &mut Request, response_headers: &HeaderMap) {
    // Steps 1 and 2.
    if let Some(policy) = ReferrerPolicy::parse_header(response_headers) {
        request.referrer_policy = Some(policy);
    }
}

/// [Determine request's Referrer](https://w3c.github.io/webappsec-referrer-policy/#determine-requests-referrer)
/// for its current URL under `policy`.
///
/// It is public for an embedder whose navigations do not go through the library.
#[must_use]
pub fn determine_referrer(request: &Request, policy: ReferrerPolicy) -> Referrer {
    use ReferrerPolicy as P;
    // Steps 1 to 3.
    let source = match &request.referrer {
        Referrer::NoReferrer => return Referrer::NoReferrer,
        Referrer::Client => {
            if matches!(request.client.origin, Origin::Opaque(_)) {
                return Referrer::NoReferrer;
            }
            &request.client.creation_url
        }
        Referrer::Url(url) => url,
    };
    // Steps 4 to 6. NB: step 8 calls the one of these two that it needs. It may compare the unstripped `source`, because
    // stripping does not change an origin.
    let origin = || strip_url(source, true);
    let url = || strip_url(source, false).filter(|url| url.as_str().len() <= 4096).or_else(origin);
    // Step 7 is optional, and not done.
    // Step 8.
    let current = request.current_url();
    let is_same_origin = same_origin(source, current);
    let is_downgrade =
        || is_potentially_trustworthy(source) && !is_potentially_trustworthy(current);
    let referrer = match policy {
        P::SameOrigin | P::OriginWhenCrossOrigin | P::StrictOriginWhenCrossOrigin
            if is_same_origin =>
        {
            url()
        }
        P::StrictOrigin | P::StrictOriginWhenCrossOrigin | P::NoReferrerWhenDowngrade
            if is_downgrade() =>
        {
            None
        }
        P::NoReferrer | P::SameOrigin => None,
        P::Origin | P::StrictOrigin | P::OriginWhenCrossOrigin | P::StrictOriginWhenCrossOrigin => {
            origin()
        }
        P::UnsafeUrl | P::NoReferrerWhenDowngrade => url(),
    };
    referrer.map_or(Referrer::NoReferrer, Referrer::Url)
}

/// [Strip url for use as a referrer](https://w3c.github.io/webappsec-referrer-policy/#strip-url).
fn strip_url(url: &Url, origin_only: bool) -> Option<Url> {
    // Step 2. NB: beside the local schemes this refuses every URL that cannot have a host. The next steps could not
    // remove credentials from it.
    if url.cannot_be_a_base() || matches!(url.scheme(), "about" | "blob" | "data") {
        return None;
    }
    let mut url = url.clone();
    // Steps 3 and 4. NB: the setters fail only for a URL without a host, and that URL has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    // Step 5.
    url.set_fragment(None);
    // Step 6. NB: the query comes first, so that `set_path` does not move it.
    if origin_only {
        url.set_query(None);
        url.set_path("");
    }
    Some(url)
}
