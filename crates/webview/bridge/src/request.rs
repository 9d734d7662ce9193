//! A request that a page's script makes with `fetch()` or `fetchLater()`.

use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use sendbeacon::{CredentialsMode, Document, Mode, Request, extract};
use serde::Deserialize;

use crate::message::{MessageError, Sending};

/// How many headers a request may have. It is the limit of the library, which would refuse the request later.
const MAX_HEADERS: usize = 1_000;

/// What a request has beside its URL and its body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageRequest {
    method: FetchMethod,
    mode: FetchMode,
    credentials: Credentials,
    headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum FetchMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FetchMode {
    Cors,
    NoCors,
    SameOrigin,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Credentials {
    Omit,
    SameOrigin,
    Include,
}

impl PageRequest {
    /// The number of its headers, and their length in bytes.
    pub(crate) fn header_lengths(&self) -> (u64, u64) {
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        (self.headers.len() as u64, bytes as u64)
    }

    /// The request of a document, with `keepalive`.
    pub(crate) fn request(
        &self,
        document: &Document,
        sending: &Sending,
    ) -> Result<Request, MessageError> {
        let mut request = Request::new(document.client(), sending.url()?);
        request.keepalive = true;
        request.method = match self.method {
            FetchMethod::Get => Method::GET,
            FetchMethod::Head => Method::HEAD,
            FetchMethod::Post => Method::POST,
            FetchMethod::Put => Method::PUT,
            FetchMethod::Delete => Method::DELETE,
            FetchMethod::Patch => Method::PATCH,
        };
        request.mode = match self.mode {
            FetchMode::Cors => Mode::Cors,
            FetchMode::NoCors => Mode::NoCors,
            FetchMode::SameOrigin => Mode::SameOrigin,
        };
        request.credentials = match self.credentials {
            Credentials::Omit => CredentialsMode::Omit,
            Credentials::SameOrigin => CredentialsMode::SameOrigin,
            Credentials::Include => CredentialsMode::Include,
        };
        if self.headers.len() > MAX_HEADERS {
            return Err(MessageError::Field("header"));
        }
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|_| MessageError::Field("header"))?;
            let value = HeaderValue::try_from(value).map_err(|_| MessageError::Field("header"))?;
            let appended = request.headers.try_append(name, value);
            appended.map_err(|_| MessageError::Field("header"))?;
        }
        if let Some(body) = &sending.body {
            let (body, content_type) = body
                .with(|body| {
                    extract(body)
                        .map(|mut it| (it.content_type.take(), it))
                        .map(|(ty, it)| (it.into_body(), ty))
                })?
                .map_err(|_| MessageError::Field("body"))?;
            request.body = Some(body);
            if let Some(content_type) = content_type {
                request.headers.entry(CONTENT_TYPE).or_insert(content_type);
            }
        }
        Ok(request)
    }
}
