//! What the benches share: a network that answers immediately, and a page like those of the Web.
//!
//! With that network the benches measure this library alone. README.md lists the benches.

use std::{future, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sendbeacon::{
    Client, CspDisposition, Document, FormDataEntry, FormDataValue, MemoryCookieStore,
    MemoryLimits, NetworkError, Nonce, UserAgent, UserAgentBuilder,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use url::Url;

/// The URL to which pages send their beacons.
pub const COLLECTOR: &str = "/api/v1/collect?site=42";
/// How many beacons with 1 KiB of body a document may have unfinished: its quota is 64 KiB.
pub const KIB_BEACONS_PER_DOCUMENT: usize = 64;

/// A network that answers each request immediately with 204, without sockets.
///
/// It allows all CORS requests of the page of [`client`], and preflights may be cached. It redirects `/redirect` to
/// [`COLLECTOR`].
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

/// The builder of a user agent over [`Instantly`], whose memory limits have room for what a bench queues.
pub fn user_agent() -> UserAgentBuilder {
    let limits = MemoryLimits::default().with_user_agent(1 << 40).with_partition(1 << 40);
    UserAgentBuilder::new(Arc::new(Instantly)).memory_limits(limits)
}

/// The client of an article whose Content Security Policy limits what it connects to.
///
/// # Panics
/// Never: the URL is valid.
#[must_use]
pub fn client() -> Client {
    let url = Url::parse("https://www.example.com/2026/11/an-article?from=home").expect("a URL");
    let mut client = Client::new(url, Nonce::from_u128(1));
    let policy = "default-src 'self'; connect-src 'self' https://collect.example.net";
    client.csp_list.push_header(policy, CspDisposition::Enforce);
    client
}

/// A cookie store in which the page of [`client`] has set three cookies.
#[must_use]
pub fn cookies() -> MemoryCookieStore {
    let cookies = MemoryCookieStore::default();
    for cookie in ["session=0123456789abcdef; Secure; HttpOnly", "theme=dark", "seen=1; Path=/api"]
    {
        cookies.set_document_cookie(&client(), cookie);
    }
    cookies
}

/// A document with the client of [`client`].
#[must_use]
pub fn document(agent: &UserAgent) -> Document {
    agent.document(client())
}

/// The entries of a form with three fields, each with this value.
#[must_use]
pub fn three_fields(value: &str) -> [FormDataEntry; 3] {
    ["name", "e-mail", "comment"].map(|name| FormDataEntry {
        name: name.to_owned(),
        value: FormDataValue::String(value.to_owned()),
    })
}
