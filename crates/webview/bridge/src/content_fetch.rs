//! A `fetch()` of a document in a content process, whose response its script reads.

use std::mem;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::StatusCode;
use sendbeacon::{FetchId, NetworkError, PendingResponse, Response, ResponseType};
use serde::Serialize;

/// A `fetch()` of a document, whose response its script reads.
#[derive(Debug)]
pub struct ContentFetch {
    id: FetchId,
    state: State,
}

#[derive(Debug)]
enum State {
    Pending(PendingResponse),
    Answered(Result<Box<Response>, NetworkError>),
    Body(Box<Response>),
    Over,
}

/// What a response's script sees.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    r#type: &'static str,
    url: String,
    redirected: bool,
    status: u16,
    ok: bool,
    status_text: String,
    headers: Vec<(String, String)>,
    has_body: bool,
}

impl ContentFetch {
    pub(crate) fn new(response: PendingResponse) -> Self {
        Self { id: response.id(), state: State::Pending(response) }
    }

    pub(crate) fn answered(id: FetchId, answer: Result<Response, NetworkError>) -> Self {
        Self { id, state: State::Answered(answer.map(Box::new)) }
    }

    /// The identifier of the fetch.
    #[must_use]
    pub fn id(&self) -> FetchId {
        self.id
    }

    /// What to tell the script next: two texts, with which to call the function that came with the message. `None` at the
    /// end.
    pub async fn next(&mut self) -> Option<(&'static str, String)> {
        match mem::replace(&mut self.state, State::Over) {
            State::Pending(response) => {
                let answer = response.await.map(Box::new);
                self.head(answer)
            }
            State::Answered(answer) => self.head(answer),
            State::Body(mut response) => match response.chunk().await {
                Some(Ok(bytes)) => {
                    self.state = State::Body(response);
                    Some(("chunk", BASE64_STANDARD.encode(bytes)))
                }
                Some(Err(_)) => Some(("failed", String::new())),
                None => Some(("end", String::new())),
            },
            State::Over => None,
        }
    }

    fn head(
        &mut self,
        answer: Result<Box<Response>, NetworkError>,
    ) -> Option<(&'static str, String)> {
        let Ok(response) = answer else { return Some(("failed", String::new())) };
        let shown = Shown::of(&response);
        let text = serde_json::to_string(&shown).ok()?;
        if shown.has_body {
            self.state = State::Body(response);
        }
        Some(("head", text))
    }
}

impl Shown {
    fn of(response: &Response) -> Self {
        let Response { response_type, status, status_message, headers, url_list, .. } = response;
        let r#type = response_type.as_str();
        if matches!(response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect) {
            let (url, redirected, status, ok, status_text, headers, has_body) = Default::default();
            return Self { r#type, url, redirected, status, ok, status_text, headers, has_body };
        }
        let mut url = url_list.last().cloned();
        if let Some(url) = &mut url {
            url.set_fragment(None);
        }
        let headers = headers.iter();
        Self {
            r#type,
            url: url.map(String::from).unwrap_or_default(),
            redirected: url_list.len() > 1,
            status: status.as_u16(),
            ok: status.is_success(),
            status_text: isomorphic(status_message),
            headers: headers
                .map(|(name, value)| (name.to_string(), isomorphic(value.as_bytes())))
                .collect(),
            has_body: !matches!(
                *status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            ),
        }
    }
}

/// [Isomorphic decode](https://infra.spec.whatwg.org/#isomorphic-decode).
fn isomorphic(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
