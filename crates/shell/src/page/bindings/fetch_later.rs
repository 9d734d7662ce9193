//! The native functions of `fetchLater()`.

use std::rc::Rc;

use rquickjs::{Ctx, Object};

use super::{bare_object, fetch::fetch_request, from_number, to_number};
use crate::page::window::Window;

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "fetchLater" => |this, ctx: Ctx<'js>, packed: Object<'js>, activate_after: Option<f64>| {
            queue(&ctx, this, &packed, activate_after)
        },
        "isActivated" => |this, id: f64| this.host().is_activated(from_number(id)),
        "abortDeferred" => |this, id: f64| {
            let id = from_number(id);
            this.host().abort_deferred(id);
            this.shared().deferred.borrow_mut().retain(|it| *it != (this.id, id));
        },
        "task" => |this| this.shared().queue.task(),
    }
    Ok(())
}

/// Queues a deferred fetch. Returns `{ id }` with its number, or `{ error }` with the exception to throw.
fn queue<'js>(
    ctx: &Ctx<'js>,
    window: &Window,
    packed: &Object<'js>,
    activate_after: Option<f64>,
) -> rquickjs::Result<Object<'js>> {
    let request = fetch_request(ctx, window, packed)?;
    let result = bare_object(ctx)?;
    let id = request.id;
    result.set("id", to_number(id))?;
    if let Err(thrown) = window.host().fetch_later(request, activate_after) {
        let error = bare_object(ctx)?;
        error.set("name", thrown.name)?;
        error.set("message", thrown.message)?;
        if let Some((quota, requested)) = thrown.quota {
            error.set("quota", to_number(quota))?;
            error.set("requested", to_number(requested))?;
        }
        result.set("error", error)?;
    } else {
        window.shared().deferred.borrow_mut().push((window.id, id));
    }
    Ok(result)
}
