//! Measures the whole fetch of a beacon with 1 KiB of body, over a network that answers immediately.
//!
//! All policies are in use: a Content Security Policy, three cookies, HSTS, referrers and Fetch metadata.

#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use std::sync::Arc;

use benches::{COLLECTOR, Instantly, client, cookies};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::HeaderValue;
use sendbeacon::{Blob, BodyInit, KeepaliveLimits};
use sendbeacon_fetch::{
    Ledger,
    beacon::{Beacon, send_beacon},
    fetch::{BeaconRequest, NoObserver, Profile, fetch_beacon},
};
use sendbeacon_testkit::{clock::VirtualClock, network::complete, random::Zeros};

fn whole_fetch(c: &mut Criterion) {
    let client = Arc::new(client());
    let user_agent = HeaderValue::from_static("bench/1");
    let mut profile =
        Profile::new(Arc::new(Instantly), Arc::new(VirtualClock::default()), user_agent);
    profile.cookies = Arc::new(cookies());

    let json = Blob::new("x".repeat(1 << 10), "application/json");
    let text = "x".repeat(1 << 10);
    let ledger = Ledger::new(KeepaliveLimits::default());
    let beacon = |url: &str, body: BodyInit<'_>| -> Beacon {
        let beacon = send_beacon(&client, &ledger, &Zeros, url, Some(body)).expect("no TypeError");
        beacon.expect("there is room")
    };
    let mut group = c.benchmark_group("fetch");
    let across = "https://collect.example.net/api/v1/collect?site=42";
    for (name, url, body) in [
        ("same-origin", COLLECTOR, BodyInit::from(&*text)),
        ("cross-origin", across, BodyInit::from(&*text)),
        ("cross-origin, with a cached preflight", across, BodyInit::from(&json)),
        ("redirected once", "/redirect", BodyInit::from(&*text)),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || beacon(url, body.clone()),
                |beacon| {
                    let (client, url, data, _reservation) = beacon.into_parts();
                    let request = BeaconRequest::new(&profile, &client, &url, data);
                    complete(fetch_beacon(&profile, &NoObserver, request))
                        .expect("the beacon is delivered")
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, whole_fetch);
criterion_main!(benches);
