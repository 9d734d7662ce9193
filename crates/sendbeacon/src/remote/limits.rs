//! What may cross a channel at most: both ends keep to it.

/// Said first, and changed with every change of what is in this file.
pub(super) const VERSION: u32 = 3;

/// The largest payload, in bytes: a full body, the longest URL and the policies of a document fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// How many fetches of a channel may be unfinished, and how many bytes their frames may have. A content
/// process that keeps to it is never refused by the network process.
pub(super) const MAX_UNFINISHED: Cost = Cost { fetches: 16_384, bytes: 64 << 20 };

/// How long the policies of a document may be, serialised, in bytes.
pub(super) const MAX_POLICIES: usize = 64 << 10;

/// How many fetch groups a content process may have at once, of those that have fetched.
pub(super) const MAX_GROUPS: usize = 65_536;

/// How many bytes of settings objects a content process may have there at once, as they are sent.
pub(super) const MAX_CLIENTS: usize = 16 << 20;

/// How many headers a request or a response may have.
pub(super) const MAX_HEADERS: usize = 1_000;

/// How many pieces of a response are on their way to a content process that has not taken them yet.
pub(super) const WINDOW: usize = 4;

/// The most bytes of a body in one frame.
pub(super) const MAX_PIECE: usize = 64 << 10;

/// What a fetch takes of [`MAX_UNFINISHED`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) fetches: u64,
    pub(super) bytes: u64,
}

impl Cost {
    /// The cost of a fetch whose frame has a payload of this length.
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
