//! Timers and microtasks.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rquickjs::{Ctx, Function, Object};

use crate::page::window::Window;

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let owner = Rc::clone(window);
    native.set(
        "setTimer",
        Function::new(ctx.clone(), move |milliseconds: u32, id: Option<u32>| {
            let now = Instant::now();
            let delay = Duration::from_millis(milliseconds.into());
            let at = now.checked_add(delay).unwrap_or(now);
            let is_there = owner.event_loop().is_some_and(|it| it.realm(owner.id).is_some());
            let mut timers = owner.shared().timers.borrow_mut();
            let id = timers.start(owner.id, id, at);
            if !is_there {
                // A worker's script goes on after `close()`.
                timers.clear(owner.id, id);
            }
            id
        })?,
    )?;
    let owner = Rc::clone(window);
    native.set(
        "clearTimer",
        Function::new(ctx.clone(), move |id: u32| {
            owner.shared().timers.borrow_mut().clear(owner.id, id);
        })?,
    )?;
    let owner = Rc::clone(window);
    native.set(
        "microtaskCheckpoint",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>| {
            // https://html.spec.whatwg.org/multipage/webappapis.html#clean-up-after-running-script, step 3
            if owner.shared().nested.get() > 0 {
                return;
            }
            while !owner.shared().budget.is_spent() && ctx.execute_pending_job() {}
        })?,
    )
}
