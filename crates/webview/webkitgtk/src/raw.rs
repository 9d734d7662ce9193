//! What the bindings of WebKitGTK and GObject do not have. All `unsafe` code of this crate is here.
//!
//! Everything is called on the main thread, the only one on which GTK works.

#![allow(unsafe_code)]

use std::{
    cell::RefCell,
    collections::HashMap,
    mem::ManuallyDrop,
    os::fd::{FromRawFd, OwnedFd},
    ptr,
    sync::OnceLock,
};

use glib::{
    gobject_ffi::{
        G_SIGNAL_MATCH_ID, GObject, GObjectClass, g_signal_handler_disconnect,
        g_signal_handler_find, g_signal_lookup, g_type_class_ref,
    },
    prelude::*,
    translate::{IntoGlib, ToGlibPtr, from_glib_none},
};
use gtk::gio::{UnixFDList, ffi::g_unix_fd_list_get};

use crate::api::prelude::{UserContentManager, WebView, ffi};

type Dispose = unsafe extern "C" fn(*mut GObject);

/// What `dispose` of WebKit's class `WebKitWebView` was.
static ORIGINAL: OnceLock<Dispose> = OnceLock::new();

type Keep = Box<dyn FnOnce(WebView)>;

thread_local! {
    /// The watched webviews, by their addresses. `None` after the first time, and until it is let go: a window destroys its
    /// webviews, and then their owner does it again.
    ///
    /// NB: it is not dropped when the thread ends, because GTK may dispose of webviews even after that.
    static WATCHED: ManuallyDrop<RefCell<HashMap<usize, Option<Keep>>>> = ManuallyDrop::default();
}

/// Calls `f` with the watched webviews.
fn with_watched<T>(f: impl FnOnce(&mut HashMap<usize, Option<Keep>>) -> T) -> T {
    WATCHED.with(|watched| f(&mut watched.borrow_mut()))
}

/// Calls `keep` with the webview in place of disposing of it for the first time, and does nothing in place of disposing
/// of it again. So it outlives its window and its owner, until it is [let go](let_go).
pub(crate) fn keep_when_disposed(webview: &WebView, keep: impl FnOnce(WebView) + 'static) {
    install();
    with_watched(|watched| watched.insert(address(webview), Some(Box::new(keep))));
}

/// Watches the webview no longer. If its owner has destroyed it, [`destroy`] it now.
pub(crate) fn let_go(webview: &WebView) {
    let watched = with_watched(|watched| watched.remove(&address(webview)));
    drop(watched);
}

/// The watched webview at this address.
pub(crate) fn webview_at(address: usize) -> Option<WebView> {
    let is_watched = with_watched(|watched| watched.contains_key(&address));
    // SAFETY: a watched webview is alive. At the first `dispose` the caller gets a reference, and holds it until the
    // webview is let go, which takes it out of the map.
    is_watched.then(|| unsafe { from_glib_none(address as *mut ffi::WebKitWebView) })
}

/// Destroys the webview.
pub(crate) fn destroy(webview: &WebView) {
    // SAFETY: nothing uses the webview after this but its last references, which GTK allows.
    unsafe { webview.run_dispose() }
}

/// The address of the webview, which is its identity.
pub(crate) fn address(webview: &WebView) -> usize {
    webview.as_ptr() as usize
}

/// Puts [`dispose`] in the class of all webviews.
fn install() {
    ORIGINAL.get_or_init(|| {
        // SAFETY: `g_type_class_ref` returns the class of the type, which is a `GObjectClass` at its beginning because
        // webviews are objects. The reference is never given back, so the class stays. Only the main thread makes and
        // disposes of webviews, so nothing reads the pointer while it is written. GObject asks for the pointer at each call.
        unsafe {
            let class: *mut GObjectClass =
                g_type_class_ref(WebView::static_type().into_glib()).cast();
            let original = (*class).dispose.expect("GObject itself has a `dispose`");
            (*class).dispose = Some(dispose);
            original
        }
    });
}

/// Replaces `dispose` of webviews.
///
/// # Safety
/// GObject calls it, with a webview.
unsafe extern "C" fn dispose(object: *mut GObject) {
    let watched = with_watched(|watched| watched.get_mut(&(object as usize)).map(Option::take));
    match (watched, ORIGINAL.get()) {
        // SAFETY: `object` is a webview, and alive. The new reference keeps it so, also if this is the last one: GObject
        // allows `dispose` to revive an object.
        (Some(Some(keep)), _) => {
            keep(unsafe { from_glib_none(object.cast::<ffi::WebKitWebView>()) });
        }
        // SAFETY: it is the function that GObject would have called.
        (None, Some(original)) => unsafe { original(object) },
        (Some(None), _) | (None, None) => {}
    }
}

/// Disconnects every handler of these signals, those of others included.
pub(crate) fn disconnect_handlers(webview: &WebView, signals: &[&std::ffi::CStr]) {
    let object: *mut GObject = webview.upcast_ref::<glib::Object>().to_glib_none().0;
    for signal in signals {
        // SAFETY: the object is alive, and with this mask `g_signal_handler_find` reads the identifier of the signal only. Each
        // handler that it finds is one of the object, so it may be disconnected.
        //
        // NB: `g_signal_handlers_disconnect_matched` does nothing for this mask before GLib 2.78.
        unsafe {
            let id = g_signal_lookup(signal.as_ptr(), WebView::static_type().into_glib());
            let find = || {
                let (closure, func, data) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
                g_signal_handler_find(object, G_SIGNAL_MATCH_ID, id, 0, closure, func, data)
            };
            // 0 is no handler.
            while let handler @ 1.. = find() {
                g_signal_handler_disconnect(object, handler);
            }
        }
    }
}

/// Registers a handler of messages with answers, in the world of the page's scripts. The binding cannot name that world.
pub(crate) fn register_message_handler(manager: &UserContentManager, name: &std::ffi::CStr) {
    // SAFETY: the manager is alive, the name ends with NUL, and a world may be NULL: then it is the page's.
    unsafe {
        ffi::webkit_user_content_manager_register_script_message_handler_with_reply(
            manager.to_glib_none().0,
            name.as_ptr(),
            ptr::null(),
        );
    }
}

/// The file descriptor that a message has brought.
pub(crate) fn file_descriptor(list: &UnixFDList) -> Option<OwnedFd> {
    // SAFETY: the list is alive, and an error may go unheard.
    let descriptor = unsafe { g_unix_fd_list_get(list.to_glib_none().0, 0, ptr::null_mut()) };
    // SAFETY: the list has duplicated the descriptor, and the caller owns the duplicate. A message without a descriptor
    // gives -1.
    (descriptor != -1).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}
