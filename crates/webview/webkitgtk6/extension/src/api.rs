//! What differs between the APIs of WebKitGTK: here that of the API 6.0 (GTK 4).
//!
//! `sendbeacon-webkitgtk-extension` has a file of its own in place of this one, for the API 4.1. Both crates share the other
//! files but `lib.rs`.

#![allow(unsafe_code)]

use glib::gobject_ffi::GObject;

/// Types of WebKit and `JavaScriptCore`, and the traits with the methods of objects.
pub(crate) mod prelude {
    pub(crate) use glib::prelude::*;
    pub(crate) use javascriptcore::{Context, Value, WeakValue};
    pub(crate) use webkit6::{UserMessage, ffi::WebKitUserMessage};
}

/// WebKit calls it when it has loaded this library into a web process.
///
/// # Safety
/// `extension` is a `WebKitWebProcessExtension`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn webkit_web_process_extension_initialize(extension: *mut GObject) {
    // SAFETY: it is an object, says the caller.
    unsafe { crate::raw::initialize(extension) }
}
