//! What the benches share: a network that answers at once, so that what is measured is this library, and a page
//! like those of the Web.

use std::{future, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sendbeacon::{
    Client, CspDisposition, Document, FormDataEntry, FormDataValue, NetworkError, Nonce, UserAgent,
    UserAgentBuilder,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use url::Url;

/// Where a page's beacons go.
pub const COLLECTOR: &str = "/api/v1/collect?site=42";

/// Allows a page of [`client`] everything, and its preflights to be remembered; redirects what asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Instantly;

impl Network for Instantly {
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let allow = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "https://www.example.com"),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
            (header::ACCESS_CONTROL_MAX_AGE, "7200"),
        ];
        let allow = allow.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let (mut status, mut headers) = (StatusCode::NO_CONTENT, HeaderMap::new());
        if request.url.path() == "/redirect" {
            status = StatusCode::TEMPORARY_REDIRECT;
            headers.insert(header::LOCATION, HeaderValue::from_static(COLLECTOR));
        }
        if request.method == Method::OPTIONS || request.headers.contains_key(header::ORIGIN) {
            headers.extend(allow);
        }
        Box::pin(future::ready(Ok(NetworkResponse::new(status, headers, Box::pin(None::<Bytes>)))))
    }
}

/// A user agent over a network that answers at once.
pub fn user_agent() -> UserAgentBuilder {
    UserAgentBuilder::new(Arc::new(Instantly))
}

/// The settings object of an article that has a policy for what it connects to.
///
/// # Panics
/// Never: its URL is one.
#[must_use]
pub fn client() -> Client {
    let url = Url::parse("https://www.example.com/2026/11/an-article?from=home").expect("a URL");
    let mut client = Client::new(url, Nonce::from_u128(1));
    let policy = "default-src 'self'; connect-src 'self' https://collect.example.net";
    client.csp_list.push_header(policy, CspDisposition::Enforce);
    client
}

/// A document with it.
#[must_use]
pub fn document(agent: &UserAgent) -> Document {
    agent.document(client())
}

/// The entry list of a form of three such fields.
#[must_use]
pub fn three_fields(value: &str) -> [FormDataEntry; 3] {
    ["name", "e-mail", "comment"].map(|name| FormDataEntry {
        name: name.to_owned(),
        value: FormDataValue::String(value.to_owned()),
    })
}
