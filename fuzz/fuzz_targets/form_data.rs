//! The encoding of a `FormData`, read back by another parser.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sendbeacon_fetch::{Blob, BodyInit, FormDataEntry, FormDataValue, extract};
use sendbeacon_testkit::{network::complete, random::Zeros};

#[derive(Arbitrary, Debug)]
enum Value {
    Text(String),
    File { bytes: Vec<u8>, content_type: String, filename: String },
}

/// What an encoder makes of a newline: any of CR, LF and CR LF becomes CR LF.
fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

fn escaped(text: &str) -> String {
    text.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22")
}

fuzz_target!(|entries: Vec<(String, Value)>| {
    // NB: multer takes a backslash in a name for an escape, and refuses control characters. The standard knows neither.
    let is_plain = |text: &str| {
        !text.contains(|c: char| c == '\\' || c.is_control() && !matches!(c, '\r' | '\n'))
    };
    if !entries.iter().all(|(name, value)| {
        is_plain(name) && !matches!(value, Value::File { filename, .. } if !is_plain(filename))
    }) {
        return;
    }
    let form: Vec<_> = entries
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Text(text) => FormDataValue::String(text.clone()),
                Value::File { bytes, content_type, filename } => FormDataValue::File {
                    blob: Blob::new(bytes.clone(), content_type),
                    filename: filename.clone(),
                },
            };
            FormDataEntry { name: name.clone(), value }
        })
        .collect();
    let mut extracted = extract(BodyInit::FormData(&form), &Zeros).expect("a form");
    let content_type = extracted.content_type.take().expect("multipart/form-data");
    let length = extracted.length;
    let body = complete(extracted.into_body().read()).expect("a body in memory");
    assert_eq!(body.len() as u64, length);

    let boundary =
        multer::parse_boundary(content_type.to_str().expect("ASCII")).expect("a boundary");
    let stream = std::iter::once(Ok::<_, std::io::Error>(body));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut parsed = multer::Multipart::new(futures_util::stream::iter(stream), boundary);
        for (name, value) in &entries {
            let field = parsed.next_field().await.expect("well-formed").expect("a field");
            assert_eq!(field.name().unwrap_or_default(), escaped(&with_crlf(name)));
            match value {
                Value::Text(text) => {
                    assert_eq!(field.file_name(), None);
                    assert_eq!(field.bytes().await.expect("a value"), with_crlf(text).as_bytes());
                }
                Value::File { bytes, filename, .. } => {
                    assert_eq!(field.file_name().unwrap_or_default(), escaped(filename));
                    assert_eq!(field.bytes().await.expect("a file"), bytes);
                }
            }
        }
        assert!(parsed.next_field().await.expect("well-formed").is_none());
    });
});
