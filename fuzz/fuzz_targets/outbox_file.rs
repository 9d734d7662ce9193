//! The bytes of an outbox's file, which somebody else may have written.
#![no_main]

use std::{env, fs, path::PathBuf, process, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId};
use sendbeacon_outbox::FileOutbox;

/// The outbox's path. In `/dev/shm`, where there is one, writing durably takes no time.
static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { env::temp_dir() };
    let directory = parent.join(format!("sendbeacon-fuzz-{}", process::id()));
    fs::create_dir_all(&directory).expect("the directory can be made");
    directory.join("outbox")
});

fuzz_target!(|file: &[u8]| {
    fs::write(&*PATH, file).expect("the file can be written");
    let mut outbox = match FileOutbox::open(&*PATH) {
        Ok(outbox) => outbox,
        Err(OutboxError::Newer { .. }) => {
            assert_eq!(fs::read(&*PATH).expect("the file is there"), file);
            return;
        }
        Err(error) => panic!("the file is neither read nor set aside: {error}"),
    };
    let set_aside = outbox.set_aside().is_some();
    let records = outbox.load();
    if set_aside {
        assert_eq!(records, Ok(Vec::new()));
    }
    let records = records.unwrap_or_default();
    assert!(records.len() <= 10_000);
    assert!(records.iter().all(|record| record.state.len() + record.content.len() <= 1 << 20));

    let new = OutboxRecord::new(RecordId::from_u64(1), vec![1; 100], vec![2; 5000]);
    let changes = [OutboxChange::Remove(new.id), OutboxChange::Put(new.clone())];
    let added = outbox.commit(&changes);
    if set_aside {
        assert_eq!(added, Ok(()));
    }
    if let (Ok(()), Ok(records)) = (added, outbox.load()) {
        assert!(records.contains(&new));
    }
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    let states = ids.iter().map(|id| OutboxChange::set_state(*id, vec![3; 200]));
    let _ = outbox.commit(&states.collect::<Vec<_>>());
    let _ = outbox.clear(&ids);
    let _ = outbox.load();
});
