//! What differs between the APIs of WebKitGTK: here that of the API 4.1 (GTK 3).
//!
//! `sendbeacon-webkitgtk6-extension` has a file of its own in place of this one. It shares the other files but `lib.rs`.

#![allow(unsafe_code)]

use glib::gobject_ffi::GObject;

/// Types of WebKit and `JavaScriptCore`, and the traits with the methods of objects.
pub(crate) mod prelude {
    pub(crate) use glib::prelude::*;
    pub(crate) use javascriptcore::{
        Context, ContextExt as _, Value, ValueExt as _, WeakValue, WeakValueExt as _,
    };
    pub(crate) use webkit2gtk::{UserMessage, UserMessageExt as _, ffi::WebKitUserMessage};
}

/// WebKit calls it when it has loaded this library into a web process.
///
/// # Safety
/// `extension` is a `WebKitWebExtension`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn webkit_web_extension_initialize(extension: *mut GObject) {
    // SAFETY: it is an object, says the caller.
    unsafe { crate::raw::initialize(extension) }
}
