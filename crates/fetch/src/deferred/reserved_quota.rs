//! The reserved deferred-fetch quota of a navigable container.

use std::sync::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire},
};

pub(super) const KIBIBYTE: u64 = 1024;

/// A container's [reserved deferred-fetch quota](https://fetch.spec.whatwg.org/#reserved-deferred-fetch-quota).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReservedQuota {
    /// No quota.
    #[default]
    None,
    /// Minimal quota: 8 KiB.
    Minimal,
    /// Normal quota: 64 KiB.
    Normal,
}

impl ReservedQuota {
    /// The quota in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal => 8 * KIBIBYTE,
            Self::Normal => 64 * KIBIBYTE,
        }
    }
}

/// The reserved quota of a container, as a [`ReservedQuota`]. The document in the container shares it.
#[derive(Debug, Default)]
pub(super) struct Reserved(AtomicU8);

impl Reserved {
    pub(super) fn get(&self) -> ReservedQuota {
        Self::decode(self.0.load(Acquire))
    }

    /// Sets the quota, and returns the one before.
    pub(super) fn replace(&self, quota: ReservedQuota) -> ReservedQuota {
        Self::decode(self.0.swap(quota as u8, AcqRel))
    }

    fn decode(value: u8) -> ReservedQuota {
        match value {
            1 => ReservedQuota::Minimal,
            2 => ReservedQuota::Normal,
            _ => ReservedQuota::None,
        }
    }
}
