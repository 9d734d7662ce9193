//! Measures the call of `sendBeacon()` on the script thread, for each kind of body.
//!
//! The floor is what each implementation has to do: join the URL and copy the body.

#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use std::{hint::black_box, thread};

use benches::{COLLECTOR, document, three_fields, user_agent};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sendbeacon::{Blob, BodyInit};
use tokio::sync::mpsc;
use url::Url;

/// Batches are small, because beacons that wait on the network side take memory.
const BATCH: BatchSize = BatchSize::NumIterations(64);

fn admission(c: &mut Criterion) {
    let agent = user_agent().build().expect("a thread can be started");
    let agent_document = || document(&agent);
    let document = agent_document();
    let base = document.client().api_base_url.clone();
    let small = "x".repeat(64);
    let kib = "x".repeat(1 << 10);
    let sixty = "x".repeat(60 << 10);

    let mut group = c.benchmark_group("admission");
    group.bench_function("floor: join and copy 1 KiB", |b| {
        b.iter(|| (base.join(black_box(COLLECTOR)), Bytes::copy_from_slice(kib.as_bytes())));
    });
    // Memory that another thread frees costs more, whatever the library does. This floor shows how much.
    let (mailbox, mut taken) = mpsc::unbounded_channel::<(Url, Bytes)>();
    let drops = thread::spawn(move || while taken.blocking_recv().is_some() {});
    for (name, body) in [("64 B", &small), ("1 KiB", &kib), ("60 KiB", &sixty)] {
        group.bench_function(
            format!("floor: join, copy {name}, and another thread drops it"),
            |b| {
                b.iter_batched_ref(
                    || (),
                    |()| {
                        let url = base.join(black_box(COLLECTOR)).expect("a URL");
                        mailbox.send((url, Bytes::copy_from_slice(body.as_bytes())))
                    },
                    BATCH,
                );
            },
        );
    }
    drop(mailbox);
    drops.join().expect("the thread does not panic");
    let mut accepted = |name: &str, body: Option<BodyInit<'_>>| {
        group.bench_function(name, |b| {
            // Each call has a document of its own, because a full quota refuses calls, and a refusal is cheap.
            b.iter_batched_ref(
                || (agent_document(), body.clone()),
                |(document, body)| {
                    let answer = document.send_beacon(black_box(COLLECTOR), body.take());
                    assert_eq!(answer, Ok(true));
                },
                BATCH,
            );
        });
    };
    accepted("no body", None);
    accepted("64 B string", Some((&*small).into()));
    accepted("1 KiB string", Some((&*kib).into()));
    accepted("60 KiB string", Some((&*sixty).into()));
    accepted("1 KiB buffer", Some(kib.as_bytes().into()));
    let blob = Blob::new(kib.clone(), "application/json");
    accepted("1 KiB Blob", Some((&blob).into()));
    let form = three_fields(&small);
    accepted("FormData of three fields", Some(BodyInit::FormData(&form)));
    let search = [("site".to_owned(), small.clone()), ("event".to_owned(), small.clone())];
    accepted("URLSearchParams of two pairs", Some(BodyInit::UrlSearchParams(&search)));
    group.bench_function("refused: a TypeError", |b| {
        b.iter(|| document.send_beacon(black_box("data:,x"), None));
    });
    document.fetch_group().terminate();
    group.bench_function("refused: the document has gone", |b| {
        b.iter(|| document.send_beacon(black_box(COLLECTOR), Some((&*kib).into())));
    });
    group.finish();
}

criterion_group!(benches, admission);
criterion_main!(benches);
