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
/// and the same
/// [due to nosniff](https://fetch.spec.whatwg.org/#should-response-to-request-be-blocked-due-to-nosniff?), for a
/// response with `headers` to a request with `destination`.
pub(crate) fn is_blocked(destination: Destination, headers: &HeaderMap) -> bool {
    let is_script_like = destination.is_script_like();
    if !is_script_like && destination != Destination::Style {
        return false;
    }
    let mime_type = extract_mime_type(headers);
    let is_of_wrong_kind = mime_type.as_ref().is_some_and(is_never_a_script);
    let is_expected = mime_type.is_some_and(|mime_type| {
        if is_script_like { is_javascript(&mime_type) } else { mime_type.matches("text", "css") }
    });
    is_script_like && is_of_wrong_kind || !is_expected && is_nosniff(headers)
}

/// Whether a response of this type is no script, even if the type is not enforced by nosniff.
fn is_never_a_script(mime_type: &Mime) -> bool {
    matches!(&*mime_type.type_, "audio" | "image" | "video") || mime_type.matches("text", "csv")
}

/// [Determine nosniff](https://fetch.spec.whatwg.org/#determine-nosniff): the first value of the header counts.
fn is_nosniff(headers: &HeaderMap) -> bool {
    let Some(value) = get(headers, &X_CONTENT_TYPE_OPTIONS) else { return false };
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
