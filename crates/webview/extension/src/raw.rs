//! What no binding has: WebKit's API for web processes, and functions for JavaScript. The `unsafe`
//! code of this crate is here, but for the function in `api.rs` that WebKit calls.
//!
//! WebKit calls everything on the main thread of the web process, and nothing here is called on another one.

#![allow(unsafe_code)]

use std::{
    ffi::{CString, c_char, c_void},
    ptr,
};

use glib::{
    ffi::{GPtrArray, gboolean, gpointer},
    gobject_ffi::GObject,
    prelude::*,
    translate::{ToGlibPtr, from_glib, from_glib_full, from_glib_none},
};
use javascriptcore_sys::{
    JSCContext, JSCValue, jsc_value_get_type, jsc_value_new_function_variadic,
};

use crate::api::prelude::{Context, UserMessage, Value, WebKitUserMessage};

// The functions of `webkit2gtk/webkit-web-extension.h` (API 4.1, version 2.28 and later) and of
// `webkit/webkit-web-process-extension.h` (API 6.0). The objects of WebKit are `GObject`s. The binding in `api` links the
// library of its API, which has them.
unsafe extern "C" {
    fn webkit_script_world_get_default() -> *mut GObject;
    fn webkit_frame_get_id(frame: *mut GObject) -> u64;
    fn webkit_frame_is_main_frame(frame: *mut GObject) -> gboolean;
    fn webkit_frame_get_uri(frame: *mut GObject) -> *const c_char;
    fn webkit_frame_get_js_context_for_script_world(
        frame: *mut GObject,
        world: *mut GObject,
    ) -> *mut JSCContext;
    fn webkit_web_page_send_message_to_view(
        page: *mut GObject,
        message: *mut WebKitUserMessage,
        cancellable: *mut c_void,
        callback: *const c_void,
        data: gpointer,
    );
}

/// WebKit has loaded this library into a web process.
///
/// # Safety
/// `extension` is an object of WebKit's class for extensions of web processes.
pub(crate) unsafe fn initialize(extension: *mut GObject) {
    // SAFETY: it is an object, says the caller.
    let extension: glib::Object = unsafe { from_glib_none(extension) };
    crate::page::initialize(&extension);
}

/// The world of the page's scripts.
pub(crate) fn page_world() -> glib::Object {
    // SAFETY: WebKit keeps the object for as long as the process lives, and the caller gets a reference of its own.
    unsafe { from_glib_none(webkit_script_world_get_default()) }
}

/// Sends the app a message, to which nobody waits for an answer.
pub(crate) fn send_message_to_view(page: &glib::Object, message: &UserMessage) {
    // SAFETY: both objects are alive, and of the types that the function asks for: the page is one that WebKit has named in
    // a signal. Without a callback no data is used.
    unsafe {
        webkit_web_page_send_message_to_view(
            page.as_ptr(),
            message.to_glib_none().0,
            ptr::null_mut(),
            ptr::null(),
            ptr::null_mut(),
        );
    }
}

/// A `WebKitFrame`.
pub(crate) struct Frame<'a>(&'a glib::Object);

impl<'a> Frame<'a> {
    /// `frame` is one that WebKit has named in a signal.
    pub(crate) fn of(frame: &'a glib::Object) -> Self {
        Self(frame)
    }

    pub(crate) fn id(&self) -> u64 {
        // SAFETY: the frame is alive, and a `WebKitFrame`.
        unsafe { webkit_frame_get_id(self.0.as_ptr()) }
    }

    pub(crate) fn is_main(&self) -> bool {
        // SAFETY: the frame is alive, and a `WebKitFrame`.
        unsafe { from_glib(webkit_frame_is_main_frame(self.0.as_ptr())) }
    }

    pub(crate) fn uri(&self) -> Option<String> {
        // SAFETY: the frame is alive, and a `WebKitFrame`. The text is copied before WebKit can change it. It may be NULL.
        unsafe { from_glib_none(webkit_frame_get_uri(self.0.as_ptr())) }
    }

    /// The global object of the frame's document in a world.
    pub(crate) fn context(&self, world: &glib::Object) -> Option<Context> {
        // SAFETY: both objects are alive, and WebKit has named them in a signal. The caller owns the result.
        unsafe {
            let context =
                webkit_frame_get_js_context_for_script_world(self.0.as_ptr(), world.as_ptr());
            from_glib_full(context)
        }
    }
}

type Call = Box<dyn Fn(&Context, &[Value]) -> Value>;

/// A function of JavaScript that calls `call` with its arguments, and returns what `call` returns.
pub(crate) fn function(
    context: &Context,
    name: &str,
    call: impl Fn(&Context, &[Value]) -> Value + 'static,
) -> Value {
    let name = CString::new(name).unwrap_or_default();
    let call: Box<Call> = Box::new(Box::new(call));
    // SAFETY: the context is alive. For a function with any number of arguments JavaScriptCore calls back with an array of
    // values and `data`, which is what `called` takes. `data` is a `Call` until JavaScriptCore passes it to `dropped`, once,
    // when it has freed the function. The caller owns the result, which is not NULL.
    unsafe {
        from_glib_full(jsc_value_new_function_variadic(
            context.to_glib_none().0,
            name.as_ptr(),
            Some(std::mem::transmute::<CallBack, unsafe extern "C" fn()>(called)),
            Box::into_raw(call).cast(),
            Some(dropped),
            jsc_value_get_type(),
        ))
    }
}

type CallBack = unsafe extern "C" fn(*mut GPtrArray, gpointer) -> *mut JSCValue;

/// # Safety
/// The engine calls it, with an array of values and the data of [`function`].
unsafe extern "C" fn called(arguments: *mut GPtrArray, data: gpointer) -> *mut JSCValue {
    // SAFETY: `data` is the function's `Call`, and the function is alive while it is called.
    let call = unsafe { &*data.cast::<Call>() };
    // SAFETY: the array is alive during the call, and has `len` values.
    let arguments: Vec<Value> = unsafe {
        let GPtrArray { pdata, len } = &*arguments;
        let value = |at| from_glib_none((*pdata.add(at)).cast::<JSCValue>());
        (0..*len as usize).map(value).collect()
    };
    let Some(context) = Context::current() else { return ptr::null_mut() };
    let value = call(&context, &arguments);
    // JavaScriptCore takes the reference.
    value.to_glib_full()
}

/// # Safety
/// The engine calls it once, with the data of [`function`].
unsafe extern "C" fn dropped(data: gpointer) {
    // SAFETY: `data` comes from `Box::into_raw`, and nothing uses it after this.
    drop(unsafe { Box::from_raw(data.cast::<Call>()) });
}

#[cfg(test)]
mod tests;
