//! `fetchLater()`

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object};

use super::fetch::{as_id, as_number, unpack};
use crate::page::window::Window;

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    let fetch_later = move |ctx: Ctx<'js>, packed: Object<'js>, activate_after: Option<f64>| {
        queue(&ctx, &this, &packed, activate_after)
    };
    native.set("fetchLater", Function::new(ctx.clone(), fetch_later)?)?;
    let this = Rc::clone(window);
    let is_activated = move |id: f64| this.host().is_activated(as_id(id));
    native.set("isActivated", Function::new(ctx.clone(), is_activated)?)?;
    let this = Rc::clone(window);
    let abort = move |id: f64| {
        this.host().abort_deferred(as_id(id));
        this.shared().deferred.borrow_mut().retain(|it| *it != (this.id, as_id(id)));
    };
    native.set("abortDeferred", Function::new(ctx.clone(), abort)?)?;
    let this = Rc::clone(window);
    native.set("task", Function::new(ctx.clone(), move || this.shared().queue.task())?)
}

/// The number of the deferred fetch, or what is to be thrown.
fn queue<'js>(
    ctx: &Ctx<'js>,
    window: &Window,
    packed: &Object<'js>,
    activate_after: Option<f64>,
) -> rquickjs::Result<Object<'js>> {
    let request = unpack(ctx, window, packed)?;
    let result = Object::new(ctx.clone())?;
    let id = request.id;
    result.set("id", as_number(id))?;
    if let Err(thrown) = window.host().fetch_later(request, activate_after) {
        let error = Object::new(ctx.clone())?;
        error.set("name", thrown.name)?;
        error.set("message", thrown.message)?;
        if let Some((quota, requested)) = thrown.quota {
            error.set("quota", as_number(quota))?;
            error.set("requested", as_number(requested))?;
        }
        result.set("error", error)?;
    } else {
        window.shared().deferred.borrow_mut().push((window.id, id));
    }
    Ok(result)
}
