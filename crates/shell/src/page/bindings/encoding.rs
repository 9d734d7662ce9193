//! The native functions of `TextEncoder` and `TextDecoder`, for UTF-8 only, of `atob()`, and of the encodings of forms.

use data_url::forgiving_base64;
use encoding_rs::{Encoding, UTF_8};
use rquickjs::{ArrayBuffer, Ctx, Function, Object};

use super::{buffer, bytes_from_base64};

pub(super) fn install(native: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    native.set("encodeUtf8", Function::new(ctx.clone(), encode_utf8)?)?;
    native.set("encode", Function::new(ctx.clone(), encode)?)?;
    native.set("outputEncoding", Function::new(ctx.clone(), output_encoding)?)?;
    native.set("decode", Function::new(ctx.clone(), decode)?)?;
    native.set("decodeUtf8", Function::new(ctx.clone(), decode_utf8)?)?;
    native.set("decodeBase64", Function::new(ctx.clone(), decode_base64)?)?;
    native.set("incompleteUtf8", Function::new(ctx.clone(), incomplete_utf8)?)
}

fn encode_utf8(ctx: Ctx<'_>, text: String) -> rquickjs::Result<ArrayBuffer<'_>> {
    buffer(&ctx, text.into_bytes())
}

/// [Decodes](https://encoding.spec.whatwg.org/#decode) bytes by their byte order mark, else by the encoding with this label,
/// else as UTF-8.
fn decode(ctx: Ctx<'_>, base64: String, label: String) -> rquickjs::Result<String> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    let encoding = Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8);
    Ok(encoding.decode(&bytes).0.into_owned())
}

/// [UTF-8 decode without BOM](https://encoding.spec.whatwg.org/#utf-8-decode-without-bom). If `fatal` is true, it returns
/// `None` for invalid bytes (`UTF-8 decode without BOM or fail`).
fn decode_utf8(ctx: Ctx<'_>, base64: String, fatal: bool) -> rquickjs::Result<Option<String>> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) if fatal => None,
        Err(error) => Some(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    })
}

/// [Forgiving-base64 decode](https://infra.spec.whatwg.org/#forgiving-base64-decode) to a string with one character for
/// each byte. `None` if `data` is not base64.
fn decode_base64(data: String) -> Option<String> {
    let bytes = forgiving_base64::decode_to_vec(data.as_bytes()).ok()?;
    Some(bytes.into_iter().map(char::from).collect())
}

/// [Encodes](https://encoding.spec.whatwg.org/#encode) `text` in the encoding with this name, and writes a character that
/// the encoding does not have as a character reference (error mode "html").
fn encode(ctx: Ctx<'_>, text: String, encoding: String) -> rquickjs::Result<ArrayBuffer<'_>> {
    let encoding = Encoding::for_label(encoding.as_bytes()).unwrap_or(UTF_8);
    buffer(&ctx, encoding.encode(&text).0.into_owned())
}

/// The [output encoding](https://encoding.spec.whatwg.org/#get-an-output-encoding) of the encoding with this label, if
/// there is one.
fn output_encoding(label: String) -> Option<&'static str> {
    Some(Encoding::for_label(label.as_bytes())?.output_encoding().name())
}

/// How many bytes at the end are an incomplete UTF-8 sequence, which the next chunk may complete.
fn incomplete_utf8(ctx: Ctx<'_>, base64: String) -> rquickjs::Result<usize> {
    let bytes = bytes_from_base64(&ctx, &base64)?;
    let last = bytes.utf8_chunks().last();
    let Some(tail) = last.map(|chunk| chunk.invalid().to_vec()) else { return Ok(0) };
    let is_incomplete = std::str::from_utf8(&tail).is_err_and(|error| error.error_len().is_none());
    Ok(if is_incomplete { tail.len() } else { 0 })
}
