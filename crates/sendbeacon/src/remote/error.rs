//! The errors that end a channel.

use std::io;

use thiserror::Error;

use super::limits::VERSION;
use crate::request_frame::FrameError;

/// Why the network process ended a channel. The requests that had been received before go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The channel could not be read, or no thread could be started. The source says why.
    #[error("the channel could not be read or its thread could not be started")]
    Io(#[from] io::Error),
    /// The content process has another version of this library.
    #[error(
        "the content process speaks version {0} of the protocol, and this process version {VERSION}"
    )]
    Version(u32),
    /// A frame is larger than the protocol allows.
    #[error("a frame has {0} bytes, more than the protocol allows")]
    TooLarge(u32),
    /// The bytes are not a frame, or the frame may not come at this point.
    #[error("a malformed frame: {0}")]
    Malformed(String),
    /// The content process has sent a client that its [`Pin`](super::Pin) does not allow.
    #[error("the pin does not allow the {0} of a client")]
    Pin(&'static str),
    /// The content process has more unfinished requests, or bytes in them, than the quota of a fetch group or the
    /// credits of the channel allow.
    #[error("there are more unfinished requests, or bytes in them, than the quota allows")]
    Quota,
    /// No script can have made this request.
    #[error("a request has a method, a referrer or a URL that no script can have given it")]
    Request,
    /// The content process has more than 65,536 fetch groups, or its settings objects take more than 64 MiB of
    /// memory.
    #[error("there are too many fetch groups, or their settings objects are too large")]
    Groups,
}

impl ChannelError {
    #[allow(clippy::needless_pass_by_value)] // So that `map_err` can take it.
    pub(super) fn malformed(reason: impl ToString) -> Self {
        Self::Malformed(reason.to_string())
    }
}

impl From<FrameError> for ChannelError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Malformed(reason) => Self::Malformed(reason),
            FrameError::Request => Self::Request,
        }
    }
}
