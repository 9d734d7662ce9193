//! `fetch()`

use std::rc::Rc;

use data_url::DataUrl;
use rquickjs::{Array, Ctx, Exception, Function, IntoJs, Object, Value};
use url::Url;

use super::{body, buffer};
use crate::page::{FetchRequest, FetchResponse, RealmId, TaskQueue, window::Window};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    let this = Rc::clone(window);
    native.set(
        "fetch",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, request: Object<'js>| {
            start(&ctx, &this, &request)
        })?,
    )?;
    native.set("decodeDataUrl", Function::new(ctx.clone(), decode_data_url)?)?;
    native.set("encodeFormData", Function::new(ctx.clone(), body::encode_form_data)?)?;
    let this = Rc::clone(window);
    native.set(
        "abortFetch",
        Function::new(ctx.clone(), move |id: f64| this.host().abort_fetch(as_id(id)))?,
    )
}

/// [Processes a data: URL](https://fetch.spec.whatwg.org/#data-url-processor): `{ bytes, type }`, or nothing
/// for failure.
fn decode_data_url(ctx: Ctx<'_>, url: String) -> rquickjs::Result<Option<Object<'_>>> {
    let Ok(data) = DataUrl::process(&url) else { return Ok(None) };
    let Ok((bytes, _)) = data.decode_to_vec() else { return Ok(None) };
    let object = Object::new(ctx.clone())?;
    object.set("bytes", buffer(&ctx, bytes)?)?;
    object.set("type", data.mime_type().to_string())?;
    Ok(Some(object))
}

/// Starts the fetch and returns its number.
fn start<'js>(ctx: &Ctx<'js>, window: &Window, packed: &Object<'js>) -> rquickjs::Result<f64> {
    let request = unpack(ctx, window, packed)?;
    let id = request.id;
    let shared = window.shared();
    shared.fetches.set(shared.fetches.get() + 1);
    let mut end = FetchEnd { queue: Some(shared.queue.clone()), realm: window.id, id };
    window.host().fetch(request, Box::new(move |result| end.settle(result)));
    Ok(as_number(id))
}

/// What a `Request` says.
pub(super) fn unpack<'js>(
    ctx: &Ctx<'js>,
    window: &Window,
    packed: &Object<'js>,
) -> rquickjs::Result<FetchRequest> {
    let url: String = packed.get("url")?;
    let url = Url::parse(&url).map_err(|error| Exception::throw_type(ctx, &error.to_string()))?;
    let body: Option<Object> = packed.get("body")?;
    Ok(FetchRequest {
        id: window.next_fetch_id(),
        method: packed.get("method")?,
        url,
        headers: body::pairs(&packed.get::<_, Array>("headers")?)?,
        body: body.map(|body| body::body_init(ctx, &body)).transpose()?,
        mode: packed.get("mode")?,
        credentials: packed.get("credentials")?,
        cache: packed.get("cache")?,
        redirect: packed.get("redirect")?,
        referrer: packed.get("referrer")?,
        referrer_policy: packed.get("referrerPolicy")?,
        integrity: packed.get("integrity")?,
        keepalive: packed.get("keepalive")?,
        priority: packed.get("priority")?,
    })
}

/// What becomes of the promise: the first answer counts, and no answer is an error.
struct FetchEnd {
    queue: Option<TaskQueue>,
    realm: RealmId,
    id: u64,
}

impl FetchEnd {
    fn settle(&mut self, result: Result<FetchResponse, String>) {
        let Some(queue) = self.queue.take() else { return };
        let id = as_number(self.id);
        queue.post_fetch_end(self.realm, move |realm| match result {
            Ok(response) => realm.call("fulfillFetch", (id, Unpacked(response))),
            Err(message) => realm.call("rejectFetch", (id, message)),
        });
    }
}

impl Drop for FetchEnd {
    fn drop(&mut self) {
        self.settle(Err("NetworkError".into()));
    }
}

struct Unpacked(FetchResponse);

impl<'js> IntoJs<'js> for Unpacked {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let response = self.0;
        let headers: Vec<_> =
            response.headers.into_iter().map(|(name, value)| vec![name, value]).collect();
        let object = Object::new(ctx.clone())?;
        object.set("status", response.status)?;
        object.set("statusText", response.status_text)?;
        object.set("headers", headers)?;
        object.set("url", response.url)?;
        object.set("type", response.type_)?;
        object.set("redirected", response.redirected)?;
        object.set("body", buffer(ctx, response.body.into())?)?;
        Ok(object.into_value())
    }
}

/// One of ours, as a Number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn as_id(number: f64) -> u64 {
    number as u64
}

/// Numbers of fetches are counted up from one and never come near 2⁵³.
#[allow(clippy::cast_precision_loss)]
pub(super) fn as_number(id: u64) -> f64 {
    id as f64
}
