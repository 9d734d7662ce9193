//! The outbox in a file.

use std::path::Path;

use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId};

use crate::{
    database::Database,
    error::OpenError,
    files::Files,
    format::{MAX_FILE_BYTES, unreadable},
};

/// An [`Outbox`] in a file: an `SQLite` database.
///
/// * **Durable.** When `commit` or `clear` returns, the changes have reached the disk. After a crash or a power cut the
///   file has each commit as a whole or not at all.
/// * **Alone.** While this value lives, no other process can open the file, and this process cannot open it a second
///   time.
/// * **Private.** On Unix only the owner may read or write the files (mode 0600). `SQLite` overwrites what is removed
///   with zeros. Of a removed record the file may keep the identifier and the lengths. Copies that the file system or
///   the medium keeps are out of reach.
/// * **Limited.** 1 MiB for a record, 10,000 records, 64 MiB for the file. Beyond the last two `commit` returns
///   [`OutboxError::Full`].
///
/// The store keeps these files:
///
/// | name | content |
/// |---|---|
/// | the path given to [`open`](Self::open) | the database |
/// | `….lock` | nothing; it is locked while the outbox is open |
/// | `….unreadable` | a file that could not be read |
/// | `…-journal` | the rollback journal of `SQLite`, which belongs to the database |
///
/// ```
/// use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId};
/// use sendbeacon_outbox::FileOutbox;
///
/// # fn main() -> Result<(), OutboxError> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("outbox");
/// let mut outbox = FileOutbox::open(&path)?;
/// let record = OutboxRecord::new(RecordId::from_u64(7), b"unsent".to_vec(), b"POST ...".to_vec());
/// outbox.commit(&[OutboxChange::Put(record.clone())])?;
/// assert_eq!(FileOutbox::open(&path).unwrap_err(), OutboxError::InUse);
/// drop(outbox);
///
/// assert_eq!(FileOutbox::open(&path)?.load()?, [record]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FileOutbox {
    // It is closed before the lock in `files` is released.
    database: Database,
    files: Files,
    set_aside: bool,
}

impl FileOutbox {
    /// Opens the outbox at `path`, or makes one there. The directory must exist.
    ///
    /// A file that is not an outbox, or is damaged, is set aside: it is renamed to `….unreadable` in place of an older
    /// one, and a new outbox is begun. [`set_aside`](Self::set_aside) tells that. The renamed file is removed by
    /// `clear`, and by `open` when it is older than 24 hours.
    ///
    /// A file that once had records and has none now gets small again.
    ///
    /// The function blocks while it reads the whole file.
    ///
    /// # Errors
    ///
    /// * [`OutboxError::InUse`] if the outbox is open.
    /// * [`OutboxError::Newer`] if a later version has written the file. The file stays as it is.
    /// * [`OutboxError::Full`] and [`OutboxError::Storage`] if the system cannot read or write a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OutboxError> {
        let files = Files::lock(path.as_ref())?;
        // If that fails it is not in the way, and is tried again at the next start.
        let _ = files.expire_aside();
        let (opened, set_aside) = match open_file(&files) {
            Err(OpenError::Unreadable(_)) => {
                files.set_aside()?;
                (open_file(&files), true)
            }
            opened => (opened, false),
        };
        let mut database = opened?;
        if database.only_has_free_pages()? {
            drop(database);
            files.make_empty()?;
            database = open_file(&files)?;
        }
        Ok(Self { database, files, set_aside })
    }

    /// The path of the file that [`open`](Self::open) could not read and has set aside. `None` if it could read the
    /// file, and after a `clear`.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.then(|| self.files.aside())
    }
}

/// Each method blocks until the disk has answered.
impl Outbox for FileOutbox {
    fn load(&mut self) -> Result<Vec<OutboxRecord>, OutboxError> {
        self.database.load()
    }

    /// When the disk is full, changes without a [`Put`](OutboxChange::Put) are made without a journal on the disk. They
    /// are still atomic, but a crash during them can damage the file.
    fn commit(&mut self, changes: &[OutboxChange]) -> Result<(), OutboxError> {
        self.database.change(changes)
    }

    fn clear(&mut self, records: &[RecordId]) -> Result<(), OutboxError> {
        // First, because that makes room on the disk. The records go even if the file stays.
        let removed = self.files.remove_aside();
        self.set_aside &= removed.is_err();
        let removals: Vec<_> = records.iter().copied().map(OutboxChange::Remove).collect();
        self.database.change(&removals).and(removed)
    }
}

/// Opens the file, or makes it.
fn open_file(files: &Files) -> Result<Database, OpenError> {
    let bytes = files.prepare().map_err(OpenError::Failed)?;
    if bytes > MAX_FILE_BYTES.into() {
        return Err(unreadable("larger than an outbox"));
    }
    Database::open(files.database())
}
