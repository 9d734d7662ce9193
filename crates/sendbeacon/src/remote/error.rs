//! Why a channel was ended.

use std::io;

use thiserror::Error;

use super::limits::VERSION;

/// Why a channel ended before the content process did. Whatever it had sent before is not affected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// It could not be read, or no thread could be started.
    #[error("the channel failed: {0}")]
    Io(#[from] io::Error),
    /// The content process has another version of this library.
    #[error("the content process speaks version {0}, and this one version {VERSION}")]
    Version(u32),
    /// A frame is larger than any there is.
    #[error("a frame of {0} bytes")]
    TooLarge(u32),
    /// Bytes that are no frame, or a frame that cannot come now.
    #[error("a malformed frame: {0}")]
    Malformed(String),
    /// A document that this content process does not run.
    #[error("the {0} of a client is not the one pinned")]
    Pin(&'static str),
    /// More is unfinished than the content process may have, by the quota of a fetch group or the
    /// credits of the channel.
    #[error("more unfinished fetches, or bytes in them, than there is room for")]
    Quota,
    /// A request that no script can have made.
    #[error("a request with a method or a referrer that no script can have given it")]
    Request,
    /// More than 65,536 fetch groups at once, or more than 16 MiB of settings objects.
    #[error("too many fetch groups, or too much in their settings objects")]
    Groups,
}

impl ChannelError {
    #[allow(clippy::needless_pass_by_value)] // for `map_err`
    pub(super) fn malformed(reason: impl ToString) -> Self {
        Self::Malformed(reason.to_string())
    }
}
