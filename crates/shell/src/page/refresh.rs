//! The parser of [declarative refreshes](https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps).

use url::Url;

/// A declarative refresh: the URL that a document navigates to after some seconds.
pub(super) struct Refresh {
    pub(super) seconds: u32,
    pub(super) url: Url,
}

/// Steps 2 to 11 of the [shared declarative refresh steps](https://html.spec.whatwg.org/multipage/document-lifecycle.html#shared-declarative-refresh-steps).
/// Returns the seconds and the unparsed URL, which may be empty.
pub(super) fn parse_refresh(input: &str) -> Option<(u32, &str)> {
    // Steps 2 to 6.
    let rest = input.trim_ascii_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 && !rest.starts_with('.') {
        return None;
    }
    let seconds = if digits == 0 { 0 } else { rest[..digits].parse().unwrap_or(u32::MAX) };
    // Steps 7 to 10.
    let rest = rest[digits..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_separator = |c: char| matches!(c, ';' | ',') || c.is_ascii_whitespace();
    if !rest.is_empty() && !rest.starts_with(is_separator) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    // Step 11.
    let named = rest.get(..3).filter(|it| it.eq_ignore_ascii_case("url"));
    let named = named.and_then(|_| rest[3..].trim_ascii_start().strip_prefix('='));
    let url = named.unwrap_or(rest).trim_ascii_start();
    let Some(quote) = url.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        return Some((seconds, url));
    };
    Some((seconds, url[1..].split(quote).next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::parse_refresh;

    #[test]
    fn a_refresh_is_parsed_with_all_its_separators_and_quotes() {
        for (input, expected) in [
            ("0", Some((0, ""))),
            (" 5 ; url=a b", Some((5, "a b"))),
            ("1.9,URL = 'x' y", Some((1, "x"))),
            (".5;\"x", Some((0, "x"))),
            ("3 next", Some((3, "next"))),
            ("3;url x", Some((3, "url x"))),
            ("4;ur", Some((4, "ur"))),
            ("99999999999;x", Some((u32::MAX, "x"))),
            ("7x", None),
            ("", None),
            ("url=x", None),
        ] {
            assert_eq!(parse_refresh(input), expected, "{input:?}");
        }
    }
}
