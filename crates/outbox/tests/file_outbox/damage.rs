//! Files that are torn, changed, of somebody else or of a later version.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use rusqlite::Connection;
use sendbeacon_fetch::host::{Outbox, OutboxError, OutboxRecord, RecordId, Sealer};
use sendbeacon_outbox::{FileOutbox, KeySealer};

use crate::support::{beside, bytes, directory, load, path, put, record};

/// The bytes of an outbox with these records.
fn file_with(records: &[OutboxRecord]) -> Vec<u8> {
    let directory = directory();
    let mut outbox = FileOutbox::open(path(&directory)).unwrap();
    outbox.commit(&records.iter().map(put).collect::<Vec<_>>()).unwrap();
    drop(outbox);
    fs::read(path(&directory)).unwrap()
}

/// Some records as the library makes them: their contents are sealed.
fn sealed_records(sealer: &KeySealer) -> Vec<OutboxRecord> {
    let record = |id: u64, length| {
        let content = sealer.seal(&id.to_le_bytes(), &bytes(id, length)).unwrap();
        OutboxRecord::new(RecordId::from_u64(id), bytes(id, 100), content)
    };
    vec![record(1, 300), record(2, 2000), record(3, 0)]
}

/// Opens the file with these bytes, uses it, and checks that it was read or was set aside.
///
/// Each record that authenticates is one of `records`. Returns whether the file was set aside.
fn check(path: &Path, file: &[u8], records: &[OutboxRecord], sealer: &KeySealer) -> bool {
    fs::write(path, file).unwrap();
    let mut outbox = match FileOutbox::open(path) {
        Ok(outbox) => outbox,
        Err(OutboxError::Newer { .. }) => {
            assert_eq!(fs::read(path).unwrap(), file);
            return false;
        }
        Err(error) => panic!("{error}"),
    };
    let loaded = outbox.load();
    let set_aside = outbox.set_aside().is_some();
    if set_aside {
        assert_eq!(loaded, Ok(vec![]));
        assert_eq!(fs::read(beside(path, ".unreadable")).unwrap().len(), file.len());
    }
    for loaded in loaded.unwrap_or_default() {
        if let Some(content) = sealer.open(&loaded.id.to_u64().to_le_bytes(), &loaded.content) {
            let original = records.iter().find(|record| record.id == loaded.id).unwrap();
            assert_eq!(loaded.content, original.content);
            assert_eq!(content.len() + 40, original.content.len());
        }
    }
    let new = record(99, 10, 3000);
    if outbox.commit(&[put(&new)]).is_ok() {
        assert!(outbox.load().is_err() || load(&mut outbox).contains(&new));
    }
    let _ = outbox.clear(&records.iter().map(|record| record.id).collect::<Vec<_>>());
    set_aside
}

#[test]
fn a_file_that_is_cut_anywhere_is_set_aside() {
    let sealer = KeySealer::new([7; 32]);
    let records = sealed_records(&sealer)[..1].to_vec();
    let file = file_with(&records);
    let directory = directory();
    for length in 0..file.len() {
        let set_aside = check(&path(&directory), &file[..length], &records, &sealer);
        // To SQLite a file of one byte is empty, too.
        assert_eq!(set_aside, length > 1, "{length} of {} bytes", file.len());
    }
    assert!(!check(&path(&directory), &file, &records, &sealer));
}

