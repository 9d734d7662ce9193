//! What was committed is kept.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;
use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId};
use sendbeacon_outbox::FileOutbox;

use crate::support::{beside, bytes, directory, load, path, put, record};

#[test]
fn an_outbox_that_is_opened_again_has_the_records() {
    let directory = directory();
    let records = [record(1, 100, 3000), record(2, 0, 0), record(u64::MAX, 100, 1)];
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    assert_eq!(load(&mut outbox), []);
    outbox.commit(&records.each_ref().map(put)).unwrap();
    drop(outbox);

    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    assert_eq!(load(&mut outbox), records);
    assert_eq!(outbox.set_aside(), None);
}

#[test]
fn an_error_undoes_the_whole_commit_and_the_outbox_can_be_used() {
    let directory = directory();
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    let first = record(1, 10, 10);
    outbox.commit(&[put(&first)]).unwrap();

    let changes = [
        OutboxChange::set_state(first.id, b"changed".to_vec()),
        put(&record(2, 10, 10)),
        OutboxChange::Remove(first.id),
        put(&record(2, 10, 10)),
    ];
    assert!(matches!(outbox.commit(&changes), Err(OutboxError::Storage(_))));
    assert_eq!(load(&mut outbox), std::slice::from_ref(&first));

    outbox.commit(&changes[..3]).unwrap();
    assert_eq!(load(&mut outbox), [record(2, 10, 10)]);
}

#[test]
fn changes_of_a_record_that_is_not_there_do_nothing() {
    let directory = directory();
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    let id = RecordId::from_u64(7);
    outbox.commit(&[OutboxChange::set_state(id, vec![1]), OutboxChange::Remove(id)]).unwrap();
    outbox.clear(&[id]).unwrap();
    assert_eq!(load(&mut outbox), []);
}

#[test]
fn a_record_may_have_one_mebibyte() {
    let directory = directory();
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    let largest = record(1, 100, (1 << 20) - 100);
    outbox.commit(&[put(&largest)]).unwrap();

    let refused = |result| matches!(result, Err(OutboxError::Storage(_)));
    assert!(refused(outbox.commit(&[put(&record(2, 101, (1 << 20) - 100))])));
    let larger = OutboxChange::set_state(largest.id, vec![0; 101]);
    assert!(refused(outbox.commit(&[larger])));
    assert_eq!(load(&mut outbox), [largest]);
}

#[test]
fn a_file_may_have_64_mebibytes_and_then_records_are_removed() {
    let directory = directory();
    let path = path(&directory);
    let mut outbox = FileOutbox::open(&path).unwrap();
    let records: Vec<_> = (0..70).map(|id| record(id, 100, (1 << 20) - 100)).collect();
    let kept = records.iter().take_while(|record| match outbox.commit(&[put(record)]) {
        Err(OutboxError::Full(_)) => false,
        committed => committed.map(|()| true).unwrap(),
    });
    let kept: Vec<_> = kept.map(|record| record.id).collect();
    assert!((60..64).contains(&kept.len()), "{}", kept.len());
    assert!(fs::metadata(&path).unwrap().len() <= 64 << 20);
    assert_eq!(load(&mut outbox).len(), kept.len());

    outbox
        .commit(&kept[1..].iter().copied().map(OutboxChange::Remove).collect::<Vec<_>>())
        .unwrap();
    outbox.commit(&[put(&records[69])]).unwrap();
    drop(outbox);
    let mut outbox = FileOutbox::open(&path).unwrap();
    assert_eq!(load(&mut outbox), [records[0].clone(), records[69].clone()]);

    // An outbox without records is made small when it is opened.
    outbox.clear(&[records[0].id, records[69].id]).unwrap();
    drop(outbox);
    let mut outbox = FileOutbox::open(&path).unwrap();
    assert_eq!((load(&mut outbox), outbox.set_aside()), (vec![], None));
    assert!(fs::metadata(&path).unwrap().len() < 4096);
    outbox.commit(&[put(&records[0])]).unwrap();
}

#[test]
fn an_outbox_has_ten_thousand_records_at_most() {
    let directory = directory();
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    let puts: Vec<_> = (0..10_001).map(|id| put(&record(id, 100, 200))).collect();
    outbox.commit(&puts[..10_000]).unwrap();
    assert!(matches!(outbox.commit(&puts[10_000..]), Err(OutboxError::Full(_))));
    assert_eq!(load(&mut outbox).len(), 10_000);

    let swap = [OutboxChange::Remove(RecordId::from_u64(5)), puts[10_000].clone()];
    outbox.commit(&swap).unwrap();
    drop(outbox);
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    assert_eq!(load(&mut outbox).len(), 10_000);
    assert!(matches!(outbox.commit(&puts[5..6]), Err(OutboxError::Full(_))));
}

