//! The identifiers of fetches and of fetch groups.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The identifier of a fetch, unique within its user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub(crate) u64);

/// Writes the identifier as a number, for protocols that name a request.
impl fmt::Display for FetchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes the identifiers of a user agent's fetches.
#[derive(Debug, Default)]
pub(crate) struct FetchIds(AtomicU64);

impl FetchIds {
    pub(crate) fn next(&self) -> FetchId {
        FetchId(self.0.fetch_add(1, Relaxed))
    }
}

/// The identifier of a fetch group, unique within its user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupId(pub(crate) u64);
