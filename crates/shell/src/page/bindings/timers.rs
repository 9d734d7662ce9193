//! The native functions of timers and microtasks.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rquickjs::{Ctx, Object};

use crate::page::window::Window;

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "setTimer" => |this, milliseconds: u32, id: Option<u32>| {
            let now = Instant::now();
            let delay = Duration::from_millis(milliseconds.into());
            let at = now.checked_add(delay).unwrap_or(now);
            let is_removed = this.event_loop().is_none_or(|it| it.realm(this.id).is_none());
            let mut timers = this.shared().timers.borrow_mut();
            let id = timers.start(this.id, id, at);
            if is_removed {
                // The script of a worker still runs after `close()`, but its timers must not.
                timers.clear(this.id, id);
            }
            id
        },
        "startTask" => |this| {
            let id = this.next_task_id();
            this.shared().queue.post(this.id, move |realm| realm.call("runTask", (id,)));
            id
        },
        "clearTimer" => |this, id: u32| this.shared().timers.borrow_mut().clear(this.id, id),
        "microtaskCheckpoint" => |this, ctx: Ctx<'js>| {
            // https://html.spec.whatwg.org/multipage/webappapis.html#clean-up-after-running-script, step 3
            if this.shared().nested.get() > 0 {
                return;
            }
            while !this.shared().budget.is_spent() && ctx.execute_pending_job() {}
        },
    }
    Ok(())
}
