//! The identifier of a webview.

/// A webview that a [`Bridge`](crate::Bridge) has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WebviewId(pub(crate) u64);