#[test]
fn an_open_outbox_cannot_be_opened_a_second_time() {
    let directory = directory();
    let path = path(&directory);
    let mut outbox = FileOutbox::open(&path).unwrap();
    assert_eq!(FileOutbox::open(&path).unwrap_err(), OutboxError::InUse);
    let detour = directory.path().join(".").join("outbox");
    assert_eq!(FileOutbox::open(detour).unwrap_err(), OutboxError::InUse);
    outbox.commit(&[put(&record(1, 1, 1))]).unwrap();
    drop(outbox);
    FileOutbox::open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_to_an_open_outbox_cannot_be_opened() {
    let directory = directory();
    let path = path(&directory);
    let outbox = FileOutbox::open(&path).unwrap();
    let symbolic = directory.path().join("symbolic");
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    assert_eq!(FileOutbox::open(&symbolic).unwrap_err(), OutboxError::InUse);
    // This one has a lock of its own, but it is the same file.
    let hard = directory.path().join("hard");
    fs::hard_link(&path, &hard).unwrap();
    assert_eq!(FileOutbox::open(&hard).unwrap_err(), OutboxError::InUse);
    drop(outbox);
    FileOutbox::open(&symbolic).unwrap();
}

#[test]
fn a_path_that_cannot_be_a_file_is_an_error() {
    let directory = directory();
    let open = |path: &Path| FileOutbox::open(path).unwrap_err();
    assert!(matches!(open(directory.path()), OutboxError::Storage(_)));
    assert!(matches!(open(Path::new("")), OutboxError::Storage(_)));
    assert!(matches!(open(&directory.path().join("no directory/outbox")), OutboxError::Storage(_)));
}

#[test]
fn a_journal_of_another_file_is_not_played_back_into_a_new_one() {
    let directory = directory();
    fs::write(beside(&path(&directory), "-journal"), bytes(1, 5000)).unwrap();
    fs::write(beside(&path(&directory), "-wal"), bytes(2, 5000)).unwrap();
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    assert_eq!((load(&mut outbox), outbox.set_aside()), (vec![], None));
    assert!(!beside(&path(&directory), "-wal").exists());
}

/// A step of the property below.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<OutboxChange>),
    Clear(Vec<RecordId>),
    Reopen,
}

fn changes() -> impl Strategy<Value = OutboxChange> {
    let id = (0..12_u64).prop_map(RecordId::from_u64);
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        (id.clone(), bytes(120), bytes(5000)).prop_map(|(id, state, content)| {
            OutboxChange::Put(OutboxRecord::new(id, state, content))
        }),
        (id.clone(), bytes(3000)).prop_map(|(id, state)| OutboxChange::set_state(id, state)),
        id.prop_map(OutboxChange::Remove),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(changes(), 0..5).prop_map(Step::Commit),
        1 => prop::collection::vec((0..12_u64).prop_map(RecordId::from_u64), 0..9).prop_map(Step::Clear),
        1 => Just(Step::Reopen),
    ]
}

/// What a commit makes of the records; `None` if an identifier is not new.
fn model(
    mut records: BTreeMap<RecordId, OutboxRecord>,
    changes: &[OutboxChange],
) -> Option<BTreeMap<RecordId, OutboxRecord>> {
    for change in changes {
        match change {
            OutboxChange::Put(record) if records.contains_key(&record.id) => return None,
            OutboxChange::Put(record) => drop(records.insert(record.id, record.clone())),
            OutboxChange::SetState { id, state, .. } => {
                records.entry(*id).and_modify(|record| record.state.clone_from(state));
            }
            OutboxChange::Remove(id) => drop(records.remove(id)),
            _ => unreachable!("the strategy makes no other change"),
        }
    }
    Some(records)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_outbox_has_what_a_map_would_have(steps in prop::collection::vec(steps(), 0..30)) {
        let directory = directory();
        let mut outbox = FileOutbox::open(path(&directory)).unwrap();
        let mut expected = BTreeMap::new();
        for step in steps {
            match step {
                Step::Commit(changes) => match model(expected.clone(), &changes) {
                    Some(records) => {
                        outbox.commit(&changes).unwrap();
                        expected = records;
                    }
                    None => prop_assert!(outbox.commit(&changes).is_err()),
                },
                Step::Clear(ids) => {
                    outbox.clear(&ids).unwrap();
                    expected.retain(|id, _| !ids.contains(id));
                }
                Step::Reopen => {
                    drop(outbox);
                    outbox = FileOutbox::open(path(&directory)).unwrap();
                    prop_assert_eq!(outbox.set_aside(), None);
                }
            }
            prop_assert_eq!(load(&mut outbox), expected.values().cloned().collect::<Vec<_>>());
        }
    }
}
