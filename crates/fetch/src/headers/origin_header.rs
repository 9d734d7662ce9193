//! The [`Origin` header](https://fetch.spec.whatwg.org/#origin-header).

use http::{HeaderMap, HeaderValue, Method, header::ORIGIN};

use crate::{
    Request,
    policy::referrer_policy::ReferrerPolicy,
    request::{Mode, ResponseTainting},
};

/// [Append a request `Origin` header](https://fetch.spec.whatwg.org/#append-a-request-origin-header)
/// for `request` to `headers`, the header list of the request's clone. An embedder whose navigations do not
/// go through the library can call it, too.
pub fn append_origin(request: &Request, headers: &mut HeaderMap) {
    // Step 2. NB: a serialised host is ASCII without controls, so this is always a header value.
    let serialized_origin = HeaderValue::from_str(&request.serialize_origin());
    let serialized_origin = serialized_origin.unwrap_or(HeaderValue::from_static("null"));
    // Step 3.
    if request.response_tainting == ResponseTainting::Cors {
        headers.append(ORIGIN, serialized_origin);
        return;
    }
    // Step 4.
    if matches!(request.method, Method::GET | Method::HEAD) {
        return;
    }
    // Step 4.1. Step 4.2.
    let hidden = request.mode != Mode::Cors && hides_origin(request);
    let value = if hidden { HeaderValue::from_static("null") } else { serialized_origin };
    headers.append(ORIGIN, value);
}

/// Step 4.1's switch on the referrer policy.
fn hides_origin(request: &Request) -> bool {
    use ReferrerPolicy as P;
    let current = request.current_url();
    match request.effective_referrer_policy() {
        P::NoReferrer => true,
        P::NoReferrerWhenDowngrade | P::StrictOrigin | P::StrictOriginWhenCrossOrigin => {
            request.origin.is_https() && current.scheme() != "https"
        }
        P::SameOrigin => !request.origin.is_same_origin_with_url(current),
        P::Origin | P::OriginWhenCrossOrigin | P::UnsafeUrl => false,
    }
}
