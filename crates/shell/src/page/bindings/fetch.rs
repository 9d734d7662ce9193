//! The native functions of `fetch()`, and of bodies that scripts read.

use std::rc::Rc;

use bytes::Bytes;
use rquickjs::{Array, Ctx, Exception, Function, IntoJs, Object, Value};
use url::Url;

use super::{bare_object, body, buffer, from_number, to_number};
use crate::page::{
    FetchRequest, FetchResponse, Realm, RealmId, TaskQueue, data_urls::process_data_url,
    mime_type::extract_mime_type, window::Window,
};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    native.set("decodeDataUrl", Function::new(ctx.clone(), decode_data_url)?)?;
    native.set("extractMimeType", Function::new(ctx.clone(), extract)?)?;
    native.set("encodeFormData", Function::new(ctx.clone(), body::encode_form_data)?)?;
    functions! { native, window,
        "fetch" => |this, ctx: Ctx<'js>, request: Object<'js>| start(&ctx, this, &request),
        "readBody" => |this, id: f64| {
            let mut end = FetchEnd::new(this, from_number(id));
            this.host().read_body(from_number(id), Box::new(move |chunk| end.chunk(chunk)));
        },
        "abortFetch" => |this, id: f64| this.host().abort_fetch(from_number(id)),
    }
    Ok(())
}

/// [Extracts a MIME type](extract_mime_type) and serialises it.
fn extract(values: Vec<String>) -> Option<String> {
    extract_mime_type(values.iter().map(String::as_str)).map(|type_| type_.to_string())
}

/// Decodes a `data:` URL. Returns `{ bytes, type }`, or nothing if the URL is not valid.
fn decode_data_url(ctx: Ctx<'_>, url: String) -> rquickjs::Result<Option<Object<'_>>> {
    let Some((type_, bytes)) = process_data_url(&url) else { return Ok(None) };
    let object = bare_object(&ctx)?;
    object.set("bytes", buffer(&ctx, bytes)?)?;
    object.set("type", type_.to_string())?;
    Ok(Some(object))
}

/// Starts a fetch, and returns its number.
fn start<'js>(ctx: &Ctx<'js>, window: &Window, packed: &Object<'js>) -> rquickjs::Result<f64> {
    let request = fetch_request(ctx, window, packed)?;
    let id = request.id;
    let mut end = FetchEnd::new(window, id);
    window.host().fetch(request, Box::new(move |result| end.settle(result)));
    Ok(to_number(id))
}

/// Converts a `Request`.
pub(super) fn fetch_request<'js>(
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

/// Posts the head of a response or a chunk of its body, once. If it is dropped without a result, it posts an error.
///
/// While it lives, the page is not idle.
struct FetchEnd {
    queue: Option<TaskQueue>,
    realm: RealmId,
    id: f64,
}

impl FetchEnd {
    fn new(window: &Window, id: u64) -> Self {
        let shared = window.shared();
        shared.fetches.set(shared.fetches.get() + 1);
        Self { queue: Some(shared.queue.clone()), realm: window.id, id: to_number(id) }
    }

    fn settle(&mut self, result: Result<FetchResponse, String>) {
        let id = self.id;
        self.post(move |realm| match result {
            Ok(response) => realm.call("fulfillFetch", (id, ScriptResponse(response))),
            Err(message) => realm.call("failFetch", (id, message)),
        });
    }

    fn chunk(&mut self, result: Result<Option<Bytes>, String>) {
        let id = self.id;
        self.post(move |realm| match result {
            Ok(Some(chunk)) => realm.call("receiveChunk", (id, Chunk(chunk))),
            Ok(None) => realm.call("endBody", (id,)),
            Err(message) => realm.call("failFetch", (id, message)),
        });
    }

    fn post(&mut self, steps: impl FnOnce(&Realm) + Send + 'static) {
        if let Some(queue) = self.queue.take() {
            queue.post_fetch_end(self.realm, steps);
        }
    }
}

impl Drop for FetchEnd {
    fn drop(&mut self) {
        self.settle(Err("NetworkError".into()));
    }
}

/// A chunk of a body, as an `ArrayBuffer`.
struct Chunk(Bytes);

impl<'js> IntoJs<'js> for Chunk {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        Ok(buffer(ctx, self.0.into())?.into_value())
    }
}

/// The object that `response.js` makes a `Response` of.
struct ScriptResponse(FetchResponse);

impl<'js> IntoJs<'js> for ScriptResponse {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let response = self.0;
        let headers: Vec<_> =
            response.headers.into_iter().map(|(name, value)| vec![name, value]).collect();
        let object = bare_object(ctx)?;
        object.set("status", response.status)?;
        object.set("statusText", response.status_text)?;
        object.set("headers", headers)?;
        object.set("url", response.url)?;
        object.set("type", response.type_)?;
        object.set("redirected", response.redirected)?;
        Ok(object.into_value())
    }
}
