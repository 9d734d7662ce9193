//! The native functions of `CompressionStream` and `DecompressionStream`.

use std::io::{self, Read};

use flate2::{
    Compression,
    read::{DeflateDecoder, DeflateEncoder, GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder},
};
use rquickjs::{ArrayBuffer, Ctx, Function, Object};

use super::{buffer, bytes_from_base64};

/// The most bytes that decompressed data may have.
const MAX_DECOMPRESSED: u64 = 64 << 20;

pub(super) fn install(native: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    native.set("compress", Function::new(ctx.clone(), compress)?)?;
    native.set("decompress", Function::new(ctx.clone(), decompress)?)
}

/// Compresses bytes. `format` is a [supported format](https://compression.spec.whatwg.org/#supported-formats).
fn compress(
    ctx: Ctx<'_>,
    base64: String,
    format: String,
) -> rquickjs::Result<Option<ArrayBuffer<'_>>> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    let (input, level) = (&*bytes, Compression::default());
    let compressed = match format.as_str() {
        "gzip" => read(GzEncoder::new(input, level)),
        "deflate" => read(ZlibEncoder::new(input, level)),
        _ => read(DeflateEncoder::new(input, level)),
    };
    compressed.ok().map(|bytes| buffer(&ctx, bytes)).transpose()
}

/// The inverse of [`compress`]. Returns nothing if the bytes are not valid, or if the result is too large.
///
/// NB: the standard also refuses bytes that follow the compressed data. They are ignored here.
fn decompress(
    ctx: Ctx<'_>,
    base64: String,
    format: String,
) -> rquickjs::Result<Option<ArrayBuffer<'_>>> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    let input = &*bytes;
    let decompressed = match format.as_str() {
        "gzip" => read(GzDecoder::new(input).take(MAX_DECOMPRESSED + 1)),
        "deflate" => read(ZlibDecoder::new(input).take(MAX_DECOMPRESSED + 1)),
        _ => read(DeflateDecoder::new(input).take(MAX_DECOMPRESSED + 1)),
    };
    let decompressed = decompressed.ok().filter(|it| it.len() as u64 <= MAX_DECOMPRESSED);
    decompressed.map(|bytes| buffer(&ctx, bytes)).transpose()
}

fn read(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(bytes)
}
