//! The files of an outbox on the disk: their names, their modes, and the lock.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sendbeacon_fetch::{ErrorDetail, host::OutboxError};

/// For how long a file that was set aside is kept.
const KEPT_ASIDE: Duration = Duration::from_secs(24 * 60 * 60);

/// The paths of an outbox, and its lock. No other `Files` has the same path while this one lives, in this process or
/// in another.
#[derive(Debug)]
pub(crate) struct Files {
    database: PathBuf,
    aside: PathBuf,
    lock: File,
}

impl Files {
    /// Locks the outbox at `path`.
    ///
    /// The lock is on a file of its own. It outlives the closing of the database, when that is set aside.
    pub(crate) fn lock(path: &Path) -> Result<Self, OutboxError> {
        let database = resolve(path).map_err(at(path))?;
        let lock_path = with_suffix(&database, ".lock");
        let lock = private().create(true).open(&lock_path).map_err(at(&lock_path))?;
        make_private(&lock).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OutboxError::InUse),
            Err(TryLockError::Error(error)) => return Err(at(&lock_path)(error)),
        }
        let aside = with_suffix(&database, ".unreadable");
        Ok(Self { database, aside, lock })
    }

    /// The path of the database, without symbolic links.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// The path of the file that was set aside.
    pub(crate) fn aside(&self) -> &Path {
        &self.aside
    }

    /// Makes the database's file if there is none, and returns its length in bytes. Only its owner may read or write
    /// it.
    pub(crate) fn prepare(&self) -> Result<u64, OutboxError> {
        let prepare = || match fs::symlink_metadata(&self.database) {
            Ok(metadata) if metadata.is_file() => {
                make_private(&private().open(&self.database)?)?;
                Ok(metadata.len())
            }
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create().map(|()| 0),
            Err(error) => Err(error),
        };
        prepare().map_err(at(&self.database))
    }

    /// Makes the file. It exists durably before something is written to it.
    fn create(&self) -> io::Result<()> {
        // What `SQLite` would read together with a file of this name belongs to an earlier file.
        for suffix in ["-journal", "-wal", "-shm"] {
            remove_if_there(&with_suffix(&self.database, suffix))?;
        }
        // A strange umask cannot make the mode stricter than 0600, because the mode is set again.
        make_private(&private().create_new(true).open(&self.database)?)?;
        self.sync_directory()
    }

    /// Removes everything from the database's file, durably.
    pub(crate) fn make_empty(&self) -> Result<(), OutboxError> {
        let file = private().open(&self.database).map_err(at(&self.database))?;
        file.set_len(0).and_then(|()| file.sync_all()).map_err(at(&self.database))
    }

    /// Renames the database's file, so that the next [`prepare`](Self::prepare) makes a new one. Replaces an
    /// older file that was set aside.
    pub(crate) fn set_aside(&self) -> Result<(), OutboxError> {
        let set_aside = || {
            private().open(&self.database)?.set_modified(SystemTime::now())?;
            fs::rename(&self.database, &self.aside)
        };
        set_aside().map_err(at(&self.database))
    }

    /// Removes the file that was set aside if it is too old.
    pub(crate) fn expire_aside(&self) -> Result<(), OutboxError> {
        let Ok(modified) = fs::symlink_metadata(&self.aside).and_then(|aside| aside.modified())
        else {
            return Ok(());
        };
        // A time that is still to come says nothing about the age.
        if modified.elapsed().is_ok_and(|age| age <= KEPT_ASIDE) {
            Ok(())
        } else {
            self.remove_aside()
        }
    }

    /// Removes the file that was set aside, durably.
    pub(crate) fn remove_aside(&self) -> Result<(), OutboxError> {
        let remove = || if remove_if_there(&self.aside)? { self.sync_directory() } else { Ok(()) };
        remove().map_err(at(&self.aside))
    }

    /// Makes the names of new, renamed and removed files durable. On Windows the file system does it.
    fn sync_directory(&self) -> io::Result<()> {
        if cfg!(unix) {
            // `resolve` has made an absolute path with a name.
            let directory = self.database.parent().expect("the path of a file has a parent");
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

/// Releases the lock. Closing the file is not enough: a process that is just being started has it open, too.
impl Drop for Files {
    fn drop(&mut self) {
        // It fails only if there is no lock.
        let _ = self.lock.unlock();
    }
}

/// `path` without symbolic links, so that an outbox has one lock.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(fs::canonicalize(directory.unwrap_or(Path::new(".")))?.join(name))
        }
        resolved => resolved,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Opens a file for reading and writing. A file that it makes has the mode 0600, or a stricter one.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Sets the mode 0600.
#[cfg(unix)]
fn make_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o7777 != 0o600 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// Removes a file. Returns false if the file is not there.
fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes an I/O error at `path` an error of the outbox.
fn at(path: &Path) -> impl Fn(io::Error) -> OutboxError {
    move |error| {
        let full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let detail = ErrorDetail::from(error).with_context(path.display());
        if full { OutboxError::Full(detail) } else { OutboxError::Storage(detail) }
    }
}
