//! A shared library that WebKitGTK loads into its web processes.
//!
//! In main frames and in most other frames it replaces `navigator.sendBeacon()` and `fetch()` with `keepalive`. To main
//! frames it adds `fetchLater()`. They call the library in the web process (`sendbeacon::remote`), which answers at once. A
//! beacon that was answered with `true` is in the kernel's hands, on its way to the app.
//!
//! An app with `sendbeacon-webkitgtk6` names the folder of this library:
//! `WebContext::set_web_process_extensions_directory`. Until that app has told it the policies of a document, and in any
//! other app, documents have WebKit's own functions.
#![cfg(any(
    target_os = "linux",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]

mod api;
mod page;
mod raw;
