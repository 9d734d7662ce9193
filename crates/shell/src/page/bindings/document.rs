//! The document's URLs, its environment, navigation and cookies.

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object};
use sendbeacon::{Origin, Site};

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
        "encoding",
        Function::new(ctx.clone(), move || this.document.encoding.get().name())?,
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
    let client = &environment.client;
    object.set("origin", client.origin.to_string())?;
    object.set("originKey", origin_key(&client.origin))?;
    let site = match &client.network_partition_key.top_level_site {
        Site::Tuple { scheme, host } => format!("{scheme}://{host}"),
        Site::Opaque(nonce) => nonce.to_string(),
    };
    object.set("storageKey", format!("{} {site}", origin_key(&client.origin)))?;
    object.set("isSecureContext", client.is_secure_context)?;
    object.set("forbidsForms", environment.sandbox.forms)?;
    object.set("scripting", !environment.sandbox.scripts)?;
    object.set("crossOriginIsolated", environment.cross_origin_isolated)?;
    object.set("referrer", environment.referrer.as_str())?;
    object.set("userAgent", environment.user_agent.as_str())?;
    object.set("languages", environment.languages.clone())?;
    object.set("onLine", environment.online)?;
    Ok(object)
}

/// The same for the same origin and no other.
fn origin_key(origin: &Origin) -> String {
    match origin {
        Origin::Opaque(nonce) => nonce.to_string(),
        Origin::Tuple { .. } => origin.to_string(),
    }
}
