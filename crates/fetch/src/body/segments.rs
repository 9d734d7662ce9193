//! The type [`Body`], and its segments: bytes, and sources that are read when the request is sent.
//!
//! NB: the file is not named after `Body`, because a module `body` in the module `body` would be `body::body`.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::blob::BlobSource;
use crate::error::NetworkError;

/// A request's [body](https://fetch.spec.whatwg.org/#concept-body). Its source is never null, so it can be
/// sent again after a redirect. Cloning shares the bytes.
#[derive(Clone)]
pub struct Body {
    pub(super) segments: Segments,
    pub(super) length: u64,
}

#[derive(Clone)]
pub(super) enum Segments {
    Bytes(Bytes),
    Mixed(Vec<Segment>),
}

#[derive(Clone)]
pub(super) enum Segment {
    Bytes(Bytes),
    Source(Arc<dyn BlobSource>, u64),
}

impl Body {
    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads the whole body, and each [`BlobSource`] in it.
    ///
    /// # Errors
    /// [`NetworkError::Body`] if a source cannot be read or returns another number of bytes than its size.
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
