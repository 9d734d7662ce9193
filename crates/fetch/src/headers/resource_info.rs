//! The content type and the content coding of a response, as Resource Timing shows them.

use data_url::mime::Mime;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use super::extract::{extract_tokens, get, split};

/// The [content type](https://fetch.spec.whatwg.org/#response-body-info-content-type) of a body info, from the headers of
/// the filtered response: [extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type), and
/// [minimize it](https://mimesniff.spec.whatwg.org/#minimize-a-supported-mime-type). The empty string is failure.
///
/// NB: by the standard a type that the user agent does not support becomes the empty string. Only
/// the engine knows which types it supports, so here every type counts as supported.
#[must_use]
pub(crate) fn minimized_content_type(headers: &HeaderMap) -> String {
    extract_mime_type(headers).map(|mime_type| minimized(&mime_type)).unwrap_or_default()
}

/// [Extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type) from `headers`. `None` is failure.
///
/// NB: the last type counts. Its parameters are of no interest here.
pub(crate) fn extract_mime_type(headers: &HeaderMap) -> Option<Mime> {
    let value = get(headers, &CONTENT_TYPE)?;
    // NB: the parameters are left out, because a server may send very many.
    let essence = |value: &[u8]| {
        let bytes = value.iter().copied().take_while(|byte| *byte != b';');
        // Isomorphic decoded: each byte is a character.
        bytes.map(char::from).collect::<String>().parse().ok()
    };
    let types = split(&value).filter_map(essence);
    types.filter(|mime: &Mime| !mime.matches("*", "*")).last()
}

fn minimized(mime: &Mime) -> String {
    let (type_, subtype) = (&*mime.type_, &*mime.subtype);
    let is_text = matches!(type_, "text" | "application");
    if is_javascript(mime) {
        "text/javascript".to_owned()
    } else if subtype.ends_with("+json") || is_text && subtype == "json" {
        "application/json".to_owned()
    } else if mime.matches("image", "svg+xml") {
        "image/svg+xml".to_owned()
    } else if subtype.ends_with("+xml") || is_text && subtype == "xml" {
        "application/xml".to_owned()
    } else {
        format!("{type_}/{subtype}")
    }
}

/// Whether it is a [JavaScript MIME type](https://mimesniff.spec.whatwg.org/#javascript-mime-type).
pub(crate) fn is_javascript(mime: &Mime) -> bool {
    const JAVASCRIPT: [&str; 12] = [
        "ecmascript",
        "javascript",
        "javascript1.0",
        "javascript1.1",
        "javascript1.2",
        "javascript1.3",
        "javascript1.4",
        "javascript1.5",
        "jscript",
        "livescript",
        "x-ecmascript",
        "x-javascript",
    ];
    let subtype = &*mime.subtype;
    match &*mime.type_ {
        "text" => JAVASCRIPT.contains(&subtype),
        "application" => {
            matches!(subtype, "ecmascript" | "javascript" | "x-ecmascript" | "x-javascript")
        }
        _ => false,
    }
}

/// The [content encoding](https://fetch.spec.whatwg.org/#response-body-info-content-encoding) of a body info, from the
/// headers of the response: filteredCoding of HTTP-network fetch.
#[must_use]
pub fn filtered_coding(headers: &HeaderMap) -> &'static str {
    // NB: an empty list is like the empty string.
    let Ok(Some(codings)) = extract_tokens(headers, &CONTENT_ENCODING) else { return "" };
    match &*codings {
        [] => "",
        [coding] => ["br", "deflate", "gzip", "x-gzip", "zstd"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(coding))
            .unwrap_or("@unknown"),
        _ => "multiple",
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_content_type_is_the_last_mime_type_minimized() {
        for (values, content_type) in [
            (&["text/html; charset=utf-8"][..], "text/html"),
            (&["TEXT/Plain"], "text/plain"),
            (&["text/plain, image/png"], "image/png"),
            (&["text/plain", "*/*", "what"], "text/plain"),
            (&["text/plain;a=\",image/png\""], "text/plain"),
            (&["application/x-javascript"], "text/javascript"),
            (&["text/livescript"], "text/javascript"),
            (&["application/vnd.api+json"], "application/json"),
            (&["text/json"], "application/json"),
            (&["image/svg+xml"], "image/svg+xml"),
            (&["application/atom+xml"], "application/xml"),
            (&["text/xml"], "application/xml"),
            (&["font/woff2"], "font/woff2"),
            (&["*/*"], ""),
            (&["html"], ""),
            (&[""], ""),
            (&[], ""),
        ] {
            let headers = headers(&CONTENT_TYPE, values);
            assert_eq!(minimized_content_type(&headers), content_type, "{values:?}");
        }
    }

    #[test]
    fn very_many_parameters_cost_no_time() {
        let parameters: Vec<_> = (0..50_000).map(|number| format!(";p{number}=x")).collect();
        let value = HeaderValue::try_from(format!("text/css{}", parameters.concat())).unwrap();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
        let before = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(minimized_content_type(&headers), "text/css");
        }
        // NB: to read the parameters once would take seconds.
        assert!(before.elapsed().as_secs() < 60);
    }

    #[test]
    fn a_parameter_may_have_bytes_outside_ascii() {
        let value = HeaderValue::from_bytes(b"text/javascript; x=\"\xE9\"").unwrap();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
        assert_eq!(minimized_content_type(&headers), "text/javascript");
    }

    #[test]
    fn the_content_encoding_is_one_known_coding_or_a_word_for_the_others() {
        for (values, coding) in [
            (&["gzip"][..], "gzip"),
            (&["GZip"], "gzip"),
            (&["br"], "br"),
            (&["zstd"], "zstd"),
            (&["gzip, br"], "multiple"),
            (&["gzip", "x"], "multiple"),
            (&["secret"], "@unknown"),
            (&["@unknown"], ""),
            (&[""], ""),
            (&[], ""),
        ] {
            let headers = headers(&CONTENT_ENCODING, values);
            assert_eq!(filtered_coding(&headers), coding, "{values:?}");
        }
    }
}
