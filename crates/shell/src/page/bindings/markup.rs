//! The native functions of `document.open()`, `write()` and `close()`.

use std::rc::Rc;

use rquickjs::{Ctx, Object};
use url::Url;

use super::nested;
use crate::page::{markup, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "openDocument" => |this, ctx: Ctx<'js>, url: String| open(&ctx, this, &url),
        "writeDocument" => |this, ctx: Ctx<'js>, text: String| {
            if let Some(realm) = this.active_realm() {
                nested(this, || markup::write(&ctx, &realm, &text));
            }
        },
        "closeDocument" => |this, ctx: Ctx<'js>| {
            if let Some(realm) = this.active_realm() {
                nested(this, || markup::close(&ctx, &realm));
            }
        },
    }
    Ok(())
}

/// Opens the document on behalf of a document at `url`. Returns whether it was opened.
fn open(ctx: &Ctx<'_>, window: &Window, url: &str) -> bool {
    let Some(realm) = window.active_realm() else { return false };
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
