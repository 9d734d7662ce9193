//! The database in an outbox's file: how it is opened, read and changed.

use std::{fs, io, path::Path};

use rusqlite::{Connection, OpenFlags, Transaction};
use sendbeacon_fetch::{
    ErrorDetail,
    host::{OutboxChange, OutboxError, OutboxRecord, RecordId},
};

use crate::{
    error::{OpenError, outbox_error},
    format::{
        MAX_RECORD_BYTES, MAX_RECORDS, PAGE_BYTES, check_content, check_form, check_marks,
        configure, create, distrust, is_new, pragma, set_journal_mode,
    },
};

/// An open database, which no other connection can open.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    records: u32,
}

impl Database {
    /// Opens the file at `path`, which exists. An empty file becomes an outbox.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, flags)?;
        distrust(&connection)?;

        // This rolls back what an earlier process has left unfinished. From here on the file is locked.
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        let new = is_new(&connection)?;
        if !new {
            check_marks(&connection)?;
        }
        connection.execute_batch("COMMIT")?;

        configure(&connection)?;
        if new {
            create(&connection)?;
        }
        check_form(&connection, length(path)?)?;
        let records = check_content(&connection)?;
        Ok(Self { connection, records })
    }

    /// Whether there is no record, but free pages where records were.
    pub(crate) fn only_has_free_pages(&self) -> Result<bool, OutboxError> {
        let free: u32 = pragma(&self.connection, "freelist_count").map_err(outbox_error)?;
        Ok(self.records == 0 && free > 0)
    }

    /// Every record.
    pub(crate) fn load(&self) -> Result<Vec<OutboxRecord>, OutboxError> {
        let load = || {
            let mut select = self.connection.prepare("SELECT id, state, content FROM records")?;
            let rows = select.query_map([], |row| {
                let id = RecordId::from_u64(row.get::<_, i64>(0)?.cast_unsigned());
                Ok(OutboxRecord::new(id, row.get(1)?, row.get(2)?))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        load().map_err(outbox_error)
    }

    /// Makes `changes` in one transaction.
    pub(crate) fn change(&mut self, changes: &[OutboxChange]) -> Result<(), OutboxError> {
        check_sizes(changes)?;
        match self.transact(changes, "truncate") {
            // What makes the database no larger is possible without room for a journal on the disk. A crash during this
            // transaction can damage the file.
            Err(OutboxError::Full(_))
                if !changes.iter().any(|change| matches!(change, OutboxChange::Put(_))) =>
            {
                self.transact(changes, "memory")
            }
            done => done,
        }
    }

    fn transact(&mut self, changes: &[OutboxChange], journal: &str) -> Result<(), OutboxError> {
        set_journal_mode(&self.connection, journal).map_err(outbox_error)?;
        let transaction = self.connection.transaction().map_err(outbox_error)?;
        let mut records = self.records;
        for change in changes {
            apply(&transaction, change, &mut records)?;
        }
        if records > MAX_RECORDS {
            return Err(OutboxError::Full(
                format!("the outbox has {MAX_RECORDS} records at most").into(),
            ));
        }
        transaction.commit().map_err(outbox_error)?;
        self.records = records;
        Ok(())
    }
}

/// Makes one change, and counts the records.
fn apply(
    transaction: &Transaction<'_>,
    change: &OutboxChange,
    records: &mut u32,
) -> Result<(), OutboxError> {
    let rows = match change {
        OutboxChange::Put(OutboxRecord { id, state, content, .. }) => transaction.execute(
            "INSERT INTO records (id, filler, state, content) VALUES (?1, zeroblob(?2), ?3, ?4)",
            (row_id(*id), PAGE_BYTES, state, content),
        ),
        OutboxChange::SetState { id, state, .. } => {
            transaction.execute("UPDATE records SET state = ?2 WHERE id = ?1", (row_id(*id), state))
        }
        OutboxChange::Remove(id) => {
            transaction.execute("DELETE FROM records WHERE id = ?1", [row_id(*id)])
        }
        _ => return Err(OutboxError::Storage("this store does not know the change".into())),
    };
    let rows = u32::from(rows.map_err(outbox_error)? > 0);
    match change {
        OutboxChange::Put(_) => *records += rows,
        // A file that was damaged while it was open may have rows that nobody has counted.
        OutboxChange::Remove(_) => *records = records.saturating_sub(rows),
        _ => {}
    }
    Ok(())
}

/// A row's number has the same bits as the identifier of its record.
fn row_id(id: RecordId) -> i64 {
    id.to_u64().cast_signed()
}

fn length(path: &Path) -> Result<u64, OpenError> {
    let metadata = fs::metadata(path).map_err(ErrorDetail::from).map_err(OutboxError::Storage);
    metadata.map(|metadata| metadata.len()).map_err(OpenError::Failed)
}

fn check_sizes(changes: &[OutboxChange]) -> Result<(), OutboxError> {
    let bytes = |change: &OutboxChange| match change {
        OutboxChange::Put(record) => record.state.len() + record.content.len(),
        OutboxChange::SetState { state, .. } => state.len(),
        _ => 0,
    };
    match changes.iter().map(bytes).max() {
        Some(largest) if largest > MAX_RECORD_BYTES => {
            let detail =
                format!("a record of {largest} bytes is larger than {MAX_RECORD_BYTES} bytes");
            Err(OutboxError::Storage(
                ErrorDetail::new(detail).with_kind(io::ErrorKind::InvalidInput),
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    /// Bytes that a disk writes as a whole.
    const SECTOR: usize = 512;

    /// The bytes of a database and of its journal.
    type Image = (Vec<u8>, Vec<u8>);

    fn directory() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = directory.path().join("outbox");
        fs::write(&path, "").unwrap();
        (directory, path)
    }

    fn journal(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push("-journal");
        name.into()
    }

    fn image(path: &Path) -> Image {
        (fs::read(path).unwrap(), fs::read(journal(path)).unwrap())
    }

    fn record(id: u64, byte: u8, content: usize) -> OutboxRecord {
        OutboxRecord::new(RecordId::from_u64(id), vec![byte; 100], vec![byte; content])
    }

    /// A commit: what is on the disk, and the records before and after it.
    struct Commit {
        before: Vec<u8>,
        /// When everything is written, but the journal is not truncated.
        written: Image,
        after: Vec<u8>,
        old: Vec<OutboxRecord>,
        new: Vec<OutboxRecord>,
    }

    impl Commit {
        fn of(old: &[OutboxRecord], changes: &[OutboxChange]) -> Self {
            let (_directory, path) = directory();
            let mut database = Database::open(&path).unwrap();
            let puts: Vec<_> = old.iter().cloned().map(OutboxChange::Put).collect();
            database.change(&puts).unwrap();
            let before = image(&path).0;

            let transaction = database.connection.transaction().unwrap();
            let mut records = database.records;
            for change in changes {
                apply(&transaction, change, &mut records).unwrap();
            }
            // Everything is on the disk now, but the commit is not made.
            transaction.cache_flush().unwrap();
            let written = image(&path);
            assert!(written.1.len() > SECTOR, "the journal is in use");
            transaction.commit().unwrap();
            let (after, journal) = image(&path);
            assert!(journal.is_empty());
            Self { before, written, after, old: old.to_vec(), new: database.load().unwrap() }
        }
    }

    /// The records of a database with these files.
    fn records_of(database: &[u8], log: &[u8]) -> Vec<OutboxRecord> {
        let (_directory, path) = directory();
        fs::write(&path, database).unwrap();
        fs::write(journal(&path), log).unwrap();
        let mut database = Database::open(&path).unwrap();
        let records = database.load().unwrap();
        // It can be used.
        database.change(&[OutboxChange::Put(record(1000, 0, 3000))]).unwrap();
        assert_eq!(database.load().unwrap().len(), records.len() + 1);
        records
    }

    fn commits() -> [Commit; 3] {
        let old = [record(1, 1, 2000), record(2, 2, 300), record(3, 3, 0)];
        let remove = |record: &OutboxRecord| OutboxChange::Remove(record.id);
        [
            Commit::of(&old, &[OutboxChange::Put(record(4, 4, 3000))]),
            Commit::of(&old, &[remove(&old[0]), OutboxChange::set_state(old[1].id, vec![9; 100])]),
            Commit::of(
                &old,
                &[remove(&old[1]), remove(&old[2]), OutboxChange::Put(record(5, 5, 2000))],
            ),
        ]
    }

    #[test]
    fn a_power_cut_while_the_database_is_written_leaves_the_old_records() {
        for Commit { before, written: (database, journal), old, .. } in commits() {
            let length = before.len().max(database.len());
            let padded = |bytes: &[u8]| [bytes, &vec![0; length - bytes.len()]].concat();
            let (before, database) = (padded(&before), padded(&database));
            for sector in 0..=length / SECTOR {
                let at = sector * SECTOR;
                // The disk has written the sectors in order, in the other order, only one, or all but one.
                assert_eq!(records_of(&[&database[..at], &before[at..]].concat(), &journal), old);
                assert_eq!(records_of(&[&before[..at], &database[at..]].concat(), &journal), old);
                for (most, one) in [(&before, &database), (&database, &before)] {
                    let mut mixed = most.clone();
                    let range = at..length.min(at + SECTOR);
                    mixed[range.clone()].copy_from_slice(&one[range]);
                    assert_eq!(records_of(&mixed, &journal), old);
                }
            }
        }
    }

    #[test]
    fn a_power_cut_while_the_journal_is_written_leaves_the_old_records() {
        for Commit { before, written: (_, journal), old, .. } in commits() {
            for length in (0..journal.len()).step_by(37) {
                assert_eq!(records_of(&before, &journal[..length]), old);
                let zeros = vec![0; journal.len() - length];
                assert_eq!(records_of(&before, &[&journal[..length], &zeros].concat()), old);
            }
        }
    }

    #[test]
    fn a_power_cut_while_the_journal_is_truncated_leaves_the_old_or_the_new_records() {
        for Commit { written: (_, journal), after, old, new, .. } in commits() {
            assert_eq!(records_of(&after, &journal), old);
            assert_eq!(records_of(&after, &[]), new);
        }
    }

    #[test]
    fn a_power_cut_while_a_new_database_is_made_leaves_an_empty_one() {
        let (_directory, path) = directory();
        let connection = Connection::open(&path).unwrap();
        distrust(&connection).unwrap();
        configure(&connection).unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        transaction.execute_batch("CREATE TABLE records (id INTEGER PRIMARY KEY)").unwrap();
        transaction.cache_flush().unwrap();
        let (database, journal) = image(&path);
        assert!(journal.len() >= SECTOR && database.len() >= SECTOR);
        for length in 0..=database.len() / SECTOR {
            assert_eq!(records_of(&database[..length * SECTOR], &journal), []);
        }
    }
}
