//! The [TAO check](https://fetch.spec.whatwg.org/#concept-tao-check): whether script may see a response's timing.

use http::{HeaderMap, HeaderName};

use crate::{
    headers::extract::{get, split},
    request::{Request, ResponseTainting},
};

const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// [TAO check](https://fetch.spec.whatwg.org/#concept-tao-check) of a response to `request` with `headers`. Returns true
/// for success.
pub(super) fn tao_check(request: &Request, headers: &HeaderMap) -> bool {
    // Step 1 is an assertion. It holds: the origin is never "client".
    // Step 2.
    if request.timing_allow_failed {
        return false;
    }
    // Step 6 is for navigations.
    // Steps 7 and 8. NB: they come before the others because they cost the least.
    if request.response_tainting == ResponseTainting::Basic {
        return true;
    }
    // Step 3.
    let Some(value) = get(headers, &TIMING_ALLOW_ORIGIN) else { return false };
    let origin = request.serialize_origin();
    // Steps 4 and 5.
    split(&value).any(|value| value == b"*" || value == origin.as_bytes())
}
