//! Getting and [extracting](https://fetch.spec.whatwg.org/#extract-header-list-values) header values.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// The value does not match its ABNF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure;

/// [Get](https://fetch.spec.whatwg.org/#concept-header-list-get) a header: its values, separated by
/// `, `.
pub(crate) fn get<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    // Step 1.
    let first = headers.get(name)?;
    // Step 2.
    let mut all = Cow::Borrowed(first.as_bytes());
    for value in headers.get_all(name).iter().skip(1) {
        let all = all.to_mut();
        all.extend_from_slice(b", ");
        all.extend_from_slice(value.as_bytes());
    }
    Some(all)
}

/// The second half of
/// [get, decode, and split](https://fetch.spec.whatwg.org/#header-value-get-decode-and-split): splits
/// what [`get`] returns at the commas outside quoted strings.
pub(crate) fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let at_comma = move |&byte: &u8| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if !was_escaped => is_escaped = is_quoted,
            _ => {}
        }
        byte == b',' && !is_quoted
    };
    // The only ASCII whitespace in a header value is spaces and tabs.
    value.split(at_comma).map(<[u8]>::trim_ascii)
}

/// [Extract header list values](https://fetch.spec.whatwg.org/#extract-header-list-values) of a
/// header whose ABNF is a list of tokens (`#method`, `#field-name`); `Ok(None)` is null.
pub(crate) fn extract_tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Vec<&'a str>>, Failure> {
    // Step 1.
    if !headers.contains_key(name) {
        return Ok(None);
    }
    // Steps 3 and 5.
    tokens(headers, name).collect::<Result<_, _>>().map(Some)
}

/// The tokens of such a header, one by one: Step 4. A failure among them is a failure of the header.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<&'a str, Failure>> {
    // Step 4.
    let elements = headers.get_all(name).iter().flat_map(|value| {
        let elements = value.as_bytes().split(|byte| *byte == b',');
        elements.map(<[u8]>::trim_ascii)
    });
    // A recipient ignores empty list elements (RFC 9110, 5.6.1.2).
    elements.filter(|token| !token.is_empty()).map(|token| {
        let is_token = token.iter().copied().all(is_token_byte);
        str::from_utf8(token).ok().filter(|_| is_token).ok_or(Failure)
    })
}

/// The value of a header that may occur once and whose ABNF is `delta-seconds`. Failure and null are both
/// `None`. A number that is too large for a `u64` is `u64::MAX`.
///
/// NB: a negative number is 0. By the text it is a failure, and would count as the default value.
pub(crate) fn extract_delta_seconds(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = value.to_str().ok()?;
    let (is_negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_negative { 0 } else { digits.parse().unwrap_or(u64::MAX) };
    is_number.then_some(seconds)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::VARY};

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (VARY, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn values_are_joined_with_a_comma_and_a_space() {
        assert_eq!(get(&headers(&["a", "b, c"]), &VARY).as_deref(), Some(&b"a, b, c"[..]));
        assert_eq!(get(&headers(&[]), &VARY), None);
    }

    #[test]
    fn values_are_split_at_commas_outside_of_quotes() {
        let text = |value: &'static str| -> Vec<_> {
            split(value.as_bytes()).map(|it| std::str::from_utf8(it).unwrap()).collect()
        };
        assert_eq!(text("a,\tb , c d,"), ["a", "b", "c d", ""]);
        assert_eq!(text(r#"a"b,\"c,"d, e"#), [r#"a"b,\"c,"d"#, "e"]);
        assert_eq!(text(r#"\"a, b", c"#), [r#"\"a, b""#, "c"], "no escape outside of quotes");
    }

    #[test]
    fn token_lists_skip_empty_elements_and_fail_on_anything_else() {
        assert_eq!(
            extract_tokens(&headers(&["a ,, B\t", "*"]), &VARY),
            Ok(Some(vec!["a", "B", "*"]))
        );
        assert_eq!(extract_tokens(&headers(&[""]), &VARY), Ok(Some(vec![])));
        assert_eq!(extract_tokens(&headers(&["a", "a b"]), &VARY), Err(Failure));
        assert_eq!(extract_tokens(&headers(&["\"a\""]), &VARY), Err(Failure));
        assert_eq!(extract_tokens(&headers(&[]), &VARY), Ok(None));
    }

    #[test]
    fn delta_seconds_are_one_number_and_a_negative_number_is_zero() {
        for (values, seconds) in [
            (&["60"][..], Some(60)),
            (&["99999999999999999999999"], Some(u64::MAX)),
            (&["-1"], Some(0)),
            (&["-99999999999999999999999"], Some(0)),
            (&["-"], None),
            (&["--1"], None),
            (&["- 1"], None),
            (&["+1"], None),
            (&["1.5"], None),
            (&[""], None),
            (&["1", "2"], None),
            (&[], None),
        ] {
            assert_eq!(extract_delta_seconds(&headers(values), &VARY), seconds, "{values:?}");
        }
    }
}
