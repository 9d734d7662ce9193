//! The outbox of a profile: its file, and the key beside it.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sendbeacon::{
    host::OutboxError,
    outbox::{FileOutbox, KeySealer, OutboxSettings},
};
use thiserror::Error;

/// Why the outbox cannot be used.
#[derive(Debug, Error)]
pub enum OutboxFileError {
    /// The file with the key cannot be read or written.
    #[error("{path}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The file cannot be used.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// Opens the outbox in the file at `path`. The key is in a file beside it, with `.key` at the end of its name; the first
/// run makes it.
///
/// NB: an app keeps the key in the key store of the system. The shell is a test bench.
pub(super) fn open(path: &Path) -> Result<(FileOutbox, OutboxSettings), OutboxFileError> {
    let key_path =
        PathBuf::from([path.as_os_str(), ".key".as_ref()].into_iter().collect::<OsString>());
    let key = key(&key_path).map_err(|reason| OutboxFileError::Key { path: key_path, reason })?;
    let outbox = FileOutbox::open(path)?;
    if let Some(aside) = outbox.set_aside() {
        eprintln!("sendbeacon-shell: the outbox could not be read and is now {}", aside.display());
    }
    Ok((outbox, OutboxSettings::default().with_sealer(Arc::new(KeySealer::new(key)))))
}

fn key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    match OpenOptions::new().read(true).open(path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            // The file gets its name when it is whole.
            let new = path.with_extension("new");
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&key)?;
            file.sync_all()?;
            fs::rename(new, path)?;
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}
