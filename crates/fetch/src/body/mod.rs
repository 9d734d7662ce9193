//! [Bodies](https://fetch.spec.whatwg.org/#bodies), and their extraction from the values that script passes.

mod blob;
mod form_data;
mod segments;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;

use self::{
    blob::BlobData,
    form_data::Boundary,
    segments::{Segment, Segments},
};
pub use self::{
    blob::{Blob, BlobSource},
    form_data::{FormDataEntry, FormDataValue},
    segments::Body,
};
use crate::{error::TypeError, host::Random};

/// [`BodyInit`](https://fetch.spec.whatwg.org/#bodyinit): a value that script may pass as a body. The engine
/// has done the Web IDL conversion.
///
/// ```
/// use sendbeacon_fetch::{Blob, BodyInit, FormDataEntry, FormDataValue};
///
/// let text = BodyInit::from("a string");
/// let bytes = BodyInit::from(&[1, 2, 3][..]);
/// let blob = Blob::new("{}", "application/json");
/// let json = BodyInit::from(&blob);
/// let value = FormDataValue::String("value".to_owned());
/// let entries = [FormDataEntry { name: "name".to_owned(), value }];
/// let form = BodyInit::from(&entries[..]);
/// # drop((text, bytes, json, form));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BodyInit<'a> {
    /// A `USVString`.
    String(Cow<'a, str>),
    /// The bytes of a `BufferSource`, copied or borrowed.
    BufferSource(Cow<'a, [u8]>),
    /// A `Blob` or `File`.
    Blob(&'a Blob),
    /// A `FormData`'s entry list.
    FormData(&'a [FormDataEntry]),
    /// A `URLSearchParams`'s list.
    UrlSearchParams(&'a [(String, String)]),
    /// A `ReadableStream`. A keepalive request refuses it.
    ReadableStream,
}

impl<'a> From<&'a str> for BodyInit<'a> {
    fn from(string: &'a str) -> Self {
        Self::String(Cow::Borrowed(string))
    }
}

impl<'a> From<&'a [u8]> for BodyInit<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::BufferSource(Cow::Borrowed(bytes))
    }
}

impl<'a> From<&'a Blob> for BodyInit<'a> {
    fn from(blob: &'a Blob) -> Self {
        Self::Blob(blob)
    }
}

impl<'a> From<&'a [FormDataEntry]> for BodyInit<'a> {
    fn from(entries: &'a [FormDataEntry]) -> Self {
        Self::FormData(entries)
    }
}

/// A body with type whose length is known. Its bytes are not copied yet.
#[derive(Debug)]
pub struct Extracted<'a> {
    /// Length in bytes.
    pub length: u64,
    /// Type. It is not part of the [`Body`]: the constructor of script's `Request` decides whether the request has
    /// it as its `Content-Type` (see [`Request::body`](crate::Request::body)).
    pub content_type: Option<HeaderValue>,
    object: Object<'a>,
}

#[derive(Debug)]
enum Object<'a> {
    Bytes(Cow<'a, [u8]>),
    Blob(&'a Blob),
    FormData(&'a [FormDataEntry], Boundary),
}

/// [Extract a body with type](https://fetch.spec.whatwg.org/#concept-bodyinit-extract), with
/// keepalive true.
///
/// NB: the algorithm has two halves here, because of the quota. This one finds the length and the type;
/// [`Extracted::into_body`] copies the bytes. So a refused body is never copied; only `URLSearchParams` are
/// serialised, because their length depends on it. There is no stream, so the steps about streams (1 to 5,
/// 12) do nothing.
///
/// # Errors
/// [`TypeError::StreamBody`] for a `ReadableStream`.
pub fn extract<'a>(object: BodyInit<'a>, random: &dyn Random) -> Result<Extracted<'a>, TypeError> {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
    const URLENCODED: HeaderValue =
        HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8");
    // Step 10.
    let (object, content_type) = match object {
        BodyInit::Blob(blob) => (Object::Blob(blob), blob.content_type_header()),
        BodyInit::BufferSource(bytes) => (Object::Bytes(bytes), None),
        BodyInit::FormData(entries) => {
            let boundary = Boundary::new(random);
            let content_type = boundary.content_type();
            (Object::FormData(entries, boundary), Some(content_type))
        }
        BodyInit::UrlSearchParams(list) => {
            let serialized = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(list.iter().map(|(name, value)| (name, value)))
                .finish();
            (Object::Bytes(Cow::Owned(serialized.into_bytes())), Some(URLENCODED))
        }
        BodyInit::String(string) => {
            let bytes = match string {
                Cow::Borrowed(string) => Cow::Borrowed(string.as_bytes()),
                Cow::Owned(string) => Cow::Owned(string.into_bytes()),
            };
            (Object::Bytes(bytes), Some(TEXT))
        }
        BodyInit::ReadableStream => return Err(TypeError::StreamBody),
    };
    // Step 11.
    let length = match &object {
        Object::Bytes(bytes) => bytes.len() as u64,
        Object::Blob(blob) => blob.size(),
        // NB: the standard does not define this length (html/6424). The entries and the boundary determine
        // the encoding, so the length is computed.
        Object::FormData(entries, boundary) => form_data::encoded_length(entries, boundary),
    };
    // Steps 13 and 14.
    Ok(Extracted { length, content_type, object })
}

impl Extracted<'_> {
    /// Copies the bytes, so that script cannot change them any more.
    #[must_use]
    pub fn into_body(self) -> Body {
        let segments = match self.object {
            Object::Bytes(Cow::Owned(bytes)) => Segments::Bytes(bytes.into()),
            Object::Bytes(Cow::Borrowed(bytes)) => Segments::Bytes(Bytes::copy_from_slice(bytes)),
            Object::Blob(blob) => match blob.data() {
                BlobData::Bytes(bytes) => Segments::Bytes(bytes.clone()),
                BlobData::Source(source, size) => {
                    Segments::Mixed(vec![Segment::Source(Arc::clone(source), *size)])
                }
            },
            Object::FormData(entries, boundary) => {
                form_data::encode(entries, &boundary, self.length)
            }
        };
        Body { segments, length: self.length }
    }
}

#[cfg(test)]
mod tests;
