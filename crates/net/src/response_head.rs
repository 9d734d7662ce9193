//! Reads heads of HTTP/1.1 responses that browsers accept and hyper does not, and their reason phrases.

use std::borrow::Cow;

use http::{Extensions, HeaderValue, StatusCode};
use hyper::ext::ReasonPhrase;

/// The largest head of an HTTP/1.1 response, in bytes. Browsers have the same limit.
pub(crate) const MAX_RESPONSE_HEAD: usize = 256 * 1024;

/// The most headers of a response.
pub(crate) const MAX_HEADERS: usize = 512;

/// The longest header name that hyper takes. In debug builds, hyper panics at a longer one.
const MAX_NAME: usize = 65_535;

/// The largest length that hyper takes.
const MAX_LENGTH: u64 = u64::MAX - 2;

/// What a browser makes of the head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadHead {
    /// hyper reads the head as browsers do.
    AsItIs,
    /// hyper reads this head as browsers read the original.
    Rewritten {
        head: Vec<u8>,
        /// The values of the `Content-Length` headers, if the rewritten head says another length.
        content_lengths: Option<Vec<HeaderValue>>,
    },
    /// The response is a network error.
    Refused(&'static str),
}

/// The reason phrase of an HTTP/1.1 response. hyper keeps it if it is not the usual one of its status.
pub(crate) fn reason_phrase(status: StatusCode, extensions: &Extensions) -> Cow<'static, [u8]> {
    match extensions.get::<ReasonPhrase>() {
        Some(reason) => reason.as_bytes().to_vec().into(),
        None => status.canonical_reason().unwrap_or_default().as_bytes().into(),
    }
}

