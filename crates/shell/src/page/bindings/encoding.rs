//! `TextEncoder` and `TextDecoder`, UTF-8 only, and `atob`.

use data_url::forgiving_base64;
use rquickjs::{ArrayBuffer, Ctx, Function, Object};

use super::{buffer, bytes_from_base64};

pub(super) fn install(native: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    native.set("encodeUtf8", Function::new(ctx.clone(), encode_utf8)?)?;
    native.set("decodeUtf8", Function::new(ctx.clone(), decode_utf8)?)?;
    native.set("decodeBase64", Function::new(ctx.clone(), decode_base64)?)?;
    native.set("incompleteUtf8", Function::new(ctx.clone(), incomplete_utf8)?)
}

fn encode_utf8(ctx: Ctx<'_>, text: String) -> rquickjs::Result<ArrayBuffer<'_>> {
    buffer(&ctx, text.into_bytes())
}

/// [UTF-8 decode without BOM](https://encoding.spec.whatwg.org/#utf-8-decode-without-bom), `or fail`
/// if `fatal`: then `None` says that it did.
fn decode_utf8(ctx: Ctx<'_>, base64: String, fatal: bool) -> rquickjs::Result<Option<String>> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) if fatal => None,
        Err(error) => Some(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    })
}

/// [Forgiving-base64 decode](https://infra.spec.whatwg.org/#forgiving-base64-decode) to a string
/// with a character for each byte. `None` for failure.
fn decode_base64(data: String) -> Option<String> {
    let bytes = forgiving_base64::decode_to_vec(data.as_bytes()).ok()?;
    Some(bytes.into_iter().map(char::from).collect())
}

/// How many of the last bytes are the beginning of a sequence that may go on in the next chunk.
fn incomplete_utf8(ctx: Ctx<'_>, base64: String) -> rquickjs::Result<usize> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    let last = bytes.utf8_chunks().last();
    let Some(tail) = last.map(|chunk| chunk.invalid().to_vec()) else { return Ok(0) };
    let is_incomplete = std::str::from_utf8(&tail).is_err_and(|error| error.error_len().is_none());
    Ok(if is_incomplete { tail.len() } else { 0 })
}
