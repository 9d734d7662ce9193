//! Tests of which documents a question looks at, and which it forgets.

use sendbeacon_fetch::{Nonce, Origin, Site};
use url::Url;

use super::*;
use crate::id::GroupId;

fn partition(url: &str) -> PartitionKey {
    let origin = Origin::of(&Url::parse(url).unwrap(), Nonce::from_u128(1));
    PartitionKey { top_level_site: Site::of(&origin), second_key: None }
}

/// Adds so many documents of a partition.
fn add(documents: &Documents, partition: &PartitionKey, count: u64) -> Vec<Arc<GroupState>> {
    let groups: Vec<_> =
        (0..count).map(|id| Arc::new(GroupState::new(GroupId(id), None))).collect();
    for group in &groups {
        documents.add(partition, group);
    }
    groups
}

/// How many entries a partition has, dead ones among them.
fn length(documents: &Documents, partition: &PartitionKey) -> usize {
    documents.lock().partitions.get(partition).map_or(0, |it| it.groups.len())
}

#[test]
fn a_document_counts_as_long_as_it_is_fully_active() {
    let (documents, a) = (Documents::default(), partition("https://a.test/"));
    assert!(!documents.is_any_fully_active(&a));
    let mut groups = add(&documents, &a, 2);
    let (cached, gone) = (groups.remove(0), groups.remove(0));
    assert!(documents.is_any_fully_active(&a));
    cached.set(Flag::Cached);
    assert!(documents.is_any_fully_active(&a));
    gone.set(Flag::Terminated);
    assert!(!documents.is_any_fully_active(&a));
    cached.unset(Flag::Cached);
    assert!(documents.is_any_fully_active(&a));
    drop(cached);
    assert!(!documents.is_any_fully_active(&a));
}

#[test]
fn a_question_looks_at_the_documents_of_its_own_partition_only() {
    let documents = Documents::default();
    let (a, b) = (partition("https://a.test/"), partition("https://b.test/"));
    let of_a = add(&documents, &a, 1_000);
    let of_b = add(&documents, &b, 1_000);
    assert_eq!((length(&documents, &a), length(&documents, &b)), (1_000, 1_000));
    // A question removes the entries of the documents that it finds gone.
    for group in of_a.iter().chain(&of_b) {
        group.set(Flag::Terminated);
    }
    assert!(!documents.is_any_fully_active(&a));
    assert_eq!((length(&documents, &a), length(&documents, &b)), (0, 1_000));
    let entries = |groups: &[Arc<GroupState>]| groups.iter().map(Arc::weak_count).sum::<usize>();
    assert_eq!((entries(&of_a), entries(&of_b)), (0, 1_000));
}

#[test]
fn the_document_that_was_found_is_looked_at_first() {
    let (documents, a) = (Documents::default(), partition("https://a.test/"));
    let groups = add(&documents, &a, 1_000);
    for group in &groups[..999] {
        group.set(Flag::Cached);
    }
    assert!(documents.is_any_fully_active(&a));
    let first = documents.lock().partitions[&a].groups[0].upgrade().unwrap();
    assert!(Arc::ptr_eq(&first, &groups[999]));
}

#[test]
fn documents_and_partitions_that_have_gone_are_forgotten() {
    let documents = Documents::default();
    let kept = add(&documents, &partition("https://a.test/"), 1);
    for n in 0..1_000 {
        drop(add(&documents, &partition("https://a.test/"), 1));
        drop(add(&documents, &partition(&format!("https://b{n}.test/")), 1));
    }
    assert!(length(&documents, &partition("https://a.test/")) < 32);
    assert!(documents.lock().partitions.len() < 32);
    assert!(documents.is_any_fully_active(&partition("https://a.test/")));
    drop(kept);
}