/// The end of the head that begins at the start of `bytes`: where its empty line ends. `None` if that is
/// still to come. The first `scanned` bytes are known to have no end of a line before an empty line.
pub(crate) fn end_of_head(bytes: &[u8], scanned: usize) -> Option<usize> {
    let ends = bytes.iter().enumerate().skip(scanned).filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at + 1).find_map(|at| match &bytes[at..] {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// Whether the head is of a response that another one follows
/// ([RFC 9110, section 15.2](https://www.rfc-editor.org/rfc/rfc9110#section-15.2)). After a 101, another
/// protocol follows.
pub(crate) fn is_interim(head: &[u8]) -> bool {
    let status = head.get(VERSION.len() + 1..).unwrap_or_default().trim_ascii_start();
    matches!(status, [b'1', b'0'..=b'9', b'0'..=b'9', b' ' | b'\r' | b'\n', ..])
        && !status.starts_with(b"101")
}

/// How a status line begins, before the minor version.
const VERSION: &[u8] = b"HTTP/1.";

/// Whether bytes can be the beginning of a response, as far as they go.
pub(crate) fn may_begin_head(bytes: &[u8]) -> bool {
    bytes.iter().zip(VERSION).all(|(byte, expected)| byte == expected)
}

/// Reads a whole head, which begins with [`VERSION`] and ends with an empty line.
///
/// hyper remains the parser, and has switches for most of what browsers take. This function changes only
/// the lines that hyper refuses or reads otherwise:
///
/// * An unknown minor version becomes 1.
/// * `Content-Length` has the length that Fetch extracts.
/// * A control byte in `Location` is percent-encoded, as the URL parser would do. In the reason phrase
///   it becomes a space. hyper ignores any other line with a control byte.
/// * A line without a name of at most 65,535 bytes is left out.
pub(crate) fn read_head(head: &[u8]) -> ReadHead {
    if has_lone_cr_or_nul(head) {
        // hyper refuses the head for these, wherever they are.
        return ReadHead::AsItIs;
    }
    let length = match ContentLength::of(head) {
        Ok(length) => length,
        Err(refusal) => return ReadHead::Refused(refusal),
    };
    let has_minor_version = matches!(head.get(VERSION.len()), Some(b'2'..=b'9'));
    let has_long_name =
        head.len() > MAX_NAME && lines(head).any(|line| name_of(line).len() > MAX_NAME);
    if length == ContentLength::AsHyperReadsIt
        && !has_minor_version
        && !has_long_name
        && !head.iter().copied().any(is_control)
    {
        return ReadHead::AsItIs;
    }
    let mut written = Vec::with_capacity(head.len() + 64);
    for (at, line) in lines(head).enumerate() {
        let name = name_of(line);
        if at == 0 {
            written.extend(line.iter().map(|byte| if is_control(*byte) { b' ' } else { *byte }));
            if has_minor_version {
                written[VERSION.len()] = b'1';
            }
        } else if name.eq_ignore_ascii_case(b"location") {
            write_location(line, &mut written);
        } else if !(name.len() > MAX_NAME
            || length != ContentLength::AsHyperReadsIt && is_content_length(name))
        {
            // The empty line is the last one.
            if let (ContentLength::TooLarge(_), b"\r\n" | b"\n") = (&length, line) {
                written.extend(format!("Content-Length: {MAX_LENGTH}\r\n").into_bytes());
            }
            written.extend(line);
        }
    }
    let content_lengths = match length {
        ContentLength::AsHyperReadsIt => None,
        ContentLength::None(values) | ContentLength::TooLarge(values) => Some(values),
    };
    ReadHead::Rewritten { head: written, content_lengths }
}

/// What the `Content-Length` headers of a head say. The values are those of the headers.
#[derive(PartialEq, Eq)]
enum ContentLength {
    AsHyperReadsIt,
    /// The headers say no length, so that the body ends with the connection.
    None(Vec<HeaderValue>),
    /// The headers say a length that no body has.
    TooLarge(Vec<HeaderValue>),
}

impl ContentLength {
    /// [Extract a length](https://fetch.spec.whatwg.org/#header-list-extract-a-length).
    fn of(head: &[u8]) -> Result<Self, &'static str> {
        let mut values: Vec<Vec<u8>> = Vec::new();
        for line in lines(head) {
            let name = name_of(line);
            if name.eq_ignore_ascii_case(b"transfer-encoding")
                && !line.iter().copied().any(is_control)
            {
                // It overrides any Content-Length (RFC 9112, section 6.3).
                return Ok(Self::AsHyperReadsIt);
            }
            if is_content_length(name) {
                values.push(value_of(line));
            }
        }
        // Steps 1 and 2. Without the header, hyper finds out how the body ends.
        if values.is_empty() {
            return Ok(Self::AsHyperReadsIt);
        }
        let combined = values.join(&b", "[..]);
        let mut members = split(&combined);
        // Steps 3 and 4. Values that differ are a failure.
        let candidate = members.next().unwrap_or_default();
        if members.any(|member| member != candidate) {
            return Err("the response has Content-Length values that differ");
        }
        // Steps 5 and 6. Anything but digits says no length.
        let values =
            values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()).collect();
        if candidate.is_empty() || !candidate.iter().all(u8::is_ascii_digit) {
            return Ok(Self::None(values));
        }
        let length: Option<u64> = str::from_utf8(candidate).ok().and_then(|it| it.parse().ok());
        Ok(match length {
            Some(0..=MAX_LENGTH) => Self::AsHyperReadsIt,
            _ => Self::TooLarge(values),
        })
    }
}

/// The lines of a head, each with its end and with the lines that are folded into it.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.chunk_by(|byte, next| *byte != b'\n' || matches!(next, b' ' | b'\t'))
}

/// The name of a line: what is before its colon, without the spaces before that.
fn name_of(line: &[u8]) -> &[u8] {
    let mut name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    while let [before @ .., b' ' | b'\t'] = name {
        name = before;
    }
    name
}

fn is_content_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length")
}

/// The value of a line. The end of a folded line is a space.
fn value_of(line: &[u8]) -> Vec<u8> {
    let colon = line.iter().position(|byte| *byte == b':').map_or(line.len(), |at| at + 1);
    let value = line[colon..].iter().filter(|byte| **byte != b'\r');
    let value: Vec<_> = value.map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    trimmed(&value).to_vec()
}

/// [Get, decode, and split](https://fetch.spec.whatwg.org/#header-value-get-decode-and-split), of a value
/// that is not decoded.
fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let members = value.split(move |byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'\\' if is_quoted => is_escaped = !was_escaped,
            b'"' => is_quoted ^= !was_escaped,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    });
    members.map(trimmed)
}

/// Without the spaces and tabs around.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A control byte that is neither a tab nor part of the end of a line.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n')
}

fn has_lone_cr_or_nul(head: &[u8]) -> bool {
    head.contains(&0)
        || head
            .iter()
            .zip(head[1..].iter().chain(&[0]))
            .any(|pair| pair.0 == &b'\r' && pair.1 != &b'\n')
}

