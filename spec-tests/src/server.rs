//! How servers answer.

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

/// An answer, and what it answers. The first rule that matches a request counts; what none matches
/// is answered with 204 and no headers.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// `METHOD URL`; the method may be `*`, and so may the end of the URL.
    to: String,
    #[serde(default = "no_content")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// It also allows whoever asks, with credentials and any `Content-Type`.
    #[serde(default)]
    cors: bool,
    /// Values are one byte a character, and not UTF-8.
    #[serde(default)]
    latin1: bool,
    /// How often it answers before it matches no more.
    times: Option<u32>,
    /// It does not answer at all.
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

    /// # Panics
    /// If a case has a status or header that cannot be.
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
        Ok(NetworkResponse::new(status, headers, Box::pin(None)))
    }
}

/// What answers by `rules`.
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

/// The URL as a server sees it: a network sends neither fragment nor credentials.
pub(crate) fn wire_url(request: &NetworkRequest) -> String {
    let mut url = request.url.clone();
    url.set_fragment(None);
    // They fail for a URL without a host, and then there are none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
