//! The head of a response, as WebKit has it.

use http::{HeaderMap, StatusCode};
use sendbeacon_webview::add_policy;
use url::Url;

use crate::api::prelude::*;

/// The head of a response that a document comes with.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) url: Url,
    /// `None` if it is no response of HTTP.
    pub(crate) status: Option<StatusCode>,
    /// Those that have policies of the document.
    pub(crate) headers: HeaderMap,
}

impl ResponseHead {
    /// That of a document without a response.
    pub(crate) fn none(url: &Url) -> Self {
        let (status, headers) = Default::default();
        Self { url: url.clone(), status, headers }
    }

    pub(crate) fn of(response: &URIResponse) -> Option<Self> {
        let url = Url::parse(&response.uri()?).ok()?;
        let status = u16::try_from(response.status_code()).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let mut headers = HeaderMap::new();
        if let Some(list) = response.http_headers() {
            list.foreach(|name, value| add_policy(&mut headers, name, value));
        }
        Some(Self { url, status, headers })
    }
}
