//! What was removed cannot be read in the files.

use std::{collections::HashSet, fs, path::Path};

use proptest::prelude::*;
use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxRecord, RecordId};
use sendbeacon_outbox::FileOutbox;

use crate::support::{beside, directory, load, path, put, record};

/// As many bytes in a row do not come twice by chance.
const WINDOW: usize = 16;

/// Every run of bytes in the files of the outbox.
fn windows_on_disk(directory: &Path) -> HashSet<Vec<u8>> {
    let mut windows = HashSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        windows.extend(bytes.windows(WINDOW).map(<[u8]>::to_vec));
    }
    windows
}

fn has_part_of(windows: &HashSet<Vec<u8>>, bytes: &[u8]) -> bool {
    bytes.windows(WINDOW).any(|window| windows.contains(window))
}

/// A record whose parts are long enough to be found.
fn records() -> impl Strategy<Value = (usize, usize)> {
    (WINDOW..200, prop_oneof![WINDOW..200_usize, WINDOW..1500_usize, WINDOW..9000_usize])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_files_have_no_part_of_a_removed_record(
        lengths in prop::collection::vec(records(), 20..120),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
        states in prop::collection::vec((any::<prop::sample::Index>(), WINDOW..3000_usize), 0..10),
    ) {
        let directory = directory();
        let mut outbox = FileOutbox::open(path(&directory)).unwrap();
        let mut kept: Vec<OutboxRecord> = Vec::new();
        let mut removed: Vec<Vec<u8>> = Vec::new();
        // The identifiers are in no order, as random ones are.
        let id = |index: usize| (index as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
        for (index, (state, content)) in lengths.into_iter().enumerate() {
            kept.push(record(id(index), state, content));
            outbox.commit(&[put(&kept[index])]).unwrap();
        }
        for (index, (pick, length)) in states.into_iter().enumerate() {
            let changed = pick.index(kept.len());
            let state = crate::support::bytes(index as u64, length);
            outbox.commit(&[OutboxChange::set_state(kept[changed].id, state.clone())]).unwrap();
            removed.push(std::mem::replace(&mut kept[changed].state, state));
        }
        for (index, pick) in picks.into_iter().enumerate() {
            if kept.is_empty() {
                break;
            }
            let gone = kept.swap_remove(pick.index(kept.len()));
            if index % 5 == 0 {
                outbox.clear(&[gone.id]).unwrap();
            } else {
                outbox.commit(&[OutboxChange::Remove(gone.id)]).unwrap();
            }
            removed.extend([gone.state, gone.content]);
        }
        let windows = windows_on_disk(directory.path());
        for part in &removed {
            prop_assert!(!has_part_of(&windows, part));
        }
        for record in &kept {
            prop_assert!(has_part_of(&windows, &record.content), "the search finds what is there");
        }
    }
}

#[test]
fn clear_removes_the_file_that_was_set_aside() {
    let directory = directory();
    let path = path(&directory);
    let damaged = record(1, 100, 100).content;
    fs::write(&path, &damaged).unwrap();
    let mut outbox = FileOutbox::open(&path).unwrap();
    let aside = outbox.set_aside().unwrap().to_owned();
    assert_eq!(aside.file_name(), beside(&path, ".unreadable").file_name());
    assert!(has_part_of(&windows_on_disk(directory.path()), &damaged));

    outbox.commit(&[put(&record(2, 1, 1))]).unwrap();
    outbox.clear(&[]).unwrap();
    assert_eq!(outbox.set_aside(), None);
    assert!(!aside.exists());
    assert!(!has_part_of(&windows_on_disk(directory.path()), &damaged));
    assert_eq!(load(&mut outbox), [record(2, 1, 1)]);
}

#[test]
fn clear_removes_what_an_earlier_run_has_set_aside() {
    let directory = directory();
    fs::write(path(&directory), "not an outbox").unwrap();
    drop(FileOutbox::open(path(&directory)).unwrap());
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    assert_eq!(outbox.set_aside(), None);
    assert!(beside(&path(&directory), ".unreadable").exists());
    outbox.clear(&[RecordId::from_u64(1)]).unwrap();
    assert!(!beside(&path(&directory), ".unreadable").exists());
}
