//! The beacons of WebKitGTK's pages, delivered by the app, also when the window closes.
//!
//! [`Beacons::attach`] connects a webview to a [`UserAgent`](sendbeacon::UserAgent). From then on the app sends what the
//! webview's pages pass to `navigator.sendBeacon()`. A webview that is destroyed, with its window or without, first leaves
//! its page in the background, so that its page's handlers run and their beacons reach the app. [`Beacons::quit`] does that
//! for every webview, and then waits for the beacons.
//!
//! If the app names the folder of `sendbeacon-webkitgtk6-extension`
//! (`WebContext::set_web_process_extensions_directory`), WebKit loads that library into its web processes, and shows the
//! folder to their sandbox. There the functions are native, in frames too. Otherwise a script in the main frame posts
//! messages.
//!
//! Everything happens on the main thread, with the API 6.0 of WebKitGTK (GTK 4).
#![cfg(any(
    target_os = "linux",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]

mod api;
mod attached;
mod beacons;
mod cookies;
mod head;
mod main_thread;
mod raw;
mod web_processes;

pub use self::beacons::Beacons;