/// Writes a `Location` line. The URL parser drops control bytes and spaces at both ends of a URL, and
/// percent-encodes control bytes within.
fn write_location(line: &[u8], written: &mut Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
    let is_visible = |byte: &u8| *byte > b' ';
    let first =
        line.iter().skip(colon + 1).position(is_visible).map_or(line.len(), |at| colon + 1 + at);
    let last = line.iter().rposition(is_visible).unwrap_or(0);
    for (at, byte) in line.iter().enumerate() {
        if !is_control(*byte) {
            written.push(*byte);
        } else if (first..=last).contains(&at) {
            written.extend(format!("%{byte:02X}").into_bytes());
        } else {
            written.push(b' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn rewritten(head: &str) -> String {
        match read_head(head.as_bytes()) {
            ReadHead::Rewritten { head, .. } => String::from_utf8(head).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn usual_head_is_left_as_it_is() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nLocation: /x\r\n\r\n",
            "HTTP/1.0 200\nA : b\n c\n\tno colon\n\n",
            "HTTP/1.1 200 \u{e4}\r\nTransfer-Encoding: x\r\nContent-Length: 1, 2\r\n\r\n",
            // hyper refuses these.
            "HTTP/1.7 200 OK\r\nContent-Length: 1\r, 2\r\n\r\n",
            "HTTP/1.7 200 OK\r\nContent-Length: 1\0, 2\r\n\r\n",
        ] {
            assert_eq!(read_head(head.as_bytes()), ReadHead::AsItIs, "{head:?}");
        }
    }

    #[test]
    fn only_strange_lines_are_rewritten() {
        assert_eq!(
            rewritten(
                "HTTP/1.3 302 a\u{1}b\r\nA : b\r\n c\r\nLocation: \u{1}/\u{1}b\r\n \u{1}\r\n\
                 X: \u{1}\r\nContent-Length: 5\r\n\r\n"
            ),
            "HTTP/1.1 302 a b\r\nA : b\r\n c\r\nLocation:  /%01b\r\n  \r\n\
             X: \u{1}\r\nContent-Length: 5\r\n\r\n"
        );
        assert_eq!(
            rewritten("HTTP/1.1 200 OK\nContent-length : 5s\n\t\nA: b\ncontent-Length: 5s\n\n"),
            "HTTP/1.1 200 OK\nA: b\n\n"
        );
        assert_eq!(
            rewritten("HTTP/1.1 200 OK\nContent-Length: 99999999999999999999\nA: b\n\n"),
            "HTTP/1.1 200 OK\nA: b\nContent-Length: 18446744073709551613\r\n\n"
        );
    }

    #[test]
    fn interim_head_is_known_by_its_status() {
        for (line, is) in [
            ("HTTP/1.1 100", true),
            ("HTTP/1.1 103 Early Hints", true),
            ("HTTP/1.9 199 ", true),
            ("HTTP/1.1 101 Switching Protocols", false),
            ("HTTP/1.1 200 OK", false),
            ("HTTP/1.1 1000 OK", false),
            ("HTTP/1.1", false),
        ] {
            assert_eq!(is_interim(format!("{line}\r\n\r\n").as_bytes()), is, "{line}");
        }
    }

    proptest! {
        #[test]
        fn rewritten_head_is_not_rewritten_again(
            text in vec(
                prop_oneof![
                    "HTTP/1\\.[0-9] 1?[0-9][0-9] ?", "(?i)content-length ?: ?", "(?i)location ?:",
                    "\r?\n[ \t]?", "transfer-encoding: ", "[0-9]{1,21}[,\"]?", "[\0-\x7f]{1,3}",
                ],
                0..20,
            ),
            name in prop_oneof![Just(0), Just(MAX_NAME + 1)],
        ) {
            let head = ["HTTP/1.1 200\n", &"a".repeat(name), &text.concat(), "\r\n\r\n"].concat();
            if let ReadHead::Rewritten { head, .. } = read_head(head.as_bytes()) {
                match read_head(&head) {
                    ReadHead::AsItIs => {}
                    again => prop_assert_eq!(
                        again,
                        ReadHead::Rewritten { head, content_lengths: None }
                    ),
                }
            }
        }
    }
}
