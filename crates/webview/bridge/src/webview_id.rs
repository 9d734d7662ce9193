//! The identifier of a webview.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A webview that a [`Bridge`](crate::Bridge) has opened. No other one of the process has this identifier, also if another
/// bridge has opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WebviewId(pub(crate) u64);

impl WebviewId {
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed) + 1)
    }
}
