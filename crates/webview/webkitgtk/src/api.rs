//! What differs between the APIs of WebKitGTK: here that of the API 4.1 (GTK 3).
//!
//! `sendbeacon-webkitgtk6` has a file of its own in place of this one. It shares the other files but `lib.rs`.

use std::any::Any;

use gtk::{gio::Cancellable, prelude::*};
use webkit2gtk::{CookieManager, CookieManagerExt, WebContext, WebView, WebViewExt};

/// WebKit's types, and the traits with their methods.
pub(crate) mod prelude {
    pub(crate) use javascriptcore::ValueExt as _;
    pub(crate) use webkit2gtk::{
        CookieManager, LoadEvent, PolicyDecisionType, ResponsePolicyDecision, Settings,
        URIResponse, UserContentInjectedFrames, UserContentManager, UserMessage, UserScript,
        UserScriptInjectionTime, WebView, ffi,
    };
    // NB: traits of GTK have some of these names.
    pub(crate) use webkit2gtk::{
        CookieManagerExt as _, ResponsePolicyDecisionExt as _, SettingsExt as _,
        URIResponseExt as _, UserContentManagerExt as _, UserMessageExt as _, WebContextExt as _,
        WebResourceExt as _, WebViewExt,
    };
}

/// What has the cookies of a webview.
pub(crate) type Session = WebContext;

/// What has the cookies of the webview.
pub(crate) fn session(webview: &WebView) -> Option<Session> {
    webview.context()
}

/// Adds a cookie, and drops `done` when WebKit has stored it.
pub(crate) fn add_cookie(manager: &CookieManager, cookie: &mut soup::Cookie, done: impl Any) {
    manager.add_cookie(cookie, None::<&Cancellable>, |_| drop(done));
}

/// The window that shows the webview.
pub(crate) fn window(webview: &WebView) -> Option<gtk::Widget> {
    webview.toplevel().filter(WidgetExt::is_toplevel)
}

/// Takes the webview out of what shows it.
pub(crate) fn take_out(webview: &WebView) {
    let container = webview.parent().and_then(|parent| parent.downcast::<gtk::Container>().ok());
    if let Some(container) = container {
        container.remove(webview);
    }
}
