//! [`Blob`](https://w3c.github.io/FileAPI/#blob-section) as far as a body needs one.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;

use crate::host::Answer;

/// Bytes with a type: a script's `Blob` or `File`. Cloning shares the bytes.
#[derive(Clone)]
pub struct Blob {
    data: BlobData,
    type_: Arc<str>,
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
    /// A blob of `bytes` with `type_` as its `type` attribute, which the `Content-Type` header
    /// repeats to the letter.
    ///
    /// The type is normalised as the [constructor](https://w3c.github.io/FileAPI/#constructorBlob)
    /// does (idempotent, so it does not matter whether the engine has done it): lower case, and
    /// empty if it has a character outside U+0020 to U+007E.
    pub fn new(bytes: impl Into<Bytes>, type_: &str) -> Self {
        Self { data: BlobData::Bytes(bytes.into()), type_: normalized(type_) }
    }

    /// A blob of `bytes` with a media type that is known to be one.
    pub fn with_mime(bytes: impl Into<Bytes>, mime: &mime::Mime) -> Self {
        Self::new(bytes, mime.as_ref())
    }

    /// A blob whose bytes are asked for when the request is sent.
    pub fn from_source(source: Arc<dyn BlobSource>, type_: &str) -> Self {
        let size = source.size();
        Self { data: BlobData::Source(source, size), type_: normalized(type_) }
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
    pub fn type_(&self) -> &str {
        &self.type_
    }

    pub(super) fn data(&self) -> &BlobData {
        &self.data
    }

    /// The type as a header value; `None` where it is empty.
    pub(super) fn content_type(&self) -> Option<HeaderValue> {
        // A normalised type has only U+0020 to U+007E, each a field-value byte.
        (!self.type_.is_empty()).then(|| HeaderValue::from_str(&self.type_).ok()).flatten()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes, {:?})", self.size(), self.type_)
    }
}

fn normalized(type_: &str) -> Arc<str> {
    if type_.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
        type_.to_ascii_lowercase().into()
    } else {
        "".into()
    }
}
