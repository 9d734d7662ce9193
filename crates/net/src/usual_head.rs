//! Recognises the usual head of an HTTP/1.1 response in one pass.

use memchr::memchr;

use crate::surplus::MAX_HEADERS_OF_HYPER;

/// The longest head to recognise. The name of a header in it is shorter than hyper's limit.
const MAX_USUAL_HEAD: usize = 16 * 1024;

/// The most digits of a `Content-Length` that fit hyper's limit whatever they are.
const MAX_DIGITS: usize = 18;

/// Whether bytes begin with a complete head of a final response that hyper certainly reads as browsers do: it has no more
/// headers than hyper reads, each line ends with CR LF and has neither a control byte nor a line folded into it, and there
/// is at most one `Content-Length`, which has only digits. If false, the head may still be such a one:
/// [`read_head`](crate::response_head::read_head) knows.
pub(crate) fn begins_with_usual_head(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(MAX_USUAL_HEAD)];
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'2'..=b'9', _, _, ..] =
        bytes
    else {
        return false;
    };
    let (mut rest, mut has_length) = (bytes, false);
    // The first line and the empty line are no headers.
    for lines in 1..=MAX_HEADERS_OF_HYPER + 2 {
        let Some(end) = memchr(b'\n', rest) else { return false };
        let [line @ .., b'\r'] = &rest[..end] else { return false };
        rest = &rest[end + 1..];
        match line {
            [] => return control_bytes(&bytes[..bytes.len() - rest.len()]) == 2 * lines,
            [b' ' | b'\t', ..] => return false,
            [b'c' | b'C', ..] if begins_like_content_length(line) => {
                if has_length || !is_plain_content_length(line) {
                    return false;
                }
                has_length = true;
            }
            _ => {}
        }
    }
    false
}

/// How many control bytes there are.
fn control_bytes(bytes: &[u8]) -> usize {
    // NB: the processor counts many bytes at once, but only up to 255.
    let of_chunk =
        |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte.is_ascii_control())).sum::<u8>();
    bytes.chunks(255).map(|chunk| usize::from(of_chunk(chunk))).sum()
}

const CONTENT_LENGTH: &[u8] = b"content-length";

fn begins_like_content_length(line: &[u8]) -> bool {
    line.get(..CONTENT_LENGTH.len()).is_some_and(|name| name.eq_ignore_ascii_case(CONTENT_LENGTH))
}

/// Whether the line is a `Content-Length` of digits.
fn is_plain_content_length(line: &[u8]) -> bool {
    let [b':', value @ ..] = &line[CONTENT_LENGTH.len()..] else { return false };
    let value = value.trim_ascii();
    (1..=MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::response_head::{ReadHead, end_of_head, is_interim, read_head};

    #[test]
    fn the_heads_of_common_servers_are_usual() {
        for head in [
            "HTTP/1.1 204 No Content\r\nServer: nginx/1.22.1\r\nDate: Sun, 29 Nov 2026 22:00:00 GMT\r\n\r\n",
            "HTTP/1.0 200\r\ncontent-length:5\r\nConnection: keep-alive\r\n\r\nbody\n",
            "HTTP/1.1 200 \u{e4}\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(begins_with_usual_head(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn other_heads_are_left_to_the_whole_check() {
        for head in [
            "HTTP/1.1 103\r\n\r\n",
            "HTTP/1.2 200\r\n\r\n",
            "HTTP/1.1 200\n\r\n",
            "HTTP/1.1 200\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200\r\nA: \tb\r\n\r\n",
            "HTTP/1.1 200\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200\r\nContent-Length : 5\r\n\r\n",
            "HTTP/1.1 200\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200\r\nA: b\r\n",
        ] {
            assert!(!begins_with_usual_head(head.as_bytes()), "{head:?}");
        }
        let head = |headers| format!("HTTP/1.1 200\r\n{}\r\n", "a: b\r\n".repeat(headers));
        assert!(begins_with_usual_head(head(MAX_HEADERS_OF_HYPER).as_bytes()));
        assert!(!begins_with_usual_head(head(MAX_HEADERS_OF_HYPER + 1).as_bytes()));
    }

    proptest! {
        #[test]
        fn a_usual_head_is_one_that_hyper_reads_as_browsers_do(
            parts in vec(
                prop_oneof![
                    "HTTP/1\\.[012] [123]04 ?", "(?i)content-length ?: ?[0-9]{0,20}", "\r\n", "\r?\n[ \t]?",
                    "(?i)transfer-encoding: ?", "[ -~]{1,5}", "[\0-\x7f]",
                ],
                0..16,
            ),
        ) {
            let bytes = ["HTTP/1.1 200\r\n", &*parts.concat(), "\r\n\r\n"].concat();
            let bytes = bytes.as_bytes();
            if begins_with_usual_head(bytes) {
                let head = &bytes[..end_of_head(bytes, 0).expect("an end")];
                prop_assert!(!is_interim(head) && read_head(head) == ReadHead::AsItIs);
            }
        }
    }
}
