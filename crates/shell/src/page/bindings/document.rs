//! The document's URLs, its environment, navigation and cookies.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object};
use url::Url;

use crate::page::{realm::evaluate, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    native.set(
        "environment",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>| environment(&ctx, &this))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "documentUrl",
        Function::new(ctx.clone(), move || String::from(this.document.url()))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "baseUrl",
        Function::new(ctx.clone(), move || String::from(this.document.base_url()))?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "resolveUrl",
        Function::new(ctx.clone(), move |url: String| {
            this.document.parse_url(&url).ok().map(String::from)
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "setDocumentUrl",
        Function::new(ctx.clone(), move |url: String| {
            if let Ok(url) = Url::parse(&url) {
                this.document.set_url(url);
                this.settle();
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "navigate",
        Function::new(ctx.clone(), move |url: String| {
            if let Ok(url) = Url::parse(&url) {
                this.host().navigate(&url);
            }
        })?,
    )?;
    let this = Rc::clone(window);
    native.set(
        "ping",
        Function::new(ctx.clone(), move |ping: String, href: String| {
            this.host().ping(&ping, &href);
        })?,
    )?;
    let this = Rc::clone(window);
    native.set("cookies", Function::new(ctx.clone(), move || this.host().cookies())?)?;
    let this = Rc::clone(window);
    native.set(
        "setCookie",
        Function::new(ctx.clone(), move |cookie: String| this.host().set_cookie(&cookie))?,
    )?;
    native.set(
        "evaluate",
        Function::new(ctx.clone(), |ctx: Ctx<'js>, source: String, name: String| {
            evaluate(&ctx, &source, &name)
        })?,
    )
}

fn environment<'js>(ctx: &Ctx<'js>, window: &Window) -> rquickjs::Result<Object<'js>> {
    let environment = window.environment();
    let object = Object::new(ctx.clone())?;
    object.set("origin", environment.origin.as_str())?;
    object.set("isSecureContext", environment.secure_context)?;
    object.set("crossOriginIsolated", environment.cross_origin_isolated)?;
    object.set("referrer", environment.referrer.as_str())?;
    object.set("userAgent", environment.user_agent.as_str())?;
    object.set("languages", environment.languages.clone())?;
    object.set("onLine", environment.online)?;
    Ok(object)
}
