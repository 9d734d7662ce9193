//! `document.open()`, `write()` and `close()`

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object};
use url::Url;

use super::nested;
use crate::page::{markup, realm::Realm, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    native.set(
        "openDocument",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, url: String| open(&ctx, &this, &url))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "writeDocument",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, text: String| {
            if let Some(realm) = active_realm(&this) {
                nested(&this, || markup::write(&ctx, &realm, &text));
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "closeDocument",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>| {
            if let Some(realm) = active_realm(&this) {
                nested(&this, || markup::close(&ctx, &realm));
            }
        })?,
    )
}

/// Opens the document on behalf of one at `url`. Whether it is another one now.
fn open(ctx: &Ctx<'_>, window: &Window, url: &str) -> bool {
    let Some(realm) = active_realm(window) else { return false };
    let is_open = nested(window, || markup::open(ctx, &realm));
    // Step 13.
    if let (true, Some(navigable), Ok(mut url)) = (is_open, window.navigable(), Url::parse(url))
        && url != window.document.url()
    {
        url.set_fragment(None);
        navigable.update_url_and_history(window, &url, true);
    }
    is_open
}

fn active_realm(window: &Window) -> Option<Rc<Realm>> {
    window.navigable.get()?;
    window.event_loop()?.realm(window.id)
}
