//! Measures the extraction of bodies, and for comparison a copy of the same number of bytes.

#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use std::hint::black_box;

use benches::three_fields;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use sendbeacon::{Blob, BodyInit, FormDataEntry, FormDataValue, extract};

fn encode(c: &mut Criterion) {
    let small = three_fields(&"x".repeat(64));
    let large = three_fields(&"x".repeat(20 << 10));
    let file = [FormDataEntry {
        name: "file".to_owned(),
        value: FormDataValue::File {
            blob: Blob::new(vec![b'x'; 60 << 10], "image/png"),
            filename: "image.png".to_owned(),
        },
    }];
    let pairs = vec![("event".to_owned(), "x y".repeat(20)); 16];
    let escaped = three_fields(&"\"\r\n%&".repeat(1 << 10));
    let mut group = c.benchmark_group("encode");
    for (name, body) in [
        ("FormData of 3 fields of 64 B", BodyInit::FormData(&small)),
        ("FormData of 3 fields of 20 KiB", BodyInit::FormData(&large)),
        ("FormData of 3 fields with line breaks", BodyInit::FormData(&escaped)),
        ("FormData of a file of 60 KiB", BodyInit::FormData(&file)),
        ("URLSearchParams of 16 pairs", BodyInit::UrlSearchParams(&pairs)),
    ] {
        let length = extract(body.clone()).map_or(0, |it| it.length);
        group.bench_function(name, |b| {
            b.iter(|| extract(black_box(body.clone())).map(|it| it.into_body().length()));
        });
        let bytes = vec![b'x'; usize::try_from(length).unwrap_or(0)];
        group.bench_function(format!("{name}: a copy of as many bytes"), |b| {
            b.iter(|| Bytes::copy_from_slice(black_box(&bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
