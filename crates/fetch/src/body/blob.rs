//! [`Blob`](https://w3c.github.io/FileAPI/#blob-section) as far as a body needs one.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;

use crate::host::Answer;

/// Bytes with a type: a script's `Blob` or `File`. Cloning shares the bytes.
#[derive(Clone)]
pub struct Blob {
    data: BlobData,
    content_type: Arc<str>,
}

#[derive(Clone)]
pub(super) enum BlobData {
    Bytes(Bytes),
    /// And its size in bytes.
    Source(Arc<dyn BlobSource>, u64),
}

/// A blob whose bytes are elsewhere: on disk, in another process.
pub trait BlobSource: Send + Sync {
    /// Size in bytes. Called once, when the [`Blob`] is made; must not block.
    fn size(&self) -> u64;

    /// All bytes, exactly [`size`](Self::size) of them, or why they cannot be read. Called on the
    /// network side; must not block.
    fn read(&self) -> Answer<Result<Bytes, String>>;
}

impl Blob {
    /// A blob of `bytes` with `content_type` as its `type` attribute, which the `Content-Type` header
    /// repeats to the letter.
    ///
    /// The type is normalised as the [constructor](https://w3c.github.io/FileAPI/#constructorBlob)
    /// does (idempotent, so it does not matter whether the engine has done it): lower case, and
    /// empty if it has a character outside U+0020 to U+007E.
    pub fn new(bytes: impl Into<Bytes>, content_type: &str) -> Self {
        Self { data: BlobData::Bytes(bytes.into()), content_type: normalized(content_type) }
    }

    /// A blob of `bytes` with a media type that is known to be one.
    pub fn with_mime(bytes: impl Into<Bytes>, mime: &mime::Mime) -> Self {
        Self::new(bytes, mime.as_ref())
    }

    /// A blob whose bytes are asked for when the request is sent.
    pub fn from_source(source: Arc<dyn BlobSource>, content_type: &str) -> Self {
        let size = source.size();
        Self { data: BlobData::Source(source, size), content_type: normalized(content_type) }
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.data {
            BlobData::Bytes(bytes) => bytes.len() as u64,
            BlobData::Source(_, size) => *size,
        }
    }

    /// The `type` attribute.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    pub(super) fn data(&self) -> &BlobData {
        &self.data
    }

    /// The type as a header value; `None` where it is empty.
    pub(super) fn content_type_header(&self) -> Option<HeaderValue> {
        // A normalised type has only U+0020 to U+007E, each a field-value byte.
        (!self.content_type.is_empty())
            .then(|| HeaderValue::from_str(&self.content_type).ok())
            .flatten()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes, {:?})", self.size(), self.content_type)
    }
}

fn normalized(content_type: &str) -> Arc<str> {
    if content_type.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
        content_type.to_ascii_lowercase().into()
    } else {
        "".into()
    }
}
