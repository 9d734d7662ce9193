//! The [CORS-safelisted request-headers](https://fetch.spec.whatwg.org/#cors-safelisted-request-header).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE, RANGE},
};
use memchr::memchr;

const SAFELISTED_ESSENCES: [&[u8]; 3] =
    [b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"];

/// The safelisted types that the extraction of a body makes. Most beacons have one of these.
const EXTRACTED_TYPES: [&[u8]; 2] =
    [b"text/plain;charset=UTF-8", b"application/x-www-form-urlencoded;charset=UTF-8"];

/// A [CORS-safelisted method](https://fetch.spec.whatwg.org/#cors-safelisted-method).
pub(crate) fn is_cors_safelisted_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
}

/// Whether (name, value) is a
/// [CORS-safelisted request-header](https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
pub(crate) fn is_cors_safelisted(name: &HeaderName, value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    // Step 1.
    if bytes.len() > 128 {
        return false;
    }
    // Step 2.
    match *name {
        ACCEPT => !bytes.iter().copied().any(is_cors_unsafe),
        ACCEPT_LANGUAGE | CONTENT_LANGUAGE => {
            bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b" *,-.;=".contains(&byte))
        }
        CONTENT_TYPE if EXTRACTED_TYPES.contains(&bytes) => true,
        CONTENT_TYPE => {
            // Step 2.1.
            if bytes.iter().copied().any(is_cors_unsafe) {
                return false;
            }
            // Steps 2.2 to 2.4. NB: the essence is the part before the first parameter, without whitespace
            // around it. Parameters cannot make parsing fail.
            let end = memchr(b';', bytes).unwrap_or(bytes.len());
            let essence = bytes[..end].trim_ascii();
            SAFELISTED_ESSENCES.iter().any(|listed| essence.eq_ignore_ascii_case(listed))
        }
        RANGE => is_safelisted_range(bytes),
        _ => false,
    }
}

/// The [CORS-unsafe request-header names](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names)
/// of a header list, sorted.
pub(crate) fn cors_unsafe_names(headers: &HeaderMap) -> Vec<HeaderName> {
    // Steps 1 and 3.
    let mut unsafe_names = Vec::new();
    let mut safelist_value_size = 0;
    // Step 4.
    for (name, value) in headers {
        if is_cors_safelisted(name, value) {
            safelist_value_size += value.len();
        } else {
            unsafe_names.push(name.clone());
        }
    }
    // Step 5. NB: the potentiallyUnsafeNames of Step 2 are all other names of the list.
    if safelist_value_size > 1024 {
        unsafe_names = headers.keys().cloned().collect();
    }
    // Step 6.
    unsafe_names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    unsafe_names.dedup();
    unsafe_names
}

/// A [CORS-unsafe request-header byte](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte).
fn is_cors_unsafe(byte: u8) -> bool {
    match byte {
        b'\t' => false,
        b'"' | b'(' | b')' | b':' | b'<' | b'>' | b'?' | b'@' | b'[' | b'\\' | b']' | b'{'
        | b'}' | 0x7F => true,
        _ => byte < 0x20,
    }
}

/// Whether [parsing a single range header value](https://fetch.spec.whatwg.org/#simple-range-header-value)
/// without whitespace succeeds with a start: `bytes=0-` or `bytes=0-9`.
fn is_safelisted_range(value: &[u8]) -> bool {
    let Some((start, end)) = str::from_utf8(value)
        .ok()
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return false;
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| text.parse::<u128>().unwrap_or(u128::MAX);
    is_digits(start)
        && is_digits(end)
        && !start.is_empty()
        && (end.is_empty() || number(start) <= number(end))
}

#[cfg(test)]
mod tests {
    use data_url::mime::Mime;
    use proptest::prelude::*;

    use super::*;

    fn content_type(value: &str) -> bool {
        is_cors_safelisted(&CONTENT_TYPE, &HeaderValue::from_bytes(value.as_bytes()).unwrap())
    }

    #[test]
    fn three_essences_are_safelisted_whatever_their_parameters() {
        for value in [
            "text/plain",
            "text/plain;charset=UTF-8",
            "TEXT/Plain;x",
            " text/plain ",
            "text/plain;\tcharset=x",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded;charset=UTF-8",
        ] {
            assert!(content_type(value), "{value}");
        }
        for value in [
            "application/json",
            "application/octet-stream",
            "text/html",
            "text/plain; a=\"b\"",
            "text/plain,text/html",
            "text",
            "/",
            "foo bar",
            "",
        ] {
            assert!(!content_type(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn the_essence_equals_that_of_the_parsed_mime_type(
            value in "[ \t]{0,2}([A-Za-z]{1,5}|text|Multipart|application)[ /;]{1,2}(plain|form-DATA|x-www-form-urlencoded|[a-z /;]{0,3})[ \t]{0,2}(;[ -~]{0,10}){0,2}"
        ) {
            let is_listed = value.parse::<Mime>().is_ok_and(|mime| {
                let essence = format!("{}/{}", mime.type_, mime.subtype);
                SAFELISTED_ESSENCES.contains(&essence.as_bytes())
            });
            let is_clean = !value.bytes().any(is_cors_unsafe);
            prop_assert_eq!(content_type(&value), is_listed && is_clean, "{:?}", value);
        }
    }

    #[test]
    fn a_value_longer_than_128_bytes_is_not_safelisted() {
        let value = |length: usize| format!("text/plain;{}", "x".repeat(length - 11));
        assert!(content_type(&value(128)));
        assert!(!content_type(&value(129)));
    }

    #[test]
    fn only_a_range_with_a_start_is_safelisted() {
        let range = |value| is_cors_safelisted(&RANGE, &HeaderValue::from_static(value));
        assert!(range("bytes=0-") && range("bytes=1-9"));
        assert!(
            !range("bytes=-5") && !range("bytes=9-1") && !range("bytes = 0-") && !range("x=0-")
        );
        assert!(!range("bytes=0-1,2-3"));
    }

    #[test]
    fn names_are_sorted_and_too_many_safelisted_bytes_are_unsafe() {
        let mut headers = HeaderMap::new();
        headers.append("x-b", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append(ACCEPT, HeaderValue::from_static("*/*"));
        assert_eq!(cors_unsafe_names(&headers), ["x-a", "x-b"]);
        for _ in 0..9 {
            headers.append(ACCEPT, HeaderValue::try_from("y".repeat(120)).unwrap());
        }
        assert_eq!(cors_unsafe_names(&headers), ["accept", "x-a", "x-b"]);
    }
}
