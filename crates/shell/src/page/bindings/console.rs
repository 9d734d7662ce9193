//! The native functions of `console`.

use std::rc::Rc;

use rquickjs::{Function, Object, Value};

use crate::page::{exceptions::describe, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let window = Rc::clone(window);
    native.set(
        "console",
        Function::new(native.ctx().clone(), move |level: String, message: String| {
            window.host().console(&level, &message);
        })?,
    )?;
    native.set(
        "describe",
        Function::new(native.ctx().clone(), |value: Value<'js>| describe(value.ctx(), &value))?,
    )
}
