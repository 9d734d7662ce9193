//! The servers of a case: rules that answer requests.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN,
    },
};
use sendbeacon_fetch::{
    NetworkError,
    host::{NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::network::Answer;
use serde::Deserialize;

/// A rule: which requests it matches, and how it answers them.
///
/// The first matching rule answers a request. A request that matches no rule gets 204 without headers.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// `METHOD URL`. The method may be `*` for any method, and the URL may end with `*` for any end.
    to: String,
    #[serde(default = "no_content")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    /// Whether to add the CORS headers that allow any origin, credentials and any `Content-Type`.
    #[serde(default)]
    cors: bool,
    /// Whether each character of a header value stands for one byte. Otherwise values are encoded as UTF-8.
    #[serde(default)]
    latin1: bool,
    /// How many requests the rule answers. Default: all.
    times: Option<u32>,
    /// Whether connections to the server fail.
    #[serde(default)]
    is_down: bool,
}

fn no_content() -> u16 {
    204
}

impl Rule {
    fn matches(&self, request: &NetworkRequest) -> bool {
        let Some((method, url)) = self.to.split_once(' ') else { return false };
        let requested = wire_url(request);
        (method == "*" || method == request.method.as_str())
            && match url.strip_suffix('*') {
                Some(prefix) => requested.starts_with(prefix),
                None => requested == url,
            }
    }

    /// The answer to a matching request.
    ///
    /// # Panics
    /// If the case has a status or a header that is not valid.
    fn answer(&self, request: &NetworkRequest) -> Answer {
        if self.is_down {
            return Err(NetworkError::Connect("there is no server".into()));
        }
        let header = |(name, value): &(String, String)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a case has header names");
            let bytes = if self.latin1 {
                value.chars().map(|c| u8::try_from(c).expect("a case has Latin-1")).collect()
            } else {
                value.clone().into_bytes()
            };
            (name, HeaderValue::from_bytes(&bytes).expect("a case has header values"))
        };
        let mut headers: HeaderMap = self.headers.iter().map(header).collect();
        if self.cors {
            let origin = request.headers.get(ORIGIN).cloned();
            headers.extend(origin.map(|origin| (ACCESS_CONTROL_ALLOW_ORIGIN, origin)));
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
        }
        let status = StatusCode::from_u16(self.status).expect("a case has statuses");
        let body = Bytes::from(self.body.clone().into_bytes());
        Ok(NetworkResponse::new(status, headers, Box::pin(Some(body))))
    }
}

/// The script of a network that answers by `rules`.
pub(crate) fn script(
    mut rules: Vec<Rule>,
) -> impl FnMut(&NetworkRequest) -> Answer + Send + 'static {
    move |request| {
        let is_left = |rule: &&mut Rule| rule.times != Some(0) && rule.matches(request);
        match rules.iter_mut().find(is_left) {
            Some(rule) => {
                rule.times = rule.times.map(|times| times - 1);
                rule.answer(request)
            }
            None => sendbeacon_testkit::network::respond(204, &[]),
        }
    }
}

/// The URL without fragment and credentials, which are not sent to servers.
pub(crate) fn wire_url(request: &NetworkRequest) -> String {
    let mut url = (*request.url).clone();
    url.set_fragment(None);
    // These calls fail only for URLs without a host, which have no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
