//! The native functions for the document's URLs, environment, encoding and cookies, and for hyperlink auditing.

use std::rc::Rc;

use rquickjs::{Ctx, Object};
use sendbeacon::{Origin, Site};
use url::Url;

use super::bare_object;
use crate::page::{modules, realm::evaluate, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    functions! { native, window,
        "environment" => |this, ctx: Ctx<'js>| environment(&ctx, this),
        "documentUrl" => |this| String::from(this.document.url()),
        "baseUrl" => |this| String::from(this.document.base_url()),
        "resolveUrl" => |this, url: String| this.document.parse_url(&url).ok().map(String::from),
        "encoding" => |this| this.document.encoding.get().name(),
        "resolveUtf8Url" => |this, url: String| this.document.base_url().join(&url).ok().map(String::from),
        "ping" => |this, ping: String, href: String| {
            this.document.with_encoding(|encoding| this.host().ping(&ping, &href, encoding));
        },
        "cookies" => |this| this.host().cookies(),
        "setCookie" => |this, cookie: String| this.host().set_cookie(&cookie),
        "evaluate" => |_this, ctx: Ctx<'js>, source: String, name: String| {
            evaluate(&ctx, &source, &name)
        },
        "evaluateModule" => |this, ctx: Ctx<'js>, name: String, text: Option<String>| {
            modules::evaluate(this, &ctx, &name, text.as_deref())
        },
        "takeModuleFailure" => |this| this.modules.take_failure(),
        "setModuleAwaiting" => |this, is_awaiting: bool| this.modules.set_awaiting(is_awaiting),
        "resolveModule" => |_this, base: String, specifier: String| {
            modules::resolve(&Url::parse(&base).ok()?, &specifier).map(String::from)
        },
    }
    Ok(())
}

/// The parts of the document's environment that scripts can see, and keys that identify its origin and its storage.
fn environment<'js>(ctx: &Ctx<'js>, window: &Window) -> rquickjs::Result<Object<'js>> {
    let environment = window.environment();
    let object = bare_object(ctx)?;
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
    object.set("contentType", environment.content_type.as_str())?;
    object.set("referrer", environment.referrer.as_str())?;
    object.set("userAgent", environment.user_agent.as_str())?;
    object.set("languages", environment.languages.clone())?;
    object.set("onLine", environment.online)?;
    Ok(object)
}

/// A string that is the same for the same origin, and different for every other origin.
fn origin_key(origin: &Origin) -> String {
    match origin {
        Origin::Opaque(nonce) => nonce.to_string(),
        Origin::Tuple { .. } => origin.to_string(),
    }
}
