//! Workers, from both sides.

use std::rc::Rc;

use encoding_rs::UTF_8;
use rquickjs::{Function, Object};
use url::Url;

use crate::page::{parser::decode, window::Window, workers};

pub(super) fn install(native: &Object<'_>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    native.set(
        "startWorker",
        Function::new(
            ctx.clone(),
            move |url: Option<String>, name: String, source: Option<String>| {
                workers::start(&this, url.and_then(|url| Url::parse(&url).ok()), name, source)
            },
        )?,
    )?;
    let this = Rc::clone(window);
    native
        .set("stopWorker", Function::new(ctx.clone(), move |id: u32| workers::stop(&this, id))?)?;
    let this = Rc::clone(window);
    native.set(
        "loadScript",
        Function::new(ctx.clone(), move |url: String| {
            let (bytes, charset) = this.load_script(&Url::parse(&url).ok()?).ok()?;
            Some(decode(&bytes, charset.as_deref(), UTF_8).0)
        })?,
    )
}
