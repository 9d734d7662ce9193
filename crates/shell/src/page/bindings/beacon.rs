//! `navigator.sendBeacon`

use std::rc::Rc;

use encoding_rs::UTF_8;
use rquickjs::{Ctx, Exception, Function, Object};
use url::Url;

use super::body;
use crate::page::window::Window;

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let window = Rc::clone(window);
    let send_beacon = move |ctx: Ctx<'js>, url: String, data: Option<Object<'js>>| {
        let data = data.map(|data| body::body_init(&ctx, &data)).transpose()?;
        // NB: by the standard the URL is parsed as UTF-8; all browsers parse it in the document's encoding.
        let encoded = Some(window.document.encoding.get()).filter(|it| *it != UTF_8);
        let encoded = encoded.and_then(|_| window.document.parse_url(&url).ok());
        let answer = window.host().send_beacon(encoded.as_ref().map_or(&url, Url::as_str), data);
        answer.map_err(|message| Exception::throw_type(&ctx, &message))
    };
    native.set("sendBeacon", Function::new(native.ctx().clone(), send_beacon)?)
}
