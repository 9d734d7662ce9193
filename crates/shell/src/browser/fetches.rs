//! The fetches of a page: its requests in the form of the library, and the responses in the form of the page.

use std::sync::Arc;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sendbeacon::{
    CacheMode, Client, Mode, PendingResponse, RedirectMode, Referrer, Request, Response,
    ResponseType,
};
use tokio::sync::mpsc::UnboundedReceiver;
use url::Url;

use super::response_headers::{isomorphic_decode, mime_type};
use crate::page::{ChunkDone, FetchRequest, FetchResponse, FetchedImage, credentials_mode};

/// The largest image, in bytes.
const MAX_IMAGE: usize = 16 << 20;

/// Makes the library's request from the page's request.
pub(super) fn library_request(
    client: Arc<Client>,
    request: &FetchRequest,
) -> Result<Request, String> {
    let mut made = Request::new(client, request.url.clone());
    made.method = Method::from_bytes(request.method.as_bytes()).map_err(text)?;
    made.keepalive = request.keepalive;
    made.mode = match &*request.mode {
        "no-cors" => Mode::NoCors,
        "same-origin" => Mode::SameOrigin,
        _ => Mode::Cors,
    };
    made.credentials = credentials_mode(&request.credentials);
    made.cache = match &*request.cache {
        "no-store" => CacheMode::NoStore,
        "reload" => CacheMode::Reload,
        "no-cache" => CacheMode::NoCache,
        "force-cache" => CacheMode::ForceCache,
        "only-if-cached" => CacheMode::OnlyIfCached,
        _ => CacheMode::Default,
    };
    made.redirect = match &*request.redirect {
        "error" => RedirectMode::Error,
        "manual" => RedirectMode::Manual,
        _ => RedirectMode::Follow,
    };
    made.destination = request.destination;
    made.initiator_type = request.initiator_type;
    made.use_cors_preflight = request.use_cors_preflight;
    made.integrity_metadata.clone_from(&request.integrity);
    made.referrer = match &*request.referrer {
        "" => Referrer::NoReferrer,
        "about:client" => Referrer::Client,
        url => Referrer::Url(Url::parse(url).map_err(text)?),
    };
    made.referrer_policy = request.referrer_policy.parse().ok();
    made.headers = headers(&request.headers)?;
    if let Some(body) = &request.body {
        // The header list is complete: `new Request()` has appended the body's type where the page allows it.
        made.body = body.with_library_body(|body| {
            let extracted = sendbeacon::extract(body).map_err(text)?;
            Ok::<_, String>(Some(extracted.into_body()))
        })?;
    }
    Ok(made)
}

/// Makes a header list of names and values.
fn headers(list: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(text)?;
        // The value is a ByteString: each character stands for one byte.
        let value: Vec<u8> = value.chars().map_while(|c| u8::try_from(c).ok()).collect();
        headers.try_append(name, HeaderValue::from_bytes(&value).map_err(text)?).map_err(text)?;
    }
    Ok(headers)
}

/// Whether script may not see the body of `response`.
fn is_opaque(response: &Response) -> bool {
    matches!(response.response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect)
}

/// What script may see of the head of `response`.
pub(super) fn head(response: &Response) -> FetchResponse {
    let is_opaque = is_opaque(response);
    let has_url = response.response_type != ResponseType::Opaque;
    let mut url = response.url_list.last().cloned();
    if let Some(url) = &mut url {
        url.set_fragment(None);
    }
    FetchResponse {
        status: if is_opaque { 0 } else { response.status.as_u16() },
        status_text: response.status_message.iter().copied().map(char::from).collect(),
        headers: response
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), isomorphic_decode(value)))
            .collect(),
        url: url.filter(|_| has_url).map(Into::into).unwrap_or_default(),
        type_: response.response_type.as_str().to_owned(),
        redirected: has_url && response.url_list.len() > 1,
    }
}

/// Waits for the response of an image, and reads its body.
pub(super) async fn read_image(pending: PendingResponse) -> Result<FetchedImage, String> {
    let mut response = pending.await.map_err(text)?;
    let type_ = mime_type(response.internal_headers()).map(|it| it.to_string());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await {
        body.extend_from_slice(&chunk.map_err(text)?);
        if body.len() > MAX_IMAGE {
            return Err("the image is too large".to_owned());
        }
    }
    Ok(FetchedImage { type_, body: body.freeze() })
}

/// Reads a chunk of the body for each item of `asked`, until the body ends or the page has gone. The page does not ask for
/// an opaque body, which is read and dropped.
pub(super) async fn read(mut response: Response, mut asked: UnboundedReceiver<ChunkDone>) {
    if is_opaque(&response) {
        while let Some(Ok(_)) = response.chunk().await {}
        return;
    }
    while let Some(done) = asked.recv().await {
        let chunk = response.chunk().await.transpose();
        let goes_on = matches!(chunk, Ok(Some(_)));
        done(chunk.map_err(text));
        if !goes_on {
            break;
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
pub(super) fn text(error: impl ToString) -> String {
    error.to_string()
}
