//! The native functions that the prelude calls, one module for each API.
//!
//! The prelude passes well-formed strings, so that they can become a `String`. It passes bytes as base64, which the engine
//! can make of a `Uint8Array`: with rquickjs only `unsafe` code can read the bytes themselves.

#![allow(clippy::needless_pass_by_value, reason = "rquickjs hands over arguments it has made")]

/// Defines native functions: `functions! { native, window, "name" => |this, argument: Type| body, }` sets `native.name` to
/// a function whose `this` is a reference to the window.
macro_rules! functions {
    ($native:ident, $window:ident, $($name:literal => |$this:ident $(, $arg:ident: $type:ty)*| $body:expr),* $(,)?) => {
        $({
            let owner = std::rc::Rc::clone($window);
            let function = move |$($arg: $type),*| {
                let $this = &owner;
                $body
            };
            $native.set($name, rquickjs::Function::new($native.ctx().clone(), function)?)?;
        })*
    };
}

mod beacon;
mod body;
mod compression;
mod console;
mod crypto;
mod document;
mod encoding;
mod fetch;
mod fetch_later;
mod history;
mod image;
mod markup;
mod mutations;
mod navigable;
pub(super) mod performance;
mod remote;
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

/// Creates the object with all native functions of a realm.
pub(super) fn install<'js>(ctx: &Ctx<'js>, window: &Rc<Window>) -> rquickjs::Result<Object<'js>> {
    let native = bare_object(ctx)?;
    beacon::install(&native, window)?;
    compression::install(&native)?;
    console::install(&native, window)?;
    crypto::install(&native)?;
    document::install(&native, window)?;
    encoding::install(&native)?;
    fetch::install(&native, window)?;
    fetch_later::install(&native, window)?;
    history::install(&native, window)?;
    image::install(&native, window)?;
    markup::install(&native, window)?;
    mutations::install(&native, window)?;
    navigable::install(&native, window)?;
    performance::install(&native, window)?;
    storage::install(&native, window)?;
    timers::install(&native, window)?;
    tree::install(&native, window)?;
    url::install(&native)?;
    worker::install(&native, window)?;
    Ok(native)
}

/// Creates the object with the native functions of a window whose document another process runs.
pub(super) fn install_remote<'js>(
    ctx: &Ctx<'js>,
    window: &Rc<Window>,
) -> rquickjs::Result<Object<'js>> {
    let native = bare_object(ctx)?;
    navigable::install(&native, window)?;
    remote::install(&native, window)?;
    Ok(native)
}

/// Creates an object without a prototype. So what a page has put on `Object.prototype` is not seen when properties of the
/// object are set or are absent.
pub(super) fn bare_object<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set_prototype(None)?;
    Ok(object)
}

/// Runs an algorithm that a script has called. No microtask runs meanwhile.
fn nested<T>(window: &Window, algorithm: impl FnOnce() -> T) -> T {
    let depth = &window.shared().nested;
    depth.set(depth.get() + 1);
    let result = algorithm();
    depth.set(depth.get() - 1);
    result
}

/// Creates the object with the native functions of the agent: `traps`, a function for each trap of a `Proxy`.
///
/// The engine runs a native function in the realm of its caller; it runs a JavaScript function in the function's own
/// realm. So a native trap knows its caller. It calls the step of the same name in the handler's `steps`, and passes the
/// caller's global object before the arguments of the trap.
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
    let traps = bare_object(ctx)?;
    for name in TRAPS {
        let trap = move |ctx: Ctx<'js>, handler: This<Object<'js>>, arguments: Rest<Value<'js>>| {
            let steps: Object = handler.get("steps")?;
            let step: Function = steps.get(name)?;
            step.call::<_, Value>((handler, ctx.globals(), arguments))
        };
        traps.set(name, Function::new(ctx.clone(), trap)?)?;
    }
    let native = bare_object(ctx)?;
    native.set("traps", traps)?;
    Ok(native)
}

/// Decodes the bytes that the prelude has passed as base64.
fn bytes_from_base64(ctx: &Ctx<'_>, base64: &str) -> rquickjs::Result<Vec<u8>> {
    forgiving_base64::decode_to_vec(base64.as_bytes())
        .map_err(|_| Exception::throw_internal(ctx, "the engine's base64 is not base64"))
}

/// Converts a number to a JavaScript number. Identifiers are counted up from one, and sizes are those of bodies in memory,
/// so they are far below 2⁵³.
#[allow(clippy::cast_precision_loss, reason = "the number is far below 2⁵³")]
fn to_number(value: u64) -> f64 {
    value as f64
}

/// The inverse of [`to_number`].
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number was made of a u64"
)]
fn from_number(number: f64) -> u64 {
    number as u64
}

fn buffer<'js>(ctx: &Ctx<'js>, bytes: Vec<u8>) -> rquickjs::Result<ArrayBuffer<'js>> {
    ArrayBuffer::new(ctx.clone(), bytes)
}
