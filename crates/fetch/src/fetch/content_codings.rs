//! [Content codings](https://fetch.spec.whatwg.org/#handle-content-codings) of a response's body, undone as it
//! is read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use compression_codecs::{
    BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
    core::util::{PartialBuffer, WriteBuffer},
    zstd::params::DParameter,
};
use http::{HeaderMap, header::CONTENT_ENCODING};

use crate::{
    NetworkError,
    headers::extract::extract_tokens,
    host::{BodyStream, ResponseBody},
};

/// The most bytes of a chunk. A reader who takes no chunk has none made: what a small body grows to stays
/// with the sender.
const CHUNK: usize = 16_384;

/// How many steps are taken in one go without anything to show for them. A body may be one that nothing comes
/// of, and such ones may lie over each other; whatever else there is to do must not wait for its end.
const MAX_STEPS: usize = 4;

/// How many codings may lie over each other.
const MAX_CODINGS: usize = 5;

/// The largest window of zstd, 8 MiB as [RFC 9659](https://www.rfc-editor.org/rfc/rfc9659) has it.
const ZSTD_WINDOW_LOG: u32 = 23;

/// [Handle content codings](https://fetch.spec.whatwg.org/#handle-content-codings) of `body`.
pub(super) fn handle_content_codings(headers: &HeaderMap, body: ResponseBody) -> ResponseBody {
    let Ok(Some(names)) = extract_tokens(headers, &CONTENT_ENCODING) else { return body };
    let codings: Option<Vec<_>> = names.iter().map(|name| Coding::of(name)).collect();
    match codings {
        // Step 2: the last was applied last.
        Some(codings) if codings.len() <= MAX_CODINGS => codings
            .into_iter()
            .rev()
            .fold(body, |body, coding| Box::pin(Decoded::new(coding, body))),
        // Step 1.
        _ => body,
    }
}

#[derive(Clone, Copy)]
enum Coding {
    Brotli,
    Deflate,
    Gzip,
    Zstd,
}

impl Coding {
    fn of(name: &str) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            "br" => Some(Self::Brotli),
            "deflate" => Some(Self::Deflate),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Whether more of it may follow where it has ended, and this byte says so: another member of gzip
    /// ([RFC 1952, section 2.2](https://www.rfc-editor.org/rfc/rfc1952#page-5)), or another frame of zstd, one to
    /// be skipped included ([RFC 8878, section 3](https://www.rfc-editor.org/rfc/rfc8878#section-3)).
    fn goes_on_with(self, byte: u8) -> bool {
        match self {
            Self::Brotli | Self::Deflate => false,
            Self::Gzip => byte == 0x1F,
            Self::Zstd => matches!(byte, 0x28 | 0x50..=0x5F),
        }
    }

    fn decoder(self, first_byte: u8) -> Box<dyn DecodeV2 + Send> {
        match self {
            Self::Brotli => Box::new(BrotliDecoder::new()),
            // NB: HTTP's "deflate" has zlib's head. Some servers send none, and every browser copes.
            Self::Deflate if first_byte & 0x0F == 8 => Box::new(ZlibDecoder::new()),
            Self::Deflate => Box::new(DeflateDecoder::new()),
            Self::Gzip => Box::new(GzipDecoder::new()),
            Self::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                Box::new(ZstdDecoder::new_with_params(&[window]))
            }
        }
    }
}

/// A body without its last coding.
struct Decoded {
    encoded: ResponseBody,
    encoded_size: u64,
    /// What has come and is not decoded.
    chunk: Bytes,
    coding: Coding,
    state: State,
}

enum State {
    /// Nothing has come. A body that stays so is empty, whatever its coding.
    Empty,
    Decoding {
        decoder: Box<dyn DecodeV2 + Send>,
        /// Whether there may be more to be had without more bytes.
        is_full: bool,
        /// Whether no more bytes will come.
        is_last: bool,
    },
    /// The coding has ended, unless it goes on.
    Ended,
    /// What follows is passed over, so that the connection can be used again.
    Trailing,
    Over,
}

