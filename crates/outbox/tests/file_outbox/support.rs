//! What the tests share: records, directories and paths.

use std::path::{Path, PathBuf};

use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxRecord, RecordId};
use sendbeacon_outbox::FileOutbox;
use tempfile::TempDir;

/// A directory on a disk in memory, where there is one: writing to it durably takes no time.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The path of the outbox in a directory.
pub(crate) fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("outbox")
}

/// A path that begins as the outbox's and ends with `suffix`.
pub(crate) fn beside(outbox: &Path, suffix: &str) -> PathBuf {
    let mut name = outbox.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A record with this identifier, whose parts have these lengths in bytes. No other record has the same bytes.
pub(crate) fn record(id: u64, state: usize, content: usize) -> OutboxRecord {
    OutboxRecord::new(RecordId::from_u64(id), bytes(id, state), bytes(!id, content))
}

/// Bytes that look random: the numbers of a generator with this seed (splitmix64).
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

pub(crate) fn put(record: &OutboxRecord) -> OutboxChange {
    OutboxChange::Put(record.clone())
}

/// The records of the outbox, by identifier.
pub(crate) fn load(outbox: &mut FileOutbox) -> Vec<OutboxRecord> {
    let mut records = outbox.load().unwrap();
    records.sort_by_key(|record| record.id);
    records
}
