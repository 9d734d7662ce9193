//! The messages of a page's script.
//!
//! A message is text: the webview's secret, the version, the identifier of the document, and JSON.

use sendbeacon::extract;
use serde::Deserialize;
use thiserror::Error;
use url::Url;

use crate::{body::Body, request::PageRequest, secret::Secret};

/// The version of the messages.
const VERSION: &str = "1";

/// The longest message in bytes. A body of 64 KiB and a URL of 64 KiB need less, also if every character of them is
/// escaped.
pub(crate) const MAX_LENGTH: usize = 1 << 20;

/// The length of a document's identifier in hexadecimal digits.
const DOCUMENT_LENGTH: usize = 16;

/// Why a message was ignored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is longer than 1 MiB.
    #[error("the message is too long")]
    TooLong,
    /// It does not begin with the secret of this webview. Any frame may post such a message.
    #[error("the message is not from the script of this webview's main frame")]
    Stranger,
    /// It is of another version of the script.
    #[error("the message has another version")]
    Version,
    /// It is malformed.
    #[error("the message is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A field has a value that it must not have.
    #[error("the message has no valid {0}")]
    Field(&'static str),
    /// The webview was closed, or the document was left too long ago.
    #[error("the message is of a document that is not there")]
    NoDocument,
    /// The script has admitted more than it may. The page has changed the script's answers.
    #[error("the message asks for more than its document may have unfinished")]
    TooMuch,
    /// The webviews have too much unfinished, and the script was not told in time. The request is lost.
    #[error("there is no memory for another request of this webview")]
    NoMemory,
    /// The user agent has shut down, or refuses the request: see `Document::send_answered_beacon`.
    #[error("the user agent refuses the request")]
    Refused,
    /// The user agent refuses the deferred fetch.
    #[error("the user agent refuses the deferred fetch: {0}")]
    Deferred(#[from] sendbeacon::FetchLaterError),
}

/// The identifier of a document, which its script has chosen at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DocumentKey(pub(crate) u64);

/// A message of a document.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) document: DocumentKey,
    pub(crate) news: News,
}

/// What a message says.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum News {
    /// The document was created.
    Hello {
        origin: String,
        is_secure: bool,
        referrer: String,
        languages: String,
        /// The serialized origins of the documents around it.
        ancestors: Vec<String>,
    },
    /// What may change of the document's settings object.
    Settings {
        url: String,
        base: String,
        referrer_policies: Vec<String>,
        policies: Vec<String>,
    },
    /// `sendBeacon()` has returned true.
    Beacon {
        sending: Sending,
    },
    /// A keepalive `fetch()` was called, in a webview while the page was dismissed.
    Fetch {
        sending: Sending,
        request: PageRequest,
    },
    /// `fetchLater()` has returned.
    Defer {
        /// Each one of a document is larger than the one before.
        id: u64,
        sending: Sending,
        request: PageRequest,
        /// In milliseconds.
        activate_after: Option<f64>,
    },
    /// A deferred fetch was aborted.
    Abort {
        id: u64,
    },
    /// Script asks whether a deferred fetch was sent.
    Activated {
        #[cfg_attr(not(all(unix, feature = "remote")), allow(dead_code))]
        id: u64,
    },
    Visibility {
        state: Visibility,
    },
    Pagehide {
        persisted: bool,
    },
    Pageshow {
        persisted: bool,
    },
}

/// A request, and how much it counts in the script's mirror of the ledger.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Sending {
    pub(crate) url: String,
    pub(crate) bytes: u64,
    pub(crate) url_bytes: u64,
    pub(crate) body: Option<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Visibility {
    Visible,
    Hidden,
}

impl Sending {
    /// The URL without its fragment, which no request sends.
    pub(crate) fn url(&self) -> Result<Url, MessageError> {
        let mut url = Url::parse(&self.url).map_err(|_| MessageError::Field("url"))?;
        url.set_fragment(None);
        Ok(url)
    }

    /// The lengths of the body and of its content type, in bytes.
    pub(crate) fn body_lengths(&self) -> Result<(u64, u64), MessageError> {
        let Some(body) = &self.body else { return Ok((0, 0)) };
        let lengths = body.with(|body| {
            extract(body).map(|it| (it.length, it.content_type.map_or(0, |it| it.len() as u64)))
        })?;
        lengths.map_err(|_| MessageError::Field("body"))
    }
}

impl Message {
    /// Parses the message of a script that knows `secret`.
    pub(crate) fn parse(secret: &Secret, text: &str) -> Result<Self, MessageError> {
        let (given, rest) = text.split_at_checked(Secret::LENGTH).ok_or(MessageError::Stranger)?;
        if !secret.is(given) {
            return Err(MessageError::Stranger);
        }
        if text.len() > MAX_LENGTH {
            return Err(MessageError::TooLong);
        }
        let rest = rest.strip_prefix(VERSION).ok_or(MessageError::Version)?;
        let (document, json) =
            rest.split_at_checked(DOCUMENT_LENGTH).ok_or(MessageError::Field("document"))?;
        let digits = document.bytes().all(|it| it.is_ascii_hexdigit());
        let document = u64::from_str_radix(document, 16).ok().filter(|_| digits);
        let document = document.map(DocumentKey).ok_or(MessageError::Field("document"))?;
        Ok(Self { document, news: serde_json::from_str(json)? })
    }
}

impl News {
    /// Parses the message of a document's own function.
    #[cfg(all(unix, feature = "remote"))]
    pub(crate) fn parse(text: &str) -> Result<Self, MessageError> {
        if text.len() > MAX_LENGTH {
            return Err(MessageError::TooLong);
        }
        Ok(serde_json::from_str(text)?)
    }
}

#[cfg(test)]
mod tests;
