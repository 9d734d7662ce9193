//! Tests of the content codings.

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

/// A waker that records whether it was called.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// A body of these chunks.
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
        assert!(woken.0.swap(false, Relaxed), "pending without a wake-up");
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
fn each_coding_is_decoded_from_chunks_of_any_size() {
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
fn decoded_bytes_are_returned_before_the_next_chunk_arrives() {
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
fn several_codings_are_decoded_and_unknown_ones_are_not() {
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
fn an_empty_body_is_not_decoded() {
    for (_, name) in CODINGS {
        assert_eq!(read(body(name, [])), Ok(Vec::new()));
        assert_eq!(read(body(name, [Bytes::new(), Bytes::new()])), Ok(Vec::new()));
    }
    for (coding, name) in CODINGS {
        assert_eq!(read(body(name, [encode(coding, b"")])), Ok(Vec::new()), "{coding}");
    }
}

#[test]
fn truncated_or_unencoded_data_is_an_error() {
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
fn brotli_with_a_large_window_is_an_error() {
    // The first byte says so, and the second one that the window has 2^30 bytes.
    let error = read(body("br", [Bytes::from_static(&[0x11, 30, 0, 0])])).unwrap_err();
    assert!(matches!(&error, NetworkError::ContentCoding(it) if it.to_string().contains("window")));
}

#[test]
fn bytes_after_the_encoded_data_are_read_and_dropped() {
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
fn gzip_members_and_zstd_frames_may_follow_each_other() {
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
fn a_body_that_decodes_to_nothing_lets_other_futures_run() {
    // Empty deflate blocks, and no end of the data.
    let nothing = encode("deflate", &b"\0\0\0\xFF\xFF".repeat(1 << 20));
    let codings = "deflate, deflate";
    let mut body = body(codings, [nothing.clone()]);
    let mut context = Context::from_waker(Waker::noop());
    assert!(body.as_mut().poll_chunk(&mut context).is_pending());
    assert!(matches!(next(&mut body), Some(Err(NetworkError::ContentCoding(_)))));
}

#[test]
fn a_decompression_bomb_grows_no_faster_than_it_is_read() {
    let zeros = vec![0; 4 << 20];
    for (coding, name) in CODINGS {
        let encoded = encode(coding, &zeros);
        let pieces: Vec<_> = encoded.chunks(100).map(Bytes::copy_from_slice).collect();
        let mut body = body(name, pieces);
        let chunk = next(&mut body).unwrap().unwrap();
        assert!(chunk.len() <= CHUNK);
        // NB: the header of a block may be longer than one piece.
        assert!(body.encoded_size() <= Some(1_000), "{coding}: {:?}", body.encoded_size());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_a_body_or_an_error(bytes: Vec<u8>, at in 0..5_usize, length in 1..9_usize) {
        let _ = read(body(CODINGS[at].1, bytes.chunks(length).map(Bytes::copy_from_slice)));
    }
}
