//! Measures `fetchLater()` on the script thread, in trees of 1 to 1,000 frames.

#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use std::hint::black_box;

use benches::{document, user_agent};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use sendbeacon::{
    Client, ContainerPolicy, DeferredRequestInit, Document, FetchLaterError, NavigableContainer,
    Nonce, Origin, Request, UserAgent,
};
use url::Url;

/// Makes `count` frames in the document `top`, each with a deferred fetch.
///
/// The frames are of the document's own origin and of another origin in turn.
fn frames(agent: &UserAgent, top: &Document, count: usize) -> Vec<(NavigableContainer, Document)> {
    let own = &top.client().creation_url;
    let other = Url::parse("https://frame.test/").unwrap();
    let of = |n: usize| if n.is_multiple_of(2) { own.clone() } else { other.clone() };
    let frame = |n| {
        let url = of(n);
        let (client, origin) = (top.client(), Origin::of(&url, Nonce::from_u128(1)));
        let container = top.navigable_container();
        let policy = ContainerPolicy::new(&client.permissions_policy, &client.origin, "", &origin);
        container.reserve_deferred_fetch_quota(&policy, &origin);
        let document = agent.nested_document(Client::new(url, Nonce::from_u128(1)), &container);
        // NB: this fails in frames of the other origin after the first sixteen, which have no quota.
        let _ = document.fetch_later(request(&document), DeferredRequestInit::default());
        (container, document)
    };
    (0..count).map(frame).collect()
}

fn request(document: &Document) -> Request {
    let url = Url::parse("https://collector.test/later").unwrap();
    Request::new(document.client(), url)
}

fn deferred_quota(c: &mut Criterion) {
    let agent = user_agent().build().unwrap();
    let mut group = c.benchmark_group("deferred_quota");
    for count in [1, 10, 100, 1_000] {
        let top = document(&agent);
        let frames = frames(&agent, &top, count);
        group.bench_function(BenchmarkId::new("accepted", count), |b| {
            b.iter_batched(
                || request(&top),
                |request| {
                    let deferred = top.fetch_later(request, DeferredRequestInit::default());
                    // The abort gives the quota back, so that each call finds the same state.
                    deferred.unwrap().abort();
                },
                BatchSize::SmallInput,
            );
        });
        let mut too_large = request(&top);
        too_large.body = Some(bytes::Bytes::from(vec![b'x'; 65_536]).into());
        group.bench_function(BenchmarkId::new("refused", count), |b| {
            b.iter_batched(
                || too_large.clone(),
                |request| {
                    let refused =
                        top.fetch_later(black_box(request), DeferredRequestInit::default());
                    assert!(matches!(refused, Err(FetchLaterError::QuotaExceeded { .. })));
                },
                BatchSize::SmallInput,
            );
        });
        drop(frames);
    }
    group.finish();
}

criterion_group!(benches, deferred_quota);
criterion_main!(benches);
