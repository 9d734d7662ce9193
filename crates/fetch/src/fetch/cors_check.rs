//! The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check): whether script may read a response.

use http::{
    HeaderMap,
    header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN},
};

use crate::{
    error::CorsFailure,
    headers::extract::get,
    request::{CredentialsMode, Request},
};

/// [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check) of a response to `request` with `headers`.
pub(super) fn cors_check(request: &Request, headers: &HeaderMap) -> Result<(), CorsFailure> {
    let includes_credentials = request.credentials == CredentialsMode::Include;
    // Steps 1 and 2.
    let Some(origin) = get(headers, &ACCESS_CONTROL_ALLOW_ORIGIN) else {
        return Err(CorsFailure::MissingAllowOrigin);
    };
    // Step 3.
    if !includes_credentials && *origin == *b"*" {
        return Ok(());
    }
    // Step 4.
    if request.serialize_origin().as_bytes() != &*origin {
        return Err(CorsFailure::OriginMismatch);
    }
    // Step 5.
    if !includes_credentials {
        return Ok(());
    }
    // Steps 6 to 8.
    match get(headers, &ACCESS_CONTROL_ALLOW_CREDENTIALS) {
        Some(credentials) if *credentials == *b"true" => Ok(()),
        _ => Err(CorsFailure::Credentials),
    }
}
