//! The bodies that script passes to calls.

use base64::{Engine, prelude::BASE64_STANDARD};
use sendbeacon_fetch::{Blob, BodyInit, FormDataEntry, FormDataValue};
use serde::Deserialize;

/// Bytes, as text or in Base64.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bytes {
    /// The UTF-8 bytes of a string.
    Text(String),
    /// Any bytes, in Base64.
    Base64(String),
}

/// A `BodyInit`, after the Web IDL conversion.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Data {
    String(String),
    Buffer(Bytes),
    Blob(BlobData),
    Form(Vec<(String, FormValue)>),
    Urlencoded(Vec<(String, String)>),
    Stream,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlobData {
    #[serde(rename = "type")]
    type_: String,
    bytes: Bytes,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum FormValue {
    String(String),
    File { filename: String, blob: BlobData },
}

impl Bytes {
    /// The bytes.
    ///
    /// # Panics
    /// If the case has Base64 that is not valid.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Base64(text) => BASE64_STANDARD.decode(text).expect("a case has valid Base64"),
        }
    }
}

impl Data {
    /// Calls `use_it` with the body.
    pub(crate) fn with_body_init<R>(&self, use_it: impl FnOnce(BodyInit<'_>) -> R) -> R {
        match self {
            Self::String(string) => use_it(string.as_str().into()),
            Self::Buffer(bytes) => use_it(bytes.to_vec().as_slice().into()),
            Self::Blob(blob) => use_it((&blob.blob()).into()),
            Self::Form(entries) => {
                let entries: Vec<_> = entries.iter().map(entry).collect();
                use_it(BodyInit::FormData(&entries))
            }
            Self::Urlencoded(pairs) => use_it(BodyInit::UrlSearchParams(pairs)),
            Self::Stream => use_it(BodyInit::ReadableStream),
        }
    }
}

impl BlobData {
    fn blob(&self) -> Blob {
        Blob::new(self.bytes.to_vec(), &self.type_)
    }
}

fn entry((name, value): &(String, FormValue)) -> FormDataEntry {
    let value = match value {
        FormValue::String(string) => FormDataValue::String(string.clone()),
        FormValue::File { filename, blob } => {
            FormDataValue::File { blob: blob.blob(), filename: filename.clone() }
        }
    };
    FormDataEntry { name: name.clone(), value }
}
