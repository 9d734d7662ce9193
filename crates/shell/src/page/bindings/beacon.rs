//! The native function of `navigator.sendBeacon()`.

use std::rc::Rc;

use rquickjs::{Ctx, Exception, Object};

use super::body;
use crate::page::window::Window;

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "sendBeacon" => |this, ctx: Ctx<'js>, url: String, data: Option<Object<'js>>| {
            let data = data.map(|data| body::body_init(&ctx, &data)).transpose()?;
            // The library parses the URL as UTF-8, whatever the encoding of the document.
            let answer = this.host().send_beacon(&url, data);
            answer.map_err(|message| Exception::throw_type(&ctx, &message))
        },
    }
    Ok(())
}
