//! The native functions of the prelude, one module for an API.
//!
//! They take strings that are well-formed (the prelude sees to that) and bytes as base64, which the
//! engine makes of a `Uint8Array` at its own speed: rquickjs lends the bytes themselves only to
//! `unsafe` code.

#![allow(clippy::needless_pass_by_value, reason = "rquickjs hands over arguments it has made")]

mod beacon;
mod body;
mod console;
mod crypto;
mod document;
mod encoding;
mod fetch;
mod fetch_later;
mod history;
mod markup;
mod navigable;
pub(super) mod performance;
mod storage;
mod timers;
mod tree;
mod url;
mod worker;

use std::rc::Rc;

use data_url::forgiving_base64;
use rquickjs::{
    ArrayBuffer, Ctx, Exception, Function, Object, Value,
    function::{Rest, This},
};

use super::window::Window;

/// An object with all native functions of a realm.
pub(super) fn install<'js>(ctx: &Ctx<'js>, window: &Rc<Window>) -> rquickjs::Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    beacon::install(&native, window)?;
    console::install(&native, window)?;
    crypto::install(&native)?;
    document::install(&native, window)?;
    encoding::install(&native)?;
    fetch::install(&native, window)?;
    fetch_later::install(&native, window)?;
    history::install(&native, window)?;
    markup::install(&native, window)?;
    navigable::install(&native, window)?;
    performance::install(&native, window)?;
    storage::install(&native, window)?;
    timers::install(&native, window)?;
    tree::install(&native, window)?;
    url::install(&native)?;
    worker::install(&native, window)?;
    Ok(native)
}

/// Runs an algorithm that a script has called: no microtask runs in it.
fn nested<T>(window: &Window, algorithm: impl FnOnce() -> T) -> T {
    let depth = &window.shared().nested;
    depth.set(depth.get() + 1);
    let result = algorithm();
    depth.set(depth.get() - 1);
    result
}

/// The native functions of the agent: `traps`, a function for each trap of a `Proxy`, which calls that of
/// the handler's `steps` with the global object of whoever asks before the arguments. A native function is
/// called in the realm of its caller, as no other is.
pub(super) fn install_agent<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
    const TRAPS: [&str; 12] = [
        "apply",
        "defineProperty",
        "deleteProperty",
        "get",
        "getOwnPropertyDescriptor",
        "getPrototypeOf",
        "has",
        "isExtensible",
        "ownKeys",
        "preventExtensions",
        "set",
        "setPrototypeOf",
    ];
    let traps = Object::new(ctx.clone())?;
    for name in TRAPS {
        let trap = move |ctx: Ctx<'js>, handler: This<Object<'js>>, arguments: Rest<Value<'js>>| {
            let steps: Object = handler.get("steps")?;
            let step: Function = steps.get(name)?;
            step.call::<_, Value>((handler, ctx.globals(), arguments))
        };
        traps.set(name, Function::new(ctx.clone(), trap)?)?;
    }
    let native = Object::new(ctx.clone())?;
    native.set("traps", traps)?;
    Ok(native)
}

/// The bytes a buffer's base64 stands for.
fn bytes_from_base64(ctx: &Ctx<'_>, base64: &str) -> rquickjs::Result<Vec<u8>> {
    forgiving_base64::decode_to_vec(base64.as_bytes())
        .map_err(|_| Exception::throw_internal(ctx, "the engine's base64 is not base64"))
}

fn buffer<'js>(ctx: &Ctx<'js>, bytes: Vec<u8>) -> rquickjs::Result<ArrayBuffer<'js>> {
    ArrayBuffer::new(ctx.clone(), bytes)
}
