//! The exceptions that `fetchLater()` throws.

use thiserror::Error;

/// An exception that `fetchLater()` throws.
///
/// ```
/// use sendbeacon_fetch::deferred::FetchLaterError;
///
/// let error = FetchLaterError::QuotaExceeded { quota: 100, requested: 2_000 };
/// assert_eq!(error.exception_name(), "QuotaExceededError");
/// assert_eq!(error.to_string(), "the request has 2000 bytes, and the quota has room for 100");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FetchLaterError {
    /// `activateAfter` is infinite or not a number: a `TypeError`, which Web IDL throws before the method steps.
    #[error("activateAfter is not a finite number")]
    ActivateAfterNotFinite,
    /// The signal is aborted: throw its abort reason, which is an `AbortError` unless script gave another.
    #[error("the request was aborted before it was made")]
    Aborted,
    /// `activateAfter` is less than 0: a `RangeError`.
    #[error("activateAfter is negative: it is a number of milliseconds to wait")]
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
    #[error("the body is a ReadableStream, whose length is not known: pass the bytes")]
    StreamBody,
    /// The deferred-fetch quota has no room: a `QuotaExceededError` with these two numbers of bytes.
    #[error("the request has {requested} bytes, and the quota has room for {quota}")]
    QuotaExceeded {
        /// The available deferred-fetch quota for the URL's origin.
        quota: u64,
        /// The total request length.
        requested: u64,
    },
    /// The user agent shuts down, or the channel from a content process has no room for the request: a
    /// `TypeError`.
    #[error("the user agent accepts no requests at the moment")]
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
