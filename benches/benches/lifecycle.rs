//! Measures making and unloading documents on the script thread, while other documents and their beacons exist.

#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use benches::{COLLECTOR, document, user_agent};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sendbeacon::Document;

fn lifecycle(c: &mut Criterion) {
    let agent = user_agent().build().expect("a thread can be started");
    let mut group = c.benchmark_group("lifecycle");
    for count in [1, 100, 10_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("unload of {count} documents"), |b| {
            b.iter_batched(
                || (0..count).map(|_| sent(document(&agent))).collect::<Vec<_>>(),
                |documents| documents.iter().for_each(Document::unload),
                BatchSize::PerIteration,
            );
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("a new document", |b| b.iter(|| document(&agent)));
    group.finish();
}

/// Sends a beacon from the document, and returns the document.
fn sent(document: Document) -> Document {
    assert_eq!(document.send_beacon(COLLECTOR, None), Ok(true));
    document
}

criterion_group!(benches, lifecycle);
criterion_main!(benches);
