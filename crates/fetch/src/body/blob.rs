//! [`Blob`](https://w3c.github.io/FileAPI/#blob-section)s: bytes with a type.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;

use crate::host::Answer;

/// A script's `Blob` or `File`: bytes with a type. Cloning shares the bytes.
///
/// ```
/// use sendbeacon_fetch::Blob;
///
/// let blob = Blob::new(r#"{"clicks":3}"#, "Application/JSON");
/// assert_eq!(blob.content_type(), "application/json");
/// assert_eq!(blob.size(), 12);
/// ```
#[derive(Clone)]
pub struct Blob {
    data: BlobData,
    content_type: Arc<str>,
}

#[derive(Clone)]
pub(super) enum BlobData {
    Bytes(Bytes),
    /// The source and its size in bytes.
    Source(Arc<dyn BlobSource>, u64),
}

/// The bytes of a blob that are not in memory: on disk, or in another process.
pub trait BlobSource: Send + Sync {
    /// Size in bytes. The library calls this once, in [`Blob::from_source`]. Must not block.
    fn size(&self) -> u64;

    /// Reads all bytes, exactly [`size`](Self::size) of them. The error says why they cannot be read. Called
    /// on the network side. Must not block.
    fn read(&self) -> Answer<Result<Bytes, String>>;
}

impl Blob {
    /// A blob of `bytes` with `content_type` as its `type` attribute, which becomes the `Content-Type` header.
    ///
    /// The type is normalised as the [constructor](https://w3c.github.io/FileAPI/#constructorBlob) does: it
    /// becomes lower case, and empty if it has a character outside U+0020 to U+007E. The engine may have
    /// normalised it already.
    pub fn new(bytes: impl Into<Bytes>, content_type: &str) -> Self {
        Self { data: BlobData::Bytes(bytes.into()), content_type: normalized(content_type) }
    }

    /// A blob of `bytes` with a parsed media type.
    pub fn with_mime(bytes: impl Into<Bytes>, mime: &mime::Mime) -> Self {
        Self::new(bytes, mime.as_ref())
    }

    /// A blob whose bytes are read when the request is sent.
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

    /// The type as a header value; `None` if it is empty.
    pub(super) fn content_type_header(&self) -> Option<HeaderValue> {
        // A normalised type has only U+0020 to U+007E, which are all field-value bytes.
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
