//! The native functions of `fetch()`, and of bodies that scripts read.

use std::{
    rc::Rc,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use data_url::mime::Mime;
use rquickjs::{Array, Ctx, Exception, Function, IntoJs, Object, Value};
use sendbeacon::{Destination, InitiatorType};
use url::Url;

use super::{bare_object, body, buffer, from_number, to_number};
use crate::page::{
    FetchRequest, FetchResponse, PageHost, Realm, RealmId, TASK_BUDGET, TaskQueue,
    data_urls::process_data_url, mime_type::extract_mime_type, window::Window,
};

pub(super) fn install<'js>(native: &Object<'js>, window: &Rc<Window>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    native.set("decodeDataUrl", Function::new(ctx.clone(), decode_data_url)?)?;
    native.set("extractMimeType", Function::new(ctx.clone(), extract)?)?;
    native.set("mimeCharset", Function::new(ctx.clone(), charset)?)?;
    native.set("withCharsetUtf8", Function::new(ctx.clone(), with_charset_utf8)?)?;
    native.set("encodeFormData", Function::new(ctx.clone(), body::encode_form_data)?)?;
    functions! { native, window,
        "fetch" => |this, ctx: Ctx<'js>, request: Object<'js>| start(&ctx, this, &request),
        "readBody" => |this, id: f64| {
            let mut end = FetchEnd::new(this, from_number(id));
            this.host().read_body(from_number(id), Box::new(move |chunk| end.chunk(chunk)));
        },
        "fetchSync" => |this, ctx: Ctx<'js>, request: Object<'js>, timeout: u64| {
            let request = fetch_request(&ctx, this, &request)?;
            let timeout = if timeout > 0 { Duration::from_millis(timeout) } else { TASK_BUDGET };
            rquickjs::Result::Ok(SyncResponse(fetch_sync(&*this.host(), request, timeout)))
        },
        "abortFetch" => |this, id: f64| this.host().abort_fetch(from_number(id)),
        "isBlockedByCsp" => |this, directive: String, url: String| is_blocked_by_csp(this, &directive, &url),
    }
    Ok(())
}

/// [Extracts a MIME type](extract_mime_type) and serialises it.
fn extract(values: Vec<String>) -> Option<String> {
    extract_mime_type(values.iter().map(String::as_str)).map(|type_| type_.to_string())
}

/// The `charset` of a MIME type.
fn charset(type_: String) -> Option<String> {
    let type_: Mime = type_.parse().ok()?;
    type_.get_parameter("charset").map(str::to_owned)
}

/// A MIME type like `type_` with the charset UTF-8, if it has another charset.
fn with_charset_utf8(type_: String) -> Option<String> {
    let mut type_: Mime = type_.parse().ok()?;
    let charset = type_.parameters.iter_mut().find(|(name, _)| name == "charset")?;
    if charset.1.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    "UTF-8".clone_into(&mut charset.1);
    Some(type_.to_string())
}

/// Decodes a `data:` URL. Returns `{ bytes, type }`, or nothing if the URL is not valid.
fn decode_data_url(ctx: Ctx<'_>, url: String) -> rquickjs::Result<Option<Object<'_>>> {
    let Some((type_, bytes)) = process_data_url(&url) else { return Ok(None) };
    let object = bare_object(&ctx)?;
    object.set("bytes", buffer(&ctx, bytes)?)?;
    object.set("type", type_.to_string())?;
    Ok(Some(object))
}

/// [Should request be blocked by Content Security Policy?](https://w3c.github.io/webappsec-csp/#should-block-request), for a
/// URL that needs no network. The library asks it for the others.
fn is_blocked_by_csp(window: &Window, directive: &str, url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    window.report_violations(window.client().csp_list.violations_of(directive, &url))
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
        destination: Destination::Empty,
        initiator_type: match packed.get::<_, Option<bool>>("isXhr")? {
            Some(true) => InitiatorType::XmlHttpRequest,
            _ => InitiatorType::Fetch,
        },
        use_cors_preflight: packed.get::<_, Option<bool>>("useCorsPreflight")?.unwrap_or(false),
    })
}

/// The largest response to a synchronous request, in bytes.
const MAX_SYNC_BODY: usize = 64 << 20;

/// Why a synchronous request has no response.
enum SyncError {
    Network,
    Timeout,
}

/// Runs a fetch, and blocks until its body has ended.
fn fetch_sync(
    host: &dyn PageHost,
    request: FetchRequest,
    timeout: Duration,
) -> Result<(FetchResponse, Vec<u8>), SyncError> {
    let (id, start) = (request.id, Instant::now());
    let (sender, receiver) = mpsc::channel();
    // The host may drop the callbacks. Then the channel is closed, which is a network error.
    host.fetch(request, Box::new(move |result| drop(sender.send(result))));
    let response = answer(&receiver, start, timeout)?;
    let mut body = Vec::new();
    loop {
        let (sender, receiver) = mpsc::channel();
        host.read_body(id, Box::new(move |result| drop(sender.send(result))));
        match answer(&receiver, start, timeout) {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_SYNC_BODY => body.extend(chunk),
            Ok(Some(_)) => return Err(SyncError::Network),
            Ok(None) => break,
            Err(error) => {
                host.abort_fetch(id);
                return Err(error);
            }
        }
    }
    Ok((response, body))
}

/// Waits for what the host answers.
fn answer<T>(
    receiver: &Receiver<Result<T, String>>,
    start: Instant,
    timeout: Duration,
) -> Result<T, SyncError> {
    match receiver.recv_timeout(timeout.saturating_sub(start.elapsed())) {
        Ok(result) => result.map_err(|_| SyncError::Network),
        Err(RecvTimeoutError::Timeout) => Err(SyncError::Timeout),
        Err(RecvTimeoutError::Disconnected) => Err(SyncError::Network),
    }
}

/// The result of a synchronous request: `{ head, body }` or `{ isTimeout }`.
struct SyncResponse(Result<(FetchResponse, Vec<u8>), SyncError>);

impl<'js> IntoJs<'js> for SyncResponse {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let object = bare_object(ctx)?;
        match self.0 {
            Ok((head, body)) => {
                object.set("head", ScriptResponse(head))?;
                object.set("body", buffer(ctx, body)?)?;
            }
            Err(error) => object.set("isTimeout", matches!(error, SyncError::Timeout))?,
        }
        Ok(object.into_value())
    }
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