impl Decoded {
    fn new(coding: Coding, encoded: ResponseBody) -> Self {
        Self { encoded, encoded_size: 0, chunk: Bytes::new(), coding, state: State::Empty }
    }

    /// Finds out what the bytes that have come are.
    fn begin(&mut self) {
        let Some(&first) = self.chunk.first() else { return };
        match self.state {
            State::Ended if !self.coding.goes_on_with(first) => self.state = State::Trailing,
            State::Empty | State::Ended => {
                let decoder = self.coding.decoder(first);
                self.state = State::Decoding { decoder, is_full: false, is_last: false };
            }
            State::Decoding { .. } | State::Trailing | State::Over => {}
        }
        if let State::Trailing = self.state {
            self.chunk.clear();
        }
    }

    /// Decodes what has come, as much as fits into a chunk.
    fn decode(&mut self) -> io::Result<Bytes> {
        let State::Decoding { decoder, is_full, is_last } = &mut self.state else {
            return Ok(Bytes::new());
        };
        let mut buffer = [0; CHUNK];
        let mut output = WriteBuffer::new_initialized(&mut buffer);
        let mut input = PartialBuffer::new(&*self.chunk);
        let result = if *is_last && input.unwritten().is_empty() {
            decoder.finish(&mut output)
        } else if input.unwritten().is_empty() {
            // That it has nothing to go on with is no error yet.
            Ok(decoder.decode(&mut input, &mut output).unwrap_or_default())
        } else {
            decoder.decode(&mut input, &mut output)
        };
        let (taken, decoded) = (input.written_len(), Bytes::copy_from_slice(output.written()));
        let had_input = !self.chunk.is_empty();
        *is_full = decoded.len() == CHUNK;
        self.chunk.advance(taken);
        if result? {
            self.state = State::Ended;
        } else if decoded.is_empty() && taken == 0 && (had_input || *is_last) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(decoded)
    }
}

