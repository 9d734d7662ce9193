//! Measures a reservation in a ledger and its return, from one thread and from several threads that share the ledger.

#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use sendbeacon_fetch::{KeepaliveLimits, Ledger, Weight};

/// What a beacon of 1 KiB weighs.
const WEIGHT: Weight = Weight { body_bytes: 1_024, url_bytes: 64, header_bytes: 0 };

fn ledger(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    for threads in [1, 2, 8] {
        group.bench_function(format!("{threads} threads"), |b| {
            b.iter_custom(|iterations| time_of_each(threads, iterations));
        });
    }
    group.finish();
}

/// How long it takes until each thread has made `iterations` reservations.
fn time_of_each(threads: usize, iterations: u64) -> Duration {
    let ledger = Ledger::new(KeepaliveLimits::default());
    let barrier = Arc::new(Barrier::new(threads + 1));
    let work = || {
        let (ledger, barrier) = (Arc::clone(&ledger), Arc::clone(&barrier));
        thread::spawn(move || {
            barrier.wait();
            for _ in 0..iterations {
                drop(ledger.reserve(WEIGHT).expect("there is room for all"));
            }
        })
    };
    let workers: Vec<_> = (0..threads).map(|_| work()).collect();
    barrier.wait();
    let begin = Instant::now();
    for worker in workers {
        worker.join().expect("no thread panics");
    }
    begin.elapsed()
}

criterion_group!(benches, ledger);
criterion_main!(benches);
