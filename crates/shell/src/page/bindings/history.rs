//! Session history.

use std::rc::Rc;

use rquickjs::{Function, Object};
use url::Url;

use crate::page::window::Window;

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    native.set(
        "historyLength",
        Function::new(ctx.clone(), move || this.navigable().map_or(0, |it| it.history_length()))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "historyEntry",
        Function::new(ctx.clone(), move || this.navigable().map(|it| it.entry_id()))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "updateHistory",
        Function::new(ctx.clone(), move |url: String, replace: bool| {
            let url = Url::parse(&url).ok()?;
            Some(this.navigable()?.update_url_and_history(&this, &url, replace))
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "traverse",
        Function::new(ctx.clone(), move |delta: i32| {
            if let Some(navigable) = this.navigable() {
                navigable.traverse_by(delta);
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "reload",
        Function::new(ctx.clone(), move || {
            if let Some(navigable) = this.navigable() {
                navigable.reload(&this);
            }
        })?,
    )
}
