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
        configure, create, distrust, is_new,
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
        // The outbox works without that, too.
        let _ = give_back_free_pages(&connection);
        Ok(Self { connection, records })
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
        match self.transact(changes) {
            // What makes the database no larger is possible without room for a journal on the disk. A crash during this
            // transaction can damage the file.
            Err(OutboxError::Full(_))
                if !changes.iter().any(|change| matches!(change, OutboxChange::Put(_))) =>
            {
                self.set_journal_mode("MEMORY")?;
                let done = self.transact(changes);
                self.set_journal_mode("TRUNCATE")?;
                done
            }
            done => done,
        }
    }

    fn transact(&mut self, changes: &[OutboxChange]) -> Result<(), OutboxError> {
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

    fn set_journal_mode(&self, mode: &str) -> Result<(), OutboxError> {
        let set = self.connection.execute_batch(&format!("PRAGMA journal_mode = {mode}"));
        set.map_err(outbox_error)
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
        unknown => return Err(OutboxError::Storage(format!("cannot do {unknown:?}").into())),
    };
    let rows = u32::from(rows.map_err(outbox_error)? > 0);
    match change {
        OutboxChange::Put(_) => *records += rows,
        OutboxChange::Remove(_) => *records -= rows,
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

/// Gives the space of removed records back to the file system, if it is more than half of the file.
fn give_back_free_pages(connection: &Connection) -> rusqlite::Result<()> {
    let free: u32 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let all: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if free > all / 2 { connection.execute_batch("VACUUM") } else { Ok(()) }
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
