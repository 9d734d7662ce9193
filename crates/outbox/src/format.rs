//! What an outbox's file contains, and the checks of a file that somebody else may have written.

use std::time::Duration;

use rusqlite::{Connection, config::DbConfig, ffi, limits::Limit, types::FromSql};
use sendbeacon_fetch::{ErrorDetail, host::OutboxError};

use crate::error::OpenError;

/// "SBOB": marks the file as an outbox.
const APPLICATION_ID: u32 = 0x5342_4f42;

/// The version of [`SCHEMA`].
const VERSION: u16 = 1;

/// The schema of an outbox.
///
/// `filler` is a page of zeros. It keeps `state` and `content` out of the pages of the B-tree: `SQLite` moves cells from
/// one of these pages to another, and does not overwrite the old place. The rest of a row is in overflow pages. They
/// belong to one row, and `SQLite` overwrites them with zeros when it frees them (`secure_delete`).
const SCHEMA: &str = "CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    filler BLOB NOT NULL CHECK (length(filler) = 1024),
    state BLOB NOT NULL,
    content BLOB NOT NULL,
    CHECK (length(state) + length(content) <= 1048576)
) STRICT";

/// Bytes of a page, and of `filler`.
pub(crate) const PAGE_BYTES: u32 = 1024;
/// The most bytes of a file.
pub(crate) const MAX_FILE_BYTES: u32 = 64 << 20;
/// The most bytes of a record.
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 20;
/// The most bytes of a row: a record, its filler and its header.
const MAX_ROW_BYTES: i32 = (1 << 20) + 4096;
/// The most records.
pub(crate) const MAX_RECORDS: u32 = 10_000;

/// Makes the connection trust neither the file nor the directory for temporary files, and takes the file for itself.
pub(crate) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)?;
    connection.execute_batch(&format!(
        "PRAGMA cell_size_check = ON;
         PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA mmap_size = 0;
         PRAGMA page_size = {PAGE_BYTES};
         PRAGMA temp_store = MEMORY;"
    ))
}

/// Sets how the file is written. `page_size` and the marks of the file stay as they are.
pub(crate) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -2000;
         PRAGMA fullfsync = ON;
         PRAGMA max_page_count = {};
         PRAGMA secure_delete = ON;
         PRAGMA synchronous = EXTRA;",
        MAX_FILE_BYTES / PAGE_BYTES
    ))?;
    set_journal_mode(connection, "truncate")
}

/// Sets where the rollback journal is.
pub(crate) fn set_journal_mode(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    let set: String =
        connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))?;
    if set == mode {
        Ok(())
    } else {
        let message = format!("the journal mode stays {set}");
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(message)))
    }
}

/// Makes a new database an outbox.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN;
         {SCHEMA};
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {};
         COMMIT;",
        twice(VERSION)
    ))
}

/// Whether this is a database in which nothing was stored yet.
pub(crate) fn is_new(connection: &Connection) -> rusqlite::Result<bool> {
    let marks =
        pragma::<i64>(connection, "application_id")? | pragma::<i64>(connection, "user_version")?;
    Ok(marks == 0
        && pragma::<i64>(connection, "page_count")? <= 1
        && schema(connection)?.is_empty())
}

/// Checks whose file it is, of which version, and that nothing of it is in a write-ahead log.
pub(crate) fn check_marks(connection: &Connection) -> Result<(), OpenError> {
    if pragma::<u32>(connection, "application_id")? != APPLICATION_ID {
        return Err(unreadable("the file of another application"));
    }
    let stored = pragma::<i32>(connection, "user_version")?.cast_unsigned();
    let version = u16::try_from(stored & 0xffff).expect("two bytes");
    if stored != twice(version) || version == 0 {
        Err(unreadable("a damaged version"))
    } else if version > VERSION {
        Err(OpenError::Failed(OutboxError::newer(version.into(), VERSION.into())))
    } else if pragma::<String>(connection, "journal_mode")? == "wal" {
        Err(unreadable("another journal"))
    } else {
        Ok(())
    }
}

/// Checks that the database has the form in which this version makes it.
/// `file_bytes` is the length of the file.
pub(crate) fn check_form(connection: &Connection, file_bytes: u64) -> Result<(), OpenError> {
    let table = ["table", "records", "records", SCHEMA].map(String::from);
    if schema(connection)? != [table] {
        return Err(unreadable("another schema"));
    }
    let same = pragma::<u32>(connection, "page_size")? == PAGE_BYTES
        && pragma::<u32>(connection, "auto_vacuum")? == 0
        && pragma::<String>(connection, "encoding")? == "UTF-8"
        && u64::from(pragma::<u32>(connection, "page_count")?) * u64::from(PAGE_BYTES)
            == file_bytes;
    if same { Ok(()) } else { Err(unreadable("another format")) }
}

/// Checks the content, and returns the number of records.
pub(crate) fn check_content(connection: &Connection) -> Result<u32, OpenError> {
    let result: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if result != "ok" {
        return Err(unreadable(&result));
    }
    let records = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
    if records > MAX_RECORDS {
        return Err(unreadable("too many records"));
    }
    Ok(records)
}

/// The version as the file has it, twice. So a flipped bit does not make it a later version.
fn twice(version: u16) -> u32 {
    u32::from(version) << 16 | u32::from(version)
}

/// Up to two entries of the schema: type, name, table and text.
fn schema(connection: &Connection) -> rusqlite::Result<Vec<[String; 4]>> {
    connection
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT 2")?
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?
        .collect()
}

/// The value of a setting.
pub(crate) fn pragma<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// The error of a file that is not an outbox for this reason.
pub(crate) fn unreadable(reason: &str) -> OpenError {
    OpenError::Unreadable(ErrorDetail::new(reason))
}
