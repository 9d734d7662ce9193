//! The arguments of `fetch()` in a case, and the request that they describe.

use std::sync::Arc;

use http::{HeaderName, Method, header::CONTENT_TYPE};
use sendbeacon_fetch::{Client, CredentialsMode, Mode, RedirectMode, Referrer, Request, extract};
use sendbeacon_testkit::random::Zeros;
use serde::Deserialize;

use crate::{Failure, setup::header_value, value::Data};

/// The arguments of `fetch()`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FetchInit {
    url: String,
    method: Option<String>,
    mode: Option<String>,
    credentials: Option<String>,
    redirect: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    referrer: Option<String>,
    referrer_policy: Option<String>,
    #[serde(default)]
    integrity: String,
    #[serde(default)]
    pub(crate) keepalive: bool,
}

impl FetchInit {
    /// Makes the request, as the constructor of `Request` does.
    pub(crate) fn request(
        &self,
        client: &Arc<Client>,
        data: Option<&Data>,
    ) -> Result<Request, Failure> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let url = client.api_base_url.join(&self.url).map_err(|error| text(&error))?;
        let mut request = Request::new(Arc::clone(client), url);
        request.unsafe_request = true;
        request.keepalive = self.keepalive;
        if let Some(method) = &self.method {
            request.method = Method::from_bytes(method.as_bytes()).map_err(|error| text(&error))?;
        }
        request.mode = match self.mode.as_deref() {
            None | Some("cors") => Mode::Cors,
            Some("no-cors") => Mode::NoCors,
            Some("same-origin") => Mode::SameOrigin,
            Some(other) => return Err(format!("unknown mode: {other}")),
        };
        request.credentials = match self.credentials.as_deref() {
            None | Some("same-origin") => CredentialsMode::SameOrigin,
            Some("include") => CredentialsMode::Include,
            Some("omit") => CredentialsMode::Omit,
            Some(other) => return Err(format!("unknown credentials mode: {other}")),
        };
        request.redirect = match self.redirect.as_deref() {
            None | Some("follow") => RedirectMode::Follow,
            Some("error") => RedirectMode::Error,
            Some("manual") => RedirectMode::Manual,
            Some(other) => return Err(format!("unknown redirect mode: {other}")),
        };
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| text(&error))?;
            request.headers.append(name, header_value(value));
        }
        request.integrity_metadata.clone_from(&self.integrity);
        request.referrer = match self.referrer.as_deref() {
            None | Some("about:client") => Referrer::Client,
            Some("") => Referrer::NoReferrer,
            Some(url) => {
                Referrer::Url(client.api_base_url.join(url).map_err(|error| text(&error))?)
            }
        };
        if let Some(policy) = &self.referrer_policy {
            let policy =
                policy.parse().map_err(|()| format!("unknown referrer policy: {policy}"))?;
            request.referrer_policy = Some(policy);
        }
        if let Some(data) = data {
            let extracted = data.with_body_init(|data| {
                let mut extracted = extract(data, &Zeros)?;
                Ok((extracted.content_type.take(), extracted.into_body()))
            });
            let (content_type, body) =
                extracted.map_err(|error: sendbeacon_fetch::TypeError| text(&error))?;
            if let Some(content_type) = content_type
                && !request.headers.contains_key(CONTENT_TYPE)
            {
                request.headers.insert(CONTENT_TYPE, content_type);
            }
            request.body = Some(body);
        }
        // The guard of the headers.
        if request.mode == Mode::NoCors && !request.confine() {
            return Err("script cannot make this request".into());
        }
        Ok(request)
    }
}
