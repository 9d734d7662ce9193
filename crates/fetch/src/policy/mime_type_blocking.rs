//! The checks of a response's MIME type: by `X-Content-Type-Options: nosniff`, and without it.

use data_url::mime::Mime;
use http::{HeaderMap, header::X_CONTENT_TYPE_OPTIONS};

use crate::{
    destination::Destination,
    headers::{
        extract::{get, split},
        resource_info::{extract_mime_type, is_javascript},
    },
};

/// [Should response to request be blocked due to its MIME type?](https://fetch.spec.whatwg.org/#should-response-to-request-be-blocked-due-to-mime-type?),
/// for a response with `headers` to a request with `destination`.
pub(crate) fn is_blocked_due_to_mime_type(destination: Destination, headers: &HeaderMap) -> bool {
    // Steps 3 to 5. NB: the order does not matter, and few requests have such a destination.
    destination.is_script_like()
        // Steps 1 and 2.
        && extract_mime_type(headers).is_some_and(|mime_type| {
            matches!(&*mime_type.type_, "audio" | "image" | "video")
                || mime_type.matches("text", "csv")
        })
}

/// [Should response to request be blocked due to nosniff?](https://fetch.spec.whatwg.org/#should-response-to-request-be-blocked-due-to-nosniff?),
/// for a response with `headers` to a request with `destination`.
pub(crate) fn is_blocked_due_to_nosniff(destination: Destination, headers: &HeaderMap) -> bool {
    let is_expected: fn(&Mime) -> bool = match destination {
        // Step 4.
        _ if destination.is_script_like() => is_javascript,
        // Step 5.
        Destination::Style => |mime_type| mime_type.matches("text", "css"),
        // Steps 3 and 6.
        _ => return false,
    };
    // Steps 1 and 2.
    determine_nosniff(headers) && !extract_mime_type(headers).is_some_and(|it| is_expected(&it))
}

/// [Determine nosniff](https://fetch.spec.whatwg.org/#determine-nosniff): the first value of the header counts.
fn determine_nosniff(headers: &HeaderMap) -> bool {
    // Steps 1 and 2.
    let Some(value) = get(headers, &X_CONTENT_TYPE_OPTIONS) else { return false };
    // Steps 3 and 4.
    split(&value).next().is_some_and(|first| first.eq_ignore_ascii_case(b"nosniff"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CONTENT_TYPE};

    use super::*;

    /// A response with this type, and this `X-Content-Type-Options`, which are not there if empty.
    fn headers(mime_type: &str, options: &str) -> HeaderMap {
        [(CONTENT_TYPE, mime_type), (X_CONTENT_TYPE_OPTIONS, options)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn is_blocked(destination: Destination, headers: &HeaderMap) -> bool {
        is_blocked_due_to_mime_type(destination, headers)
            || is_blocked_due_to_nosniff(destination, headers)
    }

    // The values are those of WPT's fetch/nosniff and fetch/api/basic/block-mime-as-script.
    #[test]
    fn media_and_csv_are_no_scripts() {
        for (mime_type, is_script) in [
            ("text/csv", false),
            ("audio/aiff", false),
            ("image/svg+xml", false),
            ("video/x-unknown", false),
            ("text/html", true),
            ("text/plain", true),
            ("application/xml", true),
            ("nonsense", true),
            ("", true),
        ] {
            let headers = headers(mime_type, "");
            assert_eq!(is_blocked(Destination::Script, &headers), !is_script, "{mime_type}");
            assert_eq!(is_blocked(Destination::Worker, &headers), !is_script, "{mime_type}");
            assert!(!is_blocked(Destination::Empty, &headers));
            assert!(!is_blocked(Destination::Style, &headers));
        }
    }

    #[test]
    fn nosniff_lets_only_scripts_be_scripts_and_only_styles_be_styles() {
        let blocked =
            |destination, mime_type| is_blocked(destination, &headers(mime_type, "nosniff"));
        for mime_type in ["text/javascript", "application/x-ecmascript;x=y", "TEXT/LIVESCRIPT"] {
            assert!(!blocked(Destination::SharedWorker, mime_type), "{mime_type}");
            assert!(blocked(Destination::Style, mime_type), "{mime_type}");
        }
        for mime_type in ["", "text/plain", "text/html", "text/json"] {
            assert!(blocked(Destination::Script, mime_type), "{mime_type}");
            assert!(blocked(Destination::Style, mime_type), "{mime_type}");
            assert!(!blocked(Destination::Image, mime_type), "{mime_type}");
            assert!(!blocked(Destination::Empty, mime_type), "{mime_type}");
        }
        assert!(!blocked(Destination::Style, "text/css;charset=x"));
        assert!(blocked(Destination::Script, "text/css"));
    }

    #[test]
    fn the_first_value_of_nosniff_counts_in_any_case() {
        for (options, is_nosniff) in [
            ("NOSNIFF", true),
            ("nosniff,,@#$%%&^&^*()()11!", true),
            ("nosniff, no", true),
            ("no, nosniff", false),
            (", nosniff", false),
            ("'nosniff'", false),
            ("\"nosniff\"", false),
        ] {
            let headers = headers("text/plain", options);
            assert_eq!(is_blocked(Destination::Script, &headers), is_nosniff, "{options}");
        }
    }
}
