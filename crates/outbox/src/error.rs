//! Errors of `SQLite`, as errors of the outbox.

use std::io;

use rusqlite::{ErrorCode, ffi};
use sendbeacon_fetch::{ErrorDetail, host::OutboxError};

/// Why a database was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The file is not an outbox, or is damaged.
    Unreadable(ErrorDetail),
    /// Opening has failed, and that says nothing about what is in the file.
    Failed(OutboxError),
}

/// For a file that was not set aside, or that has just been made.
impl From<OpenError> for OutboxError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unreadable(detail) => Self::Storage(detail),
            OpenError::Failed(error) => error,
        }
    }
}

/// The error of an outbox that is open, or that would be.
pub(crate) fn outbox_error(error: rusqlite::Error) -> OutboxError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OutboxError::InUse,
        Some(ErrorCode::DiskFull) => {
            OutboxError::Full(ErrorDetail::of(error).with_kind(io::ErrorKind::StorageFull))
        }
        _ => OutboxError::Storage(ErrorDetail::of(error)),
    }
}

/// Tells what is wrong with the file from what is wrong with the system.
impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        let of_the_system = error.sqlite_error().is_some_and(|error| match error.code {
            ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure => true,
            // Without more detail it is the file that claims to have a later format of `SQLite`.
            ErrorCode::ReadOnly => error.extended_code != ffi::SQLITE_READONLY,
            _ => false,
        });
        if of_the_system {
            Self::Failed(outbox_error(error))
        } else {
            Self::Unreadable(ErrorDetail::of(error))
        }
    }
}
