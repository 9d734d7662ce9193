//! Converts request bodies from the form in which `body.js` passes them.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use rquickjs::{Array, Ctx, Exception, FromJs, Object};

use super::{bare_object, buffer, bytes_from_base64};
use crate::page::{Blob, BodyInit, FormDataEntry, FormDataValue};

/// Converts a body of the form `{ kind, ... }`.
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

/// [Extracts a body](https://fetch.spec.whatwg.org/#concept-bodyinit-extract). Returns `{ bytes, type }`, where the type
/// of a form contains the boundary.
pub(super) fn encode_form_data<'js>(
    ctx: Ctx<'js>,
    packed: Object<'js>,
) -> rquickjs::Result<Object<'js>> {
    let failed = |error: &str| Exception::throw_internal(&ctx, error);
    let (bytes, type_) = body_init(&ctx, &packed)?
        .with_library_body(|body| {
            let extracted = sendbeacon::extract(body).map_err(|error| error.to_string())?;
            let type_ = extracted.content_type.clone();
            let body = extracted.into_body();
            // Bodies of pages are in memory, so reading one ends at once.
            let read = pin!(body.read()).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Ok(bytes)) = read else { return Err("a body not in memory".into()) };
            Ok((bytes, type_))
        })
        .map_err(|error: String| failed(&error))?;
    let object = bare_object(&ctx)?;
    object.set("bytes", buffer(&ctx, bytes.into())?)?;
    object.set("type", type_.as_ref().and_then(|it| it.to_str().ok()))?;
    Ok(object)
}

/// Converts a list of pairs, each of which is a list of two strings.
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

/// The value of a member, or `None` if it is absent or undefined.
fn optional<'js, T: FromJs<'js>>(object: &Object<'js>, name: &str) -> rquickjs::Result<Option<T>> {
    object.get(name)
}
