//! `console`

use std::rc::Rc;

use rquickjs::{Function, Object, Value};

use crate::page::{exceptions::describe, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let window = Rc::clone(window);
    native.set(
        "console",
        Function::new(ctx.clone(), move |level: String, message: String| {
            window.host().console(&level, &message);
        })?,
    )?;
    native.set(
        "describe",
        Function::new(ctx.clone(), |value: Value<'js>| describe(value.ctx(), &value))?,
    )
}
