use http::{HeaderMap, HeaderName};

use crate::{
    Request,
    headers::extract::{get, split},
    request::ResponseTainting,
};

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// [TAO check](https://fetch.spec.whatwg.org/#concept-tao-check) of a response with `headers`: true
/// where it returns success.
pub(super) fn tao_check(request: &Request, headers: &HeaderMap) -> bool {
    // Step 1 holds: the origin is never "client". Step 2.
    if request.timing_allow_failed {
        return false;
    }
    // Step 6 is for navigations. Steps 7 and 8, first because they cost least.
    if request.response_tainting == ResponseTainting::Basic {
        return true;
    }
    // Step 3.
    let Some(value) = get(headers, &TIMING_ALLOW_ORIGIN) else { return false };
    let origin = request.serialize_origin();
    // Steps 4 and 5.
    split(&value).any(|value| value == b"*" || value == origin.as_bytes())
}