impl BodyStream for Decoded {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        let this = &mut *self;
        for _ in 0..MAX_STEPS {
            if let State::Over = this.state {
                return Poll::Ready(None);
            }
            this.begin();
            if let State::Decoding { is_full, is_last, .. } = this.state
                && (is_full || is_last || !this.chunk.is_empty())
            {
                match this.decode() {
                    Ok(decoded) if decoded.is_empty() => continue,
                    Ok(decoded) => return Poll::Ready(Some(Ok(decoded))),
                    Err(error) => {
                        this.state = State::Over;
                        let error = NetworkError::ContentCoding(error.into());
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
            match (ready!(this.encoded.as_mut().poll_chunk(cx)), &mut this.state) {
                (Some(Ok(chunk)), _) => {
                    this.encoded_size += chunk.len() as u64;
                    this.chunk = chunk;
                }
                (None, State::Decoding { is_last, .. }) => *is_last = true,
                (end, _) => {
                    this.state = State::Over;
                    return Poll::Ready(end);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn encoded_size(&self) -> Option<u64> {
        Some(self.encoded.encoded_size().unwrap_or(self.encoded_size))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        task::{Wake, Waker},
    };

    use compression_codecs::{
        BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
        brotli::params::EncoderParams, core::Level,
    };
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// Whether it was to be polled again.
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    /// A body that comes in these chunks.
    struct Chunks(VecDeque<Bytes>);

    impl BodyStream for Chunks {
        fn poll_chunk(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes, NetworkError>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn encode(name: &str, plain: &[u8]) -> Bytes {
        let level = Level::Default;
        let mut encoder: Box<dyn EncodeV2> = match name {
            "br" => Box::new(BrotliEncoder::new(EncoderParams::default())),
            "deflate" => Box::new(ZlibEncoder::new(level.into())),
            "raw deflate" => Box::new(DeflateEncoder::new(level.into())),
            "gzip" => Box::new(GzipEncoder::new(level.into())),
            "zstd" => Box::new(ZstdEncoder::new(3)),
            _ => unreachable!(),
        };
        let mut buffer = vec![0; plain.len() + 65_536];
        let mut output = WriteBuffer::new_initialized(&mut buffer);
        let mut input = PartialBuffer::new(plain);
        while !input.unwritten().is_empty() {
            encoder.encode(&mut input, &mut output).unwrap();
        }
        assert!(encoder.finish(&mut output).unwrap());
        Bytes::copy_from_slice(output.written())
    }

    fn body(content_encoding: &str, chunks: impl IntoIterator<Item = Bytes>) -> ResponseBody {
        let value = HeaderValue::from_str(content_encoding).unwrap();
        let headers = [(CONTENT_ENCODING, value)].into_iter().collect();
        handle_content_codings(&headers, Box::pin(Chunks(chunks.into_iter().collect())))
    }

    fn next(body: &mut ResponseBody) -> Option<Result<Bytes, NetworkError>> {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(next) = body.as_mut().poll_chunk(&mut context) {
                return next;
            }
            assert!(woken.0.swap(false, Relaxed), "there is nothing to wait for");
        }
    }

    fn read(mut body: ResponseBody) -> Result<Vec<u8>, NetworkError> {
        let mut all = Vec::new();
        while let Some(chunk) = next(&mut body) {
            let chunk = chunk?;
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK, "{}", chunk.len());
            all.extend_from_slice(&chunk);
        }
        assert!(next(&mut body).is_none());
        Ok(all)
    }

    const CODINGS: [(&str, &str); 5] = [
        ("br", "br"),
        ("deflate", "deflate"),
        ("raw deflate", "deflate"),
        ("gzip", "gzip"),
        ("zstd", "zstd"),
    ];

    #[test]
    fn each_coding_is_undone_however_it_is_cut() {
        let mut plain: Vec<u8> =
            (0..50_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        plain.resize(100_000, 0);
        for (coding, name) in CODINGS {
            let encoded = encode(coding, &plain);
            assert!(encoded.len() < plain.len());
            for size in [1, 1_000, usize::MAX] {
                let chunks = encoded.chunks(size.min(encoded.len())).map(Bytes::copy_from_slice);
                let mut decoded = body(name, chunks);
                let mut all = Vec::new();
                while let Some(chunk) = next(&mut decoded) {
                    all.extend_from_slice(&chunk.unwrap());
                }
                assert!(all == plain, "{coding} in pieces of {size}");
                assert_eq!(decoded.encoded_size(), Some(encoded.len() as u64));
            }
        }
    }

    #[test]
    fn what_has_come_is_given_before_there_is_more() {
        let mut buffer = [0; 1_000];
        let mut output = WriteBuffer::new_initialized(&mut buffer);
        let mut encoder = GzipEncoder::new(Level::Default.into());
        let event = b"data: 1\n\n";
        EncodeV2::encode(&mut encoder, &mut PartialBuffer::new(&event[..]), &mut output).unwrap();
        EncodeV2::flush(&mut encoder, &mut output).unwrap();
        let mut body = body("gzip", [Bytes::copy_from_slice(output.written())]);
        assert_eq!(next(&mut body), Some(Ok(Bytes::from_static(event))));
        assert!(matches!(next(&mut body), Some(Err(NetworkError::ContentCoding(_)))));
        assert_eq!(next(&mut body), None);
    }

    #[test]
    fn codings_lie_over_each_other_and_unknown_ones_are_left_alone() {
        let gzip = encode("gzip", b"x");
        let both = encode("br", &gzip);
        let read_of = |names: &str, bytes: &Bytes| read(body(names, [bytes.clone()])).unwrap();
        assert_eq!(read_of("gzip, br", &both), b"x");
        assert_eq!(read_of("GZip", &gzip), b"x");
        assert_eq!(read_of("x-gzip", &gzip), b"x");
        for names in ["", "identity", "gzip, foo", "g zip", "gzip, gzip, gzip, gzip, gzip, gzip"] {
            assert_eq!(read_of(names, &gzip), gzip, "{names}");
        }
    }

    #[test]
    fn an_empty_body_has_no_coding() {
        for (_, name) in CODINGS {
            assert_eq!(read(body(name, [])), Ok(Vec::new()));
            assert_eq!(read(body(name, [Bytes::new(), Bytes::new()])), Ok(Vec::new()));
        }
        for (coding, name) in CODINGS {
            assert_eq!(read(body(name, [encode(coding, b"")])), Ok(Vec::new()), "{coding}");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_coding_at_all_is_an_error() {
        for (coding, name) in CODINGS {
            let encoded = encode(coding, &[b'x'; 5_000]);
            for length in 1..encoded.len() {
                let result = read(body(name, [encoded.slice(..length)]));
                assert!(matches!(result, Err(NetworkError::ContentCoding(_))), "{coding} {length}");
            }
        }
        for name in ["gzip", "zstd"] {
            assert!(read(body(name, [Bytes::from_static(b"not encoded")])).is_err());
        }
    }

    #[test]
    fn what_follows_the_end_is_passed_over_and_read() {
        for (coding, name) in CODINGS {
            let encoded = encode(coding, b"x");
            let trailing = Bytes::from_static(b"\0\0\0");
            let together = Bytes::from([&encoded[..], &trailing].concat());
            let mut body = body(name, [together, trailing]);
            assert_eq!(next(&mut body), Some(Ok(Bytes::from_static(b"x"))), "{coding}");
            assert_eq!(next(&mut body), None, "{coding}");
            assert_eq!(body.encoded_size(), Some(encoded.len() as u64 + 6), "{coding}");
        }
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let skippable = Bytes::from_static(b"\x5F\x2A\x4D\x18\x03\0\0\0abc");
        for (name, between) in [("gzip", encode("gzip", b"")), ("zstd", skippable)] {
            let parts = [between.clone(), encode(name, b"x"), between, encode(name, b"y")];
            assert_eq!(read(body(name, parts.clone())).unwrap(), b"xy", "{name}");
            let all = parts.concat();
            for size in [1, all.len()] {
                let chunks = all.chunks(size).map(Bytes::copy_from_slice);
                assert_eq!(read(body(name, chunks)).unwrap(), b"xy", "{name} in pieces of {size}");
            }
            assert!(read(body(name, [Bytes::copy_from_slice(&all[..all.len() - 1])])).is_err());
            let trailing = Bytes::from([&all, &b"\0"[..], &all].concat());
            assert_eq!(read(body(name, [trailing])).unwrap(), b"xy", "{name}");
        }
    }

    #[test]
    fn a_body_that_nothing_comes_of_lets_others_have_their_turn() {
        // Blocks of deflate that are empty, and then no more.
        let nothing = encode("deflate", &b"\0\0\0\xFF\xFF".repeat(1 << 20));
        let codings = "deflate, deflate";
        let mut body = body(codings, [nothing.clone()]);
        let mut context = Context::from_waker(Waker::noop());
        assert!(body.as_mut().poll_chunk(&mut context).is_pending());
        assert!(matches!(next(&mut body), Some(Err(NetworkError::ContentCoding(_)))));
    }

    #[test]
    fn a_bomb_grows_no_faster_than_it_is_read() {
        let zeros = vec![0; 4 << 20];
        for (coding, name) in CODINGS {
            let encoded = encode(coding, &zeros);
            let pieces: Vec<_> = encoded.chunks(100).map(Bytes::copy_from_slice).collect();
            let mut body = body(name, pieces);
            let chunk = next(&mut body).unwrap().unwrap();
            assert!(chunk.len() <= CHUNK);
            // A block's head may be longer than a piece.
            assert!(body.encoded_size() <= Some(1_000), "{coding}: {:?}", body.encoded_size());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_body_or_an_error(bytes: Vec<u8>, at in 0..5_usize, length in 1..9_usize) {
            let _ = read(body(CODINGS[at].1, bytes.chunks(length).map(Bytes::copy_from_slice)));
        }
    }
}
