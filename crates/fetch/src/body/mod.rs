//! [Bodies](https://fetch.spec.whatwg.org/#bodies) and how they are extracted from what script
//! passes.

mod blob;
mod form_data;

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use self::{blob::BlobData, form_data::Boundary};
pub use self::{
    blob::{Blob, BlobSource},
    form_data::{FormDataEntry, FormDataValue},
};
use crate::{NetworkError, TypeError, host::Random};

/// [`BodyInit`](https://fetch.spec.whatwg.org/#bodyinit): what script may pass as a body, after the
/// Web IDL conversion, which is the engine's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BodyInit<'a> {
    /// A `USVString`.
    String(Cow<'a, str>),
    /// A copy of, or a look at, the bytes of a `BufferSource`.
    BufferSource(Cow<'a, [u8]>),
    /// A `Blob` or `File`.
    Blob(&'a Blob),
    /// A `FormData`'s entry list.
    FormData(&'a [FormDataEntry]),
    /// A `URLSearchParams`'s list.
    UrlSearchParams(&'a [(String, String)]),
    /// Any `ReadableStream`: it has no bytes to give, and a keepalive request refuses it.
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

/// A body with type whose length is known and whose bytes have not been copied yet.
#[derive(Debug)]
pub struct Extracted<'a> {
    /// Length in bytes.
    pub length: u64,
    /// Type, to become the `Content-Type` header.
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
/// NB: in two halves, for the quota's sake: this one finds length and type, and
/// [`Extracted::into_body`] copies. A refused body is never copied; only a `URLSearchParams` is
/// serialised, to know its length. There is no stream, so the steps about streams (1 to 5, 12) have
/// nothing to do.
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
        // NB: the standard leaves this length open (html/6424). The encoding is wholly determined
        // by the entries and the boundary, so it is computed.
        Object::FormData(entries, boundary) => form_data::encoded_length(entries, boundary),
    };
    // Steps 13 and 14.
    Ok(Extracted { length, content_type, object })
}

impl Extracted<'_> {
    /// The body, with its bytes copied out of script's reach.
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

/// A request's [body](https://fetch.spec.whatwg.org/#concept-body) whose source is not null, so that
/// it can be sent again after a redirect.
#[derive(Clone)]
pub struct Body {
    segments: Segments,
    length: u64,
}

#[derive(Clone)]
enum Segments {
    Bytes(Bytes),
    Mixed(Vec<Segment>),
}

#[derive(Clone)]
enum Segment {
    Bytes(Bytes),
    Source(Arc<dyn BlobSource>, u64),
}

impl Body {
    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All of it, asking every [`BlobSource`].
    ///
    /// # Errors
    /// [`NetworkError::Body`] if a source cannot be read or gives another number of bytes than its
    /// size.
    pub async fn read(&self) -> Result<Bytes, NetworkError> {
        let segments = match &self.segments {
            Segments::Bytes(bytes) => return Ok(bytes.clone()),
            Segments::Mixed(segments) => segments,
        };
        let mut all = BytesMut::new();
        for segment in segments {
            match segment {
                Segment::Bytes(bytes) => all.extend_from_slice(bytes),
                Segment::Source(source, size) => {
                    let bytes = source.read().get().await.map_err(NetworkError::Body)?;
                    if bytes.len() as u64 != *size {
                        let got = bytes.len();
                        return Err(NetworkError::Body(format!(
                            "a blob of {size} bytes gave {got} when it was read"
                        )));
                    }
                    all.extend_from_slice(&bytes);
                }
            }
        }
        Ok(all.freeze())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, segments: Segments::Bytes(bytes) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests;
