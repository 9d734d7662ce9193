//! What differs between the APIs of WebKitGTK: here that of the API 6.0 (GTK 4).
//!
//! `sendbeacon-webkitgtk` has a file of its own in place of this one, for the API 4.1. Both crates share the other files but
//! `lib.rs`.

use std::any::Any;

use gtk::{gio::Cancellable, prelude::*};
use webkit6::{CookieManager, NetworkSession, WebView, prelude::*};

/// WebKit's types, and the traits with their methods.
pub(crate) mod prelude {
    pub(crate) use webkit6::prelude::WebViewExt;
    pub(crate) use webkit6::{
        CookieManager, LoadEvent, PolicyDecisionType, ResponsePolicyDecision, Settings,
        URIResponse, UserContentInjectedFrames, UserContentManager, UserMessage, UserScript,
        UserScriptInjectionTime, WebView, ffi,
    };
}

/// What has the cookies of a webview.
pub(crate) type Session = NetworkSession;

/// What has the cookies of the webview.
pub(crate) fn session(webview: &WebView) -> Option<Session> {
    webview.network_session()
}

/// Adds a cookie, and drops `done` when WebKit has stored it.
pub(crate) fn add_cookie(manager: &CookieManager, cookie: &mut soup::Cookie, done: impl Any) {
    manager.add_cookie(cookie, None::<&Cancellable>, |_| drop(done));
}

/// The window that shows the webview.
pub(crate) fn window(webview: &WebView) -> Option<gtk::Widget> {
    webview.root().and_upcast()
}

/// Takes the webview out of what shows it, which has done so itself: GTK 4 disposes of a widget with its last reference,
/// and its parent has one.
pub(crate) fn take_out(_: &WebView) {}
