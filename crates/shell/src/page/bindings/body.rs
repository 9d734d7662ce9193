//! Bodies on their way out, as `body.js` packs them.

use bytes::Bytes;
use rquickjs::{Array, Ctx, Exception, FromJs, Object};

use super::bytes_from_base64;
use crate::page::{Blob, BodyInit, FormDataEntry, FormDataValue};

/// Unpacks `{ kind, ... }`.
pub(super) fn body_init(ctx: &Ctx<'_>, packed: &Object<'_>) -> rquickjs::Result<BodyInit> {
    let kind: String = packed.get("kind")?;
    Ok(match kind.as_str() {
        "text" => BodyInit::Text(packed.get("text")?),
        "bytes" => BodyInit::Bytes(bytes(ctx, &packed.get::<_, String>("base64")?)?),
        "blob" => BodyInit::Blob(blob(ctx, packed)?),
        "formData" => BodyInit::FormData(
            packed
                .get::<_, Array>("entries")?
                .iter::<Object>()
                .map(|entry| form_data_entry(ctx, &entry?))
                .collect::<rquickjs::Result<_>>()?,
        ),
        "urlSearchParams" => BodyInit::UrlSearchParams(pairs(&packed.get("list")?)?),
        "stream" => BodyInit::ReadableStream,
        _ => return Err(Exception::throw_internal(ctx, "a body of no known kind")),
    })
}

/// A list of pairs, packed as a list of lists of two.
pub(super) fn pairs(list: &Array<'_>) -> rquickjs::Result<Vec<(String, String)>> {
    list.iter::<Array>()
        .map(|pair| {
            let pair = pair?;
            Ok((pair.get(0)?, pair.get(1)?))
        })
        .collect()
}

fn form_data_entry(ctx: &Ctx<'_>, entry: &Object<'_>) -> rquickjs::Result<FormDataEntry> {
    let name = entry.get("name")?;
    let value = match optional(entry, "text")? {
        Some(text) => FormDataValue::String(text),
        None => FormDataValue::File { blob: blob(ctx, entry)?, filename: entry.get("filename")? },
    };
    Ok(FormDataEntry { name, value })
}

fn blob(ctx: &Ctx<'_>, packed: &Object<'_>) -> rquickjs::Result<Blob> {
    let base64: String = packed.get("base64")?;
    Ok(Blob { bytes: bytes(ctx, &base64)?, type_: packed.get("type")? })
}

fn bytes(ctx: &Ctx<'_>, base64: &str) -> rquickjs::Result<Bytes> {
    bytes_from_base64(ctx, base64).map(Bytes::from)
}

/// `None` for a member that is absent or undefined.
fn optional<'js, T: FromJs<'js>>(object: &Object<'js>, name: &str) -> rquickjs::Result<Option<T>> {
    object.get(name)
}