#[test]
fn a_flipped_bit_of_the_header_or_of_the_schema_never_makes_a_later_version() {
    let sealer = KeySealer::new([7; 32]);
    let records = sealed_records(&sealer);
    let file = file_with(&records);
    let directory = directory();
    // The header has 100 bytes.
    for bit in (0..800).chain((800..1024 * 8).step_by(37)) {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(path(&directory), &flipped).unwrap();
        assert!(FileOutbox::open(path(&directory)).is_ok(), "bit {bit}");
        check(&path(&directory), &flipped, &records, &sealer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_file_is_read_or_set_aside(
        bits in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        blocks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
        noise in prop::option::of((any::<prop::sample::Index>(), 1..2000_usize, any::<u64>())),
        length: prop::sample::Index,
        cut in prop::bool::weighted(0.2),
    ) {
        let sealer = KeySealer::new([7; 32]);
        let records = sealed_records(&sealer);
        let mut file = file_with(&records);
        for (from, to) in blocks {
            let [from, to] = [from, to].map(|block| block.index(file.len() / 512) * 512);
            file.copy_within(from..from + 512, to);
        }
        if let Some((at, length, seed)) = noise {
            let at = at.index(file.len());
            let end = file.len().min(at + length);
            file[at..end].copy_from_slice(&bytes(seed, end - at));
        }
        for bit in bits {
            let bit = bit.index(file.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        let directory = directory();
        check(&path(&directory), &file, &records, &sealer);
    }

    #[test]
    fn any_bytes_are_set_aside(file in prop::collection::vec(any::<u8>(), 2..3000), begins_well: bool) {
        let directory = directory();
        let file = if begins_well { [b"SQLite format 3\0", &*file].concat() } else { file };
        prop_assert!(check(&path(&directory), &file, &[], &KeySealer::new([7; 32])));
    }
}

/// Changes the database by SQL, as another program would.
fn with_sql(path: &Path, sql: &str) {
    drop(FileOutbox::open(path).unwrap());
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn the_database_of_another_application_is_set_aside() {
    let directory = directory();
    let path = path(&directory);
    for sql in [
        "PRAGMA application_id = 7",
        "PRAGMA application_id = 0",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 131073",
        "PRAGMA journal_mode = WAL; INSERT INTO records VALUES (1, zeroblob(1024), x'', x'')",
        "CREATE TABLE other (id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER trap AFTER INSERT ON records BEGIN DELETE FROM records; END",
        "CREATE VIEW trap AS SELECT * FROM records",
        "CREATE INDEX another ON records (state)",
        "DROP TABLE records; CREATE TABLE records (id INTEGER PRIMARY KEY, filler, state, content)",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = sql || ' '",
        "PRAGMA auto_vacuum = FULL; VACUUM",
        "PRAGMA page_size = 4096; VACUUM",
        "PRAGMA ignore_check_constraints = ON; INSERT INTO records VALUES (1, x'', x'', zeroblob(2000000))",
        "PRAGMA ignore_check_constraints = ON; INSERT INTO records VALUES (1, x'', x'', x'')",
        "WITH RECURSIVE id (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM id WHERE id < 10001)
         INSERT INTO records SELECT id, zeroblob(1024), x'', x'' FROM id",
    ] {
        with_sql(&path, sql);
        let mut outbox = FileOutbox::open(&path).unwrap();
        assert!(outbox.set_aside().is_some(), "{sql}");
        outbox.commit(&[put(&record(1, 1, 1))]).unwrap();
        assert_eq!(load(&mut outbox), [record(1, 1, 1)], "{sql}");
        outbox.clear(&[record(1, 1, 1).id]).unwrap();
    }
}

#[test]
fn a_file_that_is_too_large_is_set_aside_unread() {
    let directory = directory();
    // The file has a hole, and takes no room on the disk.
    File::create(path(&directory)).unwrap().set_len((64 << 20) + 1).unwrap();
    assert!(FileOutbox::open(path(&directory)).unwrap().set_aside().is_some());
}

#[test]
fn a_later_version_stays_as_it_is() {
    let directory = directory();
    let path = path(&directory);
    with_sql(&path, "PRAGMA user_version = 131074; CREATE TABLE later (id)");
    let before = fs::read(&path).unwrap();
    assert_eq!(FileOutbox::open(&path).unwrap_err(), OutboxError::newer(2, 1));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!beside(&path, ".unreadable").exists());
}

#[test]
fn one_file_is_set_aside_at_most() {
    let directory = directory();
    let path = path(&directory);
    for text in ["older", "newer"] {
        fs::write(&path, text).unwrap();
        FileOutbox::open(&path).unwrap();
        assert_eq!(fs::read_to_string(beside(&path, ".unreadable")).unwrap(), text);
    }
}

#[test]
fn a_file_that_was_set_aside_is_removed_after_a_day() {
    let directory = directory();
    let path = path(&directory);
    let aside = beside(&path, ".unreadable");
    let hour = Duration::from_secs(60 * 60);
    let set_age = |modified| {
        File::options().write(true).open(&aside).unwrap().set_modified(modified).unwrap();
    };

    // The day begins when the file is set aside, not when it was written last.
    fs::write(&path, "damaged").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    drop(FileOutbox::open(&path).unwrap());
    drop(FileOutbox::open(&path).unwrap());
    assert!(aside.exists());

    set_age(SystemTime::now() - 23 * hour);
    drop(FileOutbox::open(&path).unwrap());
    assert!(aside.exists());

    set_age(SystemTime::now() - 25 * hour);
    drop(FileOutbox::open(&path).unwrap());
    assert!(!aside.exists());

    // The clock was set back.
    fs::write(&aside, "damaged").unwrap();
    set_age(SystemTime::now() + hour);
    drop(FileOutbox::open(&path).unwrap());
    assert!(!aside.exists());
}

#[test]
fn damage_while_the_outbox_is_open_is_an_error() {
    let directory = directory();
    let path = path(&directory);
    let mut outbox = FileOutbox::open(&path).unwrap();
    let records: Vec<_> = (0..2000).map(|id| record(id, 100, 2000)).collect();
    outbox.commit(&records.iter().map(put).collect::<Vec<_>>()).unwrap();
    // More than what SQLite has in memory.
    let length = fs::metadata(&path).unwrap().len();
    fs::write(&path, bytes(1, usize::try_from(length).unwrap())).unwrap();
    assert!(matches!(outbox.load(), Err(OutboxError::Storage(_))));
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    assert!(matches!(outbox.clear(&ids), Err(OutboxError::Storage(_))));
    drop(outbox);
    assert!(FileOutbox::open(&path).unwrap().set_aside().is_some());
}
