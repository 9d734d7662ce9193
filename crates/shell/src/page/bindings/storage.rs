//! The native functions of `localStorage` and `sessionStorage`.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object};

use super::bare_object;
use crate::page::{Changed, StorageArea, StorageChange, window::Window};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let local = Rc::clone(window);
    let session = Rc::clone(window);
    native.set(
        "localStorage",
        area(native, window, move || local.environment().local_storage.clone())?,
    )?;
    native.set(
        "sessionStorage",
        area(native, window, move || session.environment().session_storage.clone())?,
    )
}

/// Creates the functions of one storage area. They call `area` each time, because a new document in the window may have
/// another area.
fn area<'js>(
    native: &Object<'js>,
    window: &Rc<Window>,
    area: impl Fn() -> StorageArea + Clone + 'js,
) -> rquickjs::Result<Object<'js>> {
    let ctx = native.ctx();
    let functions = bare_object(ctx)?;
    let this = area.clone();
    functions.set("get", Function::new(ctx.clone(), move |key: String| this().get(&key))?)?;
    // A key and a value set an item, a key alone removes it, and no key removes all items.
    let (this, window) = (area.clone(), Rc::clone(window));
    let change = move |ctx: Ctx<'js>, key: Option<String>, new_value: Option<String>| {
        let url = window.document.url();
        let changed = this().change(&StorageChange { key, new_value, url });
        let result = bare_object(&ctx)?;
        result.set("isStored", changed != Changed::NoRoom)?;
        if let Changed::From(old_value) = changed {
            result.set("isChanged", true)?;
            result.set("oldValue", old_value)?;
        }
        rquickjs::Result::Ok(result)
    };
    functions.set("change", Function::new(ctx.clone(), change)?)?;
    functions.set("keys", Function::new(ctx.clone(), move || area().keys())?)?;
    Ok(functions)
}
