//! [Handle content codings](https://fetch.spec.whatwg.org/#handle-content-codings): decodes a response's body while it is
//! read.

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
    error::NetworkError,
    headers::extract::extract_tokens,
    host::{BodyStream, ResponseBody},
};

/// The size of the largest decoded chunk, in bytes.
///
/// A chunk is decoded only when the reader asks for it. So a small encoded body that decodes to a huge one never fills
/// the memory.
const CHUNK: usize = 16_384;

/// How often one poll may decode or read without getting a decoded byte.
///
/// A long encoded body may decode to nothing, and so may a body with several codings. After this many attempts the
/// poll returns, so that other futures get their turn.
const MAX_STEPS: usize = 4;

/// The most codings of one body. A body with more is not decoded.
const MAX_CODINGS: usize = 5;

/// The base-2 logarithm of the largest zstd window in bytes: 8 MiB, the limit of
/// [RFC 9659](https://www.rfc-editor.org/rfc/rfc9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// [Handle content codings](https://fetch.spec.whatwg.org/#handle-content-codings): returns a body that decodes `body` by
/// the `Content-Encoding` of `headers`.
pub(super) fn handle_content_codings(headers: &HeaderMap, body: ResponseBody) -> ResponseBody {
    let Ok(Some(names)) = extract_tokens(headers, &CONTENT_ENCODING) else { return body };
    let codings: Option<Vec<_>> = names.iter().map(|name| Coding::of(name)).collect();
    match codings {
        // Step 2. The server applied the last coding last, so it is decoded first.
        Some(codings) if codings.len() <= MAX_CODINGS => codings
            .into_iter()
            .rev()
            .fold(body, |body, coding| Box::pin(Decoded::new(coding, body))),
        // Step 1.
        _ => body,
    }
}

/// A content coding.
#[derive(Clone, Copy)]
enum Coding {
    Brotli,
    Deflate,
    Gzip,
    Zstd,
}

impl Coding {
    /// The coding with this name, or `None` if it is unknown.
    fn of(name: &str) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            "br" => Some(Self::Brotli),
            "deflate" => Some(Self::Deflate),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Whether `byte`, the first after the end of the encoded data, begins more encoded data.
    ///
    /// After a gzip member another one may follow
    /// ([RFC 1952, section 2.2](https://www.rfc-editor.org/rfc/rfc1952#page-5)), and after a zstd frame another frame or a
    /// skippable frame ([RFC 8878, section 3](https://www.rfc-editor.org/rfc/rfc8878#section-3)).
    fn goes_on_with(self, byte: u8) -> bool {
        match self {
            Self::Brotli | Self::Deflate => false,
            Self::Gzip => byte == 0x1F,
            Self::Zstd => matches!(byte, 0x28 | 0x50..=0x5F),
        }
    }

    /// Whether encoded data that begins with `byte` needs a window of up to 1 GiB. The decoder would allow that, although it
    /// is not a part of the standard ([RFC 7932, section 9.1](https://www.rfc-editor.org/rfc/rfc7932#section-9.1)).
    fn has_large_window(self, byte: u8) -> bool {
        matches!(self, Self::Brotli) && byte & 0x7F == 0x11
    }

    /// A new decoder for encoded data that begins with `first_byte`.
    fn decoder(self, first_byte: u8) -> Box<dyn DecodeV2 + Send> {
        match self {
            Self::Brotli => Box::new(BrotliDecoder::new()),
            // NB: "deflate" data of HTTP begins with a zlib header. Some servers leave the header out, and every browser
            // accepts that.
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

/// A body with one coding removed.
struct Decoded {
    encoded: ResponseBody,
    /// How many bytes of `encoded` have been read.
    encoded_size: u64,
    /// The bytes that were read and are not decoded yet.
    chunk: Bytes,
    coding: Coding,
    state: State,
}

enum State {
    /// No byte has been read. A body that ends here is empty, whatever its coding.
    Empty,
    /// The decoder is at work.
    Decoding {
        decoder: Box<dyn DecodeV2 + Send>,
        /// Whether the decoder filled its last output chunk, and so may have more output without more input.
        is_full: bool,
        /// Whether the encoded body has ended.
        is_last: bool,
    },
    /// The encoded data has ended. The next byte decides whether more of it follows.
    Ended,
    /// Bytes that follow the encoded data are read and dropped, so that the connection can be reused.
    Trailing,
    /// The body has ended or failed.
    Over,
}

impl Decoded {
    fn new(coding: Coding, encoded: ResponseBody) -> Self {
        Self { encoded, encoded_size: 0, chunk: Bytes::new(), coding, state: State::Empty }
    }

    /// Sets the state for the bytes in `chunk` if they are the first ones, or the first after the end of encoded data.
    fn begin(&mut self) -> io::Result<()> {
        let Some(&first) = self.chunk.first() else { return Ok(()) };
        match self.state {
            State::Ended if !self.coding.goes_on_with(first) => self.state = State::Trailing,
            State::Empty if self.coding.has_large_window(first) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a large window"));
            }
            State::Empty | State::Ended => {
                let decoder = self.coding.decoder(first);
                self.state = State::Decoding { decoder, is_full: false, is_last: false };
            }
            State::Decoding { .. } | State::Trailing | State::Over => {}
        }
        if let State::Trailing = self.state {
            self.chunk.clear();
        }
        Ok(())
    }

    /// Decodes the bytes in `chunk`, up to one full output chunk.
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
            // The decoder may only ask for more input. That is not an error yet.
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
            let begun = this.begin();
            let has_work = match this.state {
                State::Decoding { is_full, is_last, .. } => {
                    is_full || is_last || !this.chunk.is_empty()
                }
                _ => begun.is_err(),
            };
            if has_work {
                match begun.and_then(|()| this.decode()) {
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
mod tests;
