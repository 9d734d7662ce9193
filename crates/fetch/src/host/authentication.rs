//! The authentication entries.

use http::HeaderValue;
use url::Url;

use super::answer::Answer;
use crate::client::Client;

/// The [authentication entries](https://fetch.spec.whatwg.org/#authentication-entries) of the user agent.
///
/// ```
/// use http::HeaderValue;
/// use sendbeacon_fetch::{Client, host::{Answer, AuthenticationEntries}};
///
/// struct Intranet;
///
/// impl AuthenticationEntries for Intranet {
///     fn authorization(&self, url: &url::Url, _: &Client) -> Answer<Option<HeaderValue>> {
///         let is_ours = url.host_str() == Some("intranet.example");
///         Answer::Ready(is_ours.then(|| HeaderValue::from_static("Basic dTpw")))
///     }
/// }
/// ```
pub trait AuthenticationEntries: Send + Sync {
    /// The value of the `Authorization` header for a request of `client` to `url`, if there is an entry.
    /// The implementation does not prompt the user: the document of the request may have gone.
    fn authorization(&self, url: &Url, client: &Client) -> Answer<Option<HeaderValue>>;
}

/// No authentication entries. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuthenticationEntries;

impl AuthenticationEntries for NoAuthenticationEntries {
    fn authorization(&self, _: &Url, _: &Client) -> Answer<Option<HeaderValue>> {
        Answer::Ready(None)
    }
}
