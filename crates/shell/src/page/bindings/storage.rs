//! The native functions of `localStorage` and `sessionStorage`.

use std::rc::Rc;

use rquickjs::{Function, Object};

use super::bare_object;

use crate::page::{StorageArea, window::Window};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let local = Rc::clone(window);
    let session = Rc::clone(window);
    native.set("localStorage", area(native, move || local.environment().local_storage.clone())?)?;
    native
        .set("sessionStorage", area(native, move || session.environment().session_storage.clone())?)
}

/// Creates the functions of one storage area. They call `area` each time, because a new document in the window may have
/// another area.
fn area<'js>(
    native: &Object<'js>,
    area: impl Fn() -> StorageArea + Clone + 'js,
) -> rquickjs::Result<Object<'js>> {
    let ctx = native.ctx();
    let functions = bare_object(ctx)?;
    let this = area.clone();
    functions.set("get", Function::new(ctx.clone(), move |key: String| this().get(&key))?)?;
    let this = area.clone();
    functions.set(
        "set",
        Function::new(ctx.clone(), move |key: String, value: String| this().set(key, value))?,
    )?;
    let this = area.clone();
    functions.set("remove", Function::new(ctx.clone(), move |key: String| this().remove(&key))?)?;
    let this = area.clone();
    functions.set("clear", Function::new(ctx.clone(), move || this().clear())?)?;
    functions.set("keys", Function::new(ctx.clone(), move || area().keys())?)?;
    Ok(functions)
}
