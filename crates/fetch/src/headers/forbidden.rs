//! [Forbidden request-headers](https://fetch.spec.whatwg.org/#forbidden-request-header).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::extract::split;

/// Removes the forbidden request-headers from a list.
pub(crate) fn remove_forbidden(headers: &mut HeaderMap) {
    if headers.iter().any(|(name, value)| is_forbidden(name, value)) {
        let allowed = headers.iter().filter(|(name, value)| !is_forbidden(name, value));
        *headers = allowed.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
}

/// Whether (name, value) is a forbidden request-header, which only the user agent sets.
fn is_forbidden(name: &HeaderName, value: &HeaderValue) -> bool {
    let name = name.as_str();
    // Steps 1 and 2.
    let is_listed = matches!(
        name,
        "accept-charset"
            | "accept-encoding"
            | "access-control-request-headers"
            | "access-control-request-method"
            | "connection"
            | "content-length"
            | "cookie"
            | "cookie2"
            | "date"
            | "dnt"
            | "expect"
            | "host"
            | "keep-alive"
            | "origin"
            | "referer"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
    );
    if is_listed || name.starts_with("proxy-") || name.starts_with("sec-") {
        return true;
    }
    // Step 3.
    let overrides =
        matches!(name, "x-http-method" | "x-http-method-override" | "x-method-override");
    overrides && names_forbidden_method(value)
}

/// Whether one of the values, split at the commas outside quoted strings, is a
/// [forbidden method](https://fetch.spec.whatwg.org/#forbidden-method).
fn names_forbidden_method(value: &HeaderValue) -> bool {
    split(value.as_bytes()).any(|method| {
        [&b"connect"[..], b"trace", b"track"].iter().any(|name| method.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_user_agent_are_forbidden_to_script() {
        let is_forbidden = |name: &'static str, value| {
            is_forbidden(&HeaderName::from_static(name), &HeaderValue::from_static(value))
        };
        for name in
            ["host", "origin", "content-length", "cookie", "sec-fetch-site", "proxy-x", "te"]
        {
            assert!(is_forbidden(name, "x"), "{name}");
        }
        for name in ["content-type", "authorization", "user-agent", "x-a", "accept", "secret"] {
            assert!(!is_forbidden(name, "x"), "{name}");
        }
        assert!(is_forbidden("x-http-method", "GET, Trace "));
        assert!(!is_forbidden("x-http-method", "PUT"));
    }
}
