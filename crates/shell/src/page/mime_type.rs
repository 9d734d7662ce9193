//! The [MIME type](https://mimesniff.spec.whatwg.org/#mime-type) of a response or a body.

use data_url::mime::Mime;

/// [Extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type) from the values of the
/// `Content-Type` headers. `None` is failure.
pub(crate) fn extract_mime_type<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Mime> {
    let joined = values.into_iter().collect::<Vec<_>>().join(", ");
    let types = split(&joined).into_iter().filter_map(|value| value.parse::<Mime>().ok());
    types.filter(|it| (&*it.type_, &*it.subtype) != ("*", "*")).reduce(|before, mut last| {
        let is_same = (&before.type_, &before.subtype) == (&last.type_, &last.subtype);
        // Steps 6.4 and 6.5: a type without a charset takes that of an earlier type with the same essence.
        if let (true, None, Some(charset)) =
            (is_same, last.get_parameter("charset"), before.get_parameter("charset"))
        {
            last.parameters.push(("charset".to_owned(), charset.to_owned()));
        }
        last
    })
}

/// Whether it is a [JavaScript MIME type](https://mimesniff.spec.whatwg.org/#javascript-mime-type).
pub(super) fn is_javascript(type_: &Mime) -> bool {
    let essence = format!("{}/{}", type_.type_, type_.subtype);
    is_javascript_mime_type_essence(&essence)
}

/// <https://mimesniff.spec.whatwg.org/#javascript-mime-type-essence-match>
pub(super) fn is_javascript_mime_type_essence(type_: &str) -> bool {
    const ESSENCES: [&str; 16] = [
        "application/ecmascript",
        "application/javascript",
        "application/x-ecmascript",
        "application/x-javascript",
        "text/ecmascript",
        "text/javascript",
        "text/javascript1.0",
        "text/javascript1.1",
        "text/javascript1.2",
        "text/javascript1.3",
        "text/javascript1.4",
        "text/javascript1.5",
        "text/jscript",
        "text/livescript",
        "text/x-ecmascript",
        "text/x-javascript",
    ];
    ESSENCES.iter().any(|essence| essence.eq_ignore_ascii_case(type_))
}

/// Splits a header value at the commas outside of quoted strings.
fn split(value: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_comma = |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if !was_escaped => is_escaped = is_quoted,
            _ => {}
        }
        character == ',' && !is_quoted
    };
    value.split(is_comma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_valid_type_counts_with_the_charset_of_its_essence() {
        for (values, expected) in [
            (&["Text/HTML; Charset=\"UTF-8\""][..], Some("text/html;charset=UTF-8")),
            (&["text/plain;charset=gbk", "text/html"], Some("text/html")),
            (&["text/html;charset=gbk", "x/x;a=b", "text/html"], Some("text/html")),
            (&["text/html;charset=gbk, text/html;a=b"], Some("text/html;a=b;charset=gbk")),
            (&["text/plain", "*/*", "nonsense"], Some("text/plain")),
            (&["x/y; a=\"1, 2\""], Some("x/y;a=\"1, 2\"")),
            (&["nonsense"], None),
            (&[], None),
        ] {
            let extracted = extract_mime_type(values.iter().copied());
            assert_eq!(extracted.map(|it| it.to_string()).as_deref(), expected, "{values:?}");
        }
    }
}
