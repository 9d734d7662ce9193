//! Takes headers out of the head of a response that has more of them than hyper reads.

use http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{EMPTY_HEADER, Header, ParserConfig, Response};
use memchr::memchr_iter;

use crate::response_head::{MAX_HEADERS, MAX_RESPONSE_HEAD};

/// How many headers hyper reads. NB: it can be set to read more, but then allocates for every response.
pub(crate) const MAX_HEADERS_OF_HYPER: usize = 100;

/// A head with more headers than hyper reads, in two parts.
pub(crate) struct SplitHead {
    /// A head with the headers on which the connection depends.
    pub(crate) head: Vec<u8>,
    /// The other headers, in their order.
    pub(crate) surplus: Vec<(HeaderName, HeaderValue)>,
}

impl SplitHead {
    /// Splits a whole head. `None` if it goes to hyper as it is: hyper reads all its headers, or refuses it.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        // A header takes a line at least. The first line and the empty line are no headers.
        let may_have_surplus = memchr_iter(b'\n', head).count() > MAX_HEADERS_OF_HYPER + 2;
        if !may_have_surplus || head.len() > MAX_RESPONSE_HEAD {
            return None;
        }
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = Response::new(&mut headers);
        // hyper parses by the same crate, and is set in the same way.
        ParserConfig::default()
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .parse_response(&mut parsed, head)
            .ok()?;
        let first_line = head.split_inclusive(|byte| *byte == b'\n').next()?;
        let mut split = Self { head: first_line.to_vec(), surplus: Vec::new() };
        for Header { name, value } in &*parsed.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = unfolded(value);
            if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
                let line = [name.as_str().as_bytes(), b": ", &*value, b"\r\n"];
                split.head.extend(line.concat());
            } else {
                split.surplus.push((name, HeaderValue::from_bytes(&value).ok()?));
            }
        }
        split.head.extend(b"\r\n");
        Some(split)
    }
}

/// A value in which each end of a line is a space, as hyper makes it.
fn unfolded(value: &[u8]) -> Vec<u8> {
    let lines: Vec<_> = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    lines.join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[String]) -> String {
        ["HTTP/1.1 200 OK\r\n", &lines.concat(), "\r\n"].concat()
    }

    #[test]
    fn a_head_that_hyper_reads_or_refuses_is_not_split() {
        let line = |at| format!("x-{at}: 1\r\n");
        let hundred: Vec<_> = (0..100).map(line).collect();
        assert!(SplitHead::of(head(&hundred).as_bytes()).is_none());
        let too_many: Vec<_> = (0..=MAX_HEADERS).map(line).collect();
        assert!(SplitHead::of(head(&too_many).as_bytes()).is_none());
        let with_nul = head(&hundred).replace("x-7: 1", "x-7: \0\r\nx-8: 1");
        assert!(SplitHead::of(with_nul.as_bytes()).is_none());
    }

    #[test]
    fn only_headers_of_the_connection_stay_in_a_head_that_is_split() {
        let mut lines: Vec<_> = (0..100).map(|at| format!("x-{}: {at}\r\n", at % 50)).collect();
        lines.insert(7, "Content-length : 5\r\nFolded : a \r\n\t b\r\nno colon\r\n".to_owned());
        let split = SplitHead::of(head(&lines).as_bytes()).expect("more than hyper reads");
        assert_eq!(split.head, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(split.surplus.len(), 101);
        assert_eq!(split.surplus[7], ("folded".parse().unwrap(), HeaderValue::from_static("a b")));
        assert_eq!(split.surplus[57], ("x-6".parse().unwrap(), HeaderValue::from_static("56")));
    }
}
