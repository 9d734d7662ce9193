//! What the benches share: a user agent whose network answers at once, so that what is measured is
//! this library.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sendbeacon::{
    Client, Document, NetworkError, UserAgent,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use url::Url;

/// Answers everything with 204.
struct Instantly;

impl Network for Instantly {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let (status, headers) = (StatusCode::NO_CONTENT, HeaderMap::new());
        let body = Box::pin(None::<Bytes>);
        Box::pin(std::future::ready(Ok(NetworkResponse::new(status, headers, body))))
    }
}

/// A user agent over a network that answers at once.
///
/// # Panics
/// If no thread can be started.
#[must_use]
pub fn user_agent() -> UserAgent {
    UserAgent::builder().network(Arc::new(Instantly)).build().expect("a thread can be started")
}

/// A document like those of the Web.
///
/// # Panics
/// Never: its URL is one.
#[must_use]
pub fn document(agent: &UserAgent) -> Document {
    let url = Url::parse("https://www.example.com/2026/11/an-article?from=home").expect("a URL");
    agent.document(Client::new(url, 1))
}

/// Where its beacons go.
pub const COLLECTOR: &str = "/api/v1/collect?site=42";
