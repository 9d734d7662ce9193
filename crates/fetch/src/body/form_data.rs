//! The [`multipart/form-data` encoding algorithm](https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data).

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use http::HeaderValue;
use memchr::{memchr2, memchr3};

use super::{
    blob::{Blob, BlobData},
    segments::{Segment, Segments},
};
use crate::host::Random;

/// An [entry](https://xhr.spec.whatwg.org/#concept-formdata-entry) of a `FormData`.
#[derive(Clone, Debug)]
pub struct FormDataEntry {
    /// Name, a scalar value string.
    pub name: String,
    /// Value.
    pub value: FormDataValue,
}

/// The value of a form entry.
#[derive(Clone, Debug)]
pub enum FormDataValue {
    /// A scalar value string.
    String(String),
    /// A `File`.
    File {
        /// Its bytes and type.
        blob: Blob,
        /// Its name.
        filename: String,
    },
}

/// The `multipart/form-data` boundary string: a fixed prefix and 128 random bits. A page cannot guess them, so
/// no value contains them.
#[derive(Debug)]
pub(super) struct Boundary(String);

impl Boundary {
    const PREFIX: &str = "----SendBeaconFormBoundary";

    pub(super) fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(format!("{}{:032x}", Self::PREFIX, u128::from_ne_bytes(bytes)))
    }

    pub(super) fn content_type(&self) -> HeaderValue {
        let value = format!("multipart/form-data; boundary={}", self.0);
        HeaderValue::try_from(value).expect("letters, digits and dashes are field-value bytes")
    }
}

pub(super) fn encoded_length(entries: &[FormDataEntry], boundary: &Boundary) -> u64 {
    let mut length = Length(0);
    write_entries(entries, boundary, &mut length);
    length.0
}

/// Encodes into one buffer. A blob that is not in memory stays a source, between two buffers.
pub(super) fn encode(entries: &[FormDataEntry], boundary: &Boundary, length: u64) -> Segments {
    let has_source = entries.iter().any(|entry| match &entry.value {
        FormDataValue::File { blob, .. } => matches!(blob.data(), BlobData::Source(..)),
        FormDataValue::String(_) => false,
    });
    let capacity = if has_source { 0 } else { usize::try_from(length).unwrap_or(0) };
    let mut pieces = Pieces { buffer: BytesMut::with_capacity(capacity), done: Vec::new() };
    write_entries(entries, boundary, &mut pieces);
    let last = pieces.buffer.freeze();
    if pieces.done.is_empty() {
        return Segments::Bytes(last);
    }
    pieces.done.push(Segment::Bytes(last));
    Segments::Mixed(pieces.done)
}

fn write_entries(entries: &[FormDataEntry], boundary: &Boundary, out: &mut impl Output) {
    // Step 2.
    for FormDataEntry { name, value } in entries {
        // Step 3: RFC 7578, with the standard's conditions.
        out.text("--");
        out.text(&boundary.0);
        out.text("\r\nContent-Disposition: form-data; name=\"");
        // Steps 2.1 and 3: a name's newlines are normalised first, then escaped.
        each_piece_with_normalized_newlines(name, |piece| escape(piece, out));
        match value {
            FormDataValue::String(value) => {
                out.text("\"\r\n\r\n");
                // Step 2.2.
                each_piece_with_normalized_newlines(value, |piece| out.text(piece));
            }
            FormDataValue::File { blob, filename } => {
                out.text("\"; filename=\"");
                escape(filename, out);
                out.text("\"\r\nContent-Type: ");
                out.text(match blob.content_type() {
                    "" => "application/octet-stream",
                    content_type => content_type,
                });
                out.text("\r\n\r\n");
                out.blob(blob);
            }
        }
        out.text("\r\n");
    }
    out.text("--");
    out.text(&boundary.0);
    out.text("--\r\n");
}

/// Replaces every CR without a following LF, and every LF without a preceding CR, by CRLF.
fn each_piece_with_normalized_newlines(text: &str, mut piece: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(at) = memchr2(b'\r', b'\n', rest.as_bytes()) {
        piece(&rest[..at]);
        piece("\r\n");
        let newline = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[at + newline..];
    }
    piece(rest);
}

/// Percent-encodes LF, CR and the quotation mark, for names and file names.
fn escape(text: &str, out: &mut impl Output) {
    let mut rest = text;
    while let Some(at) = memchr3(b'\n', b'\r', b'"', rest.as_bytes()) {
        out.text(&rest[..at]);
        out.text(match rest.as_bytes()[at] {
            b'\n' => "%0A",
            b'\r' => "%0D",
            _ => "%22",
        });
        rest = &rest[at + 1..];
    }
    out.text(rest);
}

/// Receives the encoded bytes: a counter of them, or the buffers that hold them.
trait Output {
    fn text(&mut self, text: &str);
    fn blob(&mut self, blob: &Blob);
}

struct Length(u64);

impl Output for Length {
    fn text(&mut self, text: &str) {
        self.0 = self.0.saturating_add(text.len() as u64);
    }

    fn blob(&mut self, blob: &Blob) {
        self.0 = self.0.saturating_add(blob.size());
    }
}

struct Pieces {
    buffer: BytesMut,
    done: Vec<Segment>,
}

impl Output for Pieces {
    fn text(&mut self, text: &str) {
        self.buffer.put_slice(text.as_bytes());
    }

    fn blob(&mut self, blob: &Blob) {
        match blob.data() {
            BlobData::Bytes(bytes) => self.buffer.put_slice(bytes),
            BlobData::Source(source, size) => {
                self.done.push(Segment::Bytes(self.buffer.split().freeze()));
                self.done.push(Segment::Source(Arc::clone(source), *size));
            }
        }
    }
}
