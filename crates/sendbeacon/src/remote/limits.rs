//! The limits of a channel, which both ends check.

/// The version of the protocol, which the first frame names. Every change of a frame or of a limit changes it.
pub(super) const VERSION: u32 = 6;

/// The largest payload, in bytes. A full body, the longest URL and the policies of a document fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// How many bytes of credits a content process has from the beginning. The network process takes them out of its memory
/// limits when the channel is made.
pub(super) const FIRST_CREDITS: u64 = 1 << 20;

/// How many bytes of credits a content process keeps when nothing is unfinished. It asks for more when it has less.
pub(super) const KEPT_CREDITS: u64 = 256 << 10;

/// How many bytes of credits the network process lends at a time, if it has as many.
pub(super) const LOAN: u64 = 1 << 20;

/// How many bytes the policies of a document may have, serialised.
pub(super) const MAX_POLICIES: usize = 64 << 10;

/// How many fetch groups of a content process the network process knows at once. It knows those that have sent a
/// request.
pub(super) const MAX_GROUPS: usize = 65_536;

/// How many bytes of memory the settings objects of these groups may take.
pub(super) const MAX_CLIENTS: usize = 64 << 20;

/// How many pieces of a response may be on their way to a content process that has not taken them.
pub(super) const WINDOW: usize = 4;

/// How many bytes of a body may be in one frame.
pub(super) const MAX_PIECE: usize = 64 << 10;
