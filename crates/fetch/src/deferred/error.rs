//! What `fetchLater()` throws.

use thiserror::Error;

/// What `fetchLater()` throws.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FetchLaterError {
    /// `activateAfter` is infinite or not a number: a `TypeError`, which Web IDL throws before anything
    /// else happens.
    #[error("activateAfter is not a finite number")]
    ActivateAfterNotFinite,
    /// The signal is aborted: its abort reason is to be thrown, by default an `AbortError`.
    #[error("the request was aborted before it was made")]
    Aborted,
    /// `activateAfter` is less than 0: a `RangeError`.
    #[error("activateAfter is negative: it is the least number of milliseconds to wait")]
    NegativeActivateAfter,
    /// The document is not fully active: a `TypeError`.
    #[error("the document is not fully active")]
    NotFullyActive,
    /// The URL's scheme is not an HTTP(S) scheme: a `TypeError`.
    #[error("the URL's scheme is {0:?}: a deferred fetch goes to http or https only")]
    NotHttp(String),
    /// The URL is not potentially trustworthy: a `TypeError`.
    #[error("the URL is not potentially trustworthy: use https")]
    NotTrustworthy,
    /// The length of the body is null: a `TypeError`.
    #[error("the body is a ReadableStream, whose length is not known: pass its bytes")]
    StreamBody,
    /// There is not enough quota: a `QuotaExceededError` with these two numbers of bytes.
    #[error("the request has {requested} bytes, and {quota} are left to it")]
    QuotaExceeded {
        /// The available deferred-fetch quota for the URL's origin.
        quota: u64,
        /// The total request length.
        requested: u64,
    },
    /// The user agent shuts down, or in a content process the channel has no room for the request: a
    /// `TypeError`.
    #[error("the user agent takes no more requests")]
    Unavailable,
}

impl FetchLaterError {
    /// The name of the exception: `AbortError`, `QuotaExceededError`, `RangeError` or `TypeError`.
    #[must_use]
    pub fn exception_name(&self) -> &'static str {
        match self {
            Self::Aborted => "AbortError",
            Self::NegativeActivateAfter => "RangeError",
            Self::QuotaExceeded { .. } => "QuotaExceededError",
            _ => "TypeError",
        }
    }
}
