//! The limits of a channel, which both ends check.

/// The version of the protocol, which the first frame names. Every change of a frame or of a limit changes it.
pub(super) const VERSION: u32 = 5;

/// The largest payload, in bytes. A full body, the longest URL and the policies of a document fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// The credits of a channel: how many requests may be unfinished, and how many bytes their frames may have. The
/// network process never refuses a content process that checks them.
pub(super) const MAX_UNFINISHED: Cost = Cost { fetches: 16_384, bytes: 64 << 20 };

/// How many bytes the policies of a document may have, serialised.
pub(super) const MAX_POLICIES: usize = 64 << 10;

/// How many fetch groups of a content process the network process knows at once. It knows those that have sent a
/// request.
pub(super) const MAX_GROUPS: usize = 65_536;

/// How many bytes the settings objects of these groups may have, as they are sent.
pub(super) const MAX_CLIENTS: usize = 16 << 20;

/// How many headers a request or a response may have.
pub(super) const MAX_HEADERS: usize = 1_000;

/// How many pieces of a response may be on their way to a content process that has not taken them.
pub(super) const WINDOW: usize = 4;

/// How many bytes of a body may be in one frame.
pub(super) const MAX_PIECE: usize = 64 << 10;

/// The credits that a request uses, of [`MAX_UNFINISHED`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) fetches: u64,
    pub(super) bytes: u64,
}

impl Cost {
    /// The cost of a request whose frame has a payload of this length.
    pub(super) fn of(payload_length: usize) -> Self {
        Self { fetches: 1, bytes: payload_length as u64 }
    }

    /// The sum, if it is within the limit.
    pub(super) fn plus(self, more: Self) -> Option<Self> {
        let sum = Self {
            fetches: self.fetches.checked_add(more.fetches)?,
            bytes: self.bytes.checked_add(more.bytes)?,
        };
        let fits = sum.fetches <= MAX_UNFINISHED.fetches && sum.bytes <= MAX_UNFINISHED.bytes;
        fits.then_some(sum)
    }

    pub(super) fn minus(self, less: Self) -> Self {
        Self { fetches: self.fetches - less.fetches, bytes: self.bytes - less.bytes }
    }
}
