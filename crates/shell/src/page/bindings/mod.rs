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
pub(super) mod performance;
mod storage;
mod timers;
mod tree;
mod url;

use std::rc::Rc;

use data_url::forgiving_base64;
use rquickjs::{ArrayBuffer, Ctx, Exception, Object};

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
    performance::install(&native, window)?;
    storage::install(&native, window)?;
    timers::install(&native, window)?;
    tree::install(&native, window)?;
    url::install(&native)?;
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
