//! Tests of bodies and of their extraction.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    error::NetworkError,
    host::{Answer, Zeros},
};

const BOUNDARY: &str = "----SendBeaconFormBoundary00000000000000000000000000000000";

fn bytes_of(object: BodyInit<'_>) -> (Bytes, Option<String>) {
    let extracted = extract(object, &Zeros).unwrap();
    let length = extracted.length;
    let content_type = extracted.content_type.as_ref().map(|v| v.to_str().unwrap().to_owned());
    let body = extracted.into_body();
    assert_eq!(body.length(), length);
    let bytes = now(body.read()).unwrap();
    assert_eq!(bytes.len() as u64, length);
    (bytes, content_type)
}

/// Completes a future that has nothing to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("had to wait"),
    }
}

fn string(name: &str, value: &str) -> FormDataEntry {
    FormDataEntry { name: name.into(), value: FormDataValue::String(value.into()) }
}

fn file(name: &str, filename: &str, blob: Blob) -> FormDataEntry {
    FormDataEntry {
        name: name.into(),
        value: FormDataValue::File { blob, filename: filename.into() },
    }
}

#[test]
fn each_kind_of_body_has_its_type() {
    let list = [("a".into(), "1 &".into()), ("é".into(), String::new())];
    let blobs = [Blob::new("x", ""), Blob::new("x", "TEXT/X; q=\"R\"")];
    let cases: [(BodyInit<'_>, &[u8], Option<&str>); 5] = [
        ("é".into(), "é".as_bytes(), Some("text/plain;charset=UTF-8")),
        ((&[1u8, 0, 255][..]).into(), &[1, 0, 255], None),
        (BodyInit::Blob(&blobs[0]), b"x", None),
        (BodyInit::Blob(&blobs[1]), b"x", Some("text/x; q=\"r\"")),
        (
            BodyInit::UrlSearchParams(&list),
            b"a=1+%26&%C3%A9=",
            Some("application/x-www-form-urlencoded;charset=UTF-8"),
        ),
    ];
    for (object, bytes, content_type) in cases {
        assert_eq!(bytes_of(object), (Bytes::copy_from_slice(bytes), content_type.map(Into::into)));
    }
}

#[test]
fn a_stream_is_a_type_error() {
    assert_eq!(extract(BodyInit::ReadableStream, &Zeros).unwrap_err(), TypeError::StreamBody);
}

#[test]
fn a_blob_type_outside_printable_ascii_is_empty() {
    for content_type in ["text/pl\u{e4}in", "text/plain\r\nX-Evil: 1", "text/plain\0", "a/b;\tc=d"]
    {
        assert_eq!(Blob::new("", content_type).content_type(), "", "{content_type:?}");
    }
    assert_eq!(Blob::new("", " Foo Bar ").content_type(), " foo bar ");
    assert_eq!(Blob::with_mime("{}", &mime::APPLICATION_JSON).content_type(), "application/json");
}

#[test]
fn an_empty_form_is_its_closing_delimiter() {
    let (bytes, content_type) = bytes_of(BodyInit::FormData(&[]));
    assert_eq!(bytes, format!("--{BOUNDARY}--\r\n"));
    assert_eq!(content_type, Some(format!("multipart/form-data; boundary={BOUNDARY}")));
}

#[test]
fn names_values_and_file_names_are_escaped_differently() {
    let entries = [
        string("n\nn\rn\r\nn\"", "v\nv\rv\r\nv\n\rv\"%22"),
        file("f", "q\"u\r\no\nte", Blob::new("\r\n", "text/css")),
    ];
    let expected = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"n%0D%0An%0D%0An%0D%0An%22\"\r\n\r\n\
         v\r\nv\r\nv\r\nv\r\n\r\nv\"%22\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"q%22u%0D%0Ao%0Ate\"\r\n\
         Content-Type: text/css\r\n\r\n\r\n\r\n--{BOUNDARY}--\r\n"
    );
    assert_eq!(bytes_of(BodyInit::FormData(&entries)).0, expected);
}

#[test]
fn a_file_without_type_is_an_octet_stream() {
    let entries = [file("f", "", Blob::new("x", ""))];
    let (bytes, _) = bytes_of(BodyInit::FormData(&entries));
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains("filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n"));
}

struct Lazy(u64, &'static str);

impl BlobSource for Lazy {
    fn size(&self) -> u64 {
        self.0
    }

    fn read(&self) -> Answer<Result<Bytes, String>> {
        Answer::Later(Box::pin(std::future::ready(Ok(Bytes::from(self.1)))))
    }
}

#[test]
fn a_source_is_encoded_like_bytes_in_memory() {
    let entries = |blob| [string("a", "1"), file("f", "x", blob), string("b", "2")];
    let lazy = entries(Blob::from_source(Arc::new(Lazy(3, "abc")), "a/b"));
    let there = entries(Blob::new("abc", "a/b"));
    assert_eq!(bytes_of(BodyInit::FormData(&lazy)), bytes_of(BodyInit::FormData(&there)));
    let blob = Blob::from_source(Arc::new(Lazy(3, "abc")), "");
    assert_eq!(bytes_of(BodyInit::Blob(&blob)).0, "abc");
}

#[test]
fn a_source_with_another_number_of_bytes_is_an_error() {
    let blob = Blob::from_source(Arc::new(Lazy(4, "abc")), "");
    let body = extract(BodyInit::Blob(&blob), &Zeros).unwrap().into_body();
    assert!(matches!(now(body.read()), Err(NetworkError::Body(_))));
}

proptest! {
    #[test]
    fn multipart_length_is_known_before_encoding(
        entries in proptest::collection::vec(("[a\r\n\"é]{0,6}", "[a\r\n\"é]{0,20}", any::<bool>()), 0..6)
    ) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, value, is_file)| match is_file {
                true => file(name, value, Blob::new(value.clone(), value)),
                false => string(name, value),
            })
            .collect();
        let (bytes, _) = bytes_of(BodyInit::FormData(&entries));
        // No bare CR or LF is left in a name or a non-file value.
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        for (entry, part) in entries.iter().zip(text.split(&format!("--{BOUNDARY}\r\n")).skip(1)) {
            if matches!(entry.value, FormDataValue::String(_)) {
                let rest = part.replace("\r\n", "");
                prop_assert!(!rest.contains(['\r', '\n']), "{part:?}");
            }
        }
    }
}
