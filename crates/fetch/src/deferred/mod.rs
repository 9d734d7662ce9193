//! [Deferred fetching](https://fetch.spec.whatwg.org/#deferred-fetch): `fetchLater()`.

mod queue;
mod quota;
mod record;

use std::{sync::Arc, time::Duration};

use thiserror::Error;

pub use self::{
    queue::DeferredQueue,
    quota::{DeferredFetching, NavigableContainer, ReservedQuota},
    record::DeferredFetchRecord,
};
use crate::{
    Body, Referrer, Request, beacon::url_length,
    policy::secure_contexts::is_potentially_trustworthy,
};

/// What of the arguments of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) is
/// not in the `Request` that its `Request` object has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeferredRequestInit {
    /// `activateAfter`, in milliseconds, as Web IDL converts it.
    pub activate_after: Option<f64>,
    /// Whether the request object's signal is aborted.
    pub is_aborted: bool,
    /// Whether its body is a `ReadableStream`, which a `Request` cannot have.
    pub has_stream_body: bool,
}

impl DeferredRequestInit {
    /// An `activateAfter` and nothing else.
    #[must_use]
    pub fn activate_after(delay: Duration) -> Self {
        Self { activate_after: Some(delay.as_secs_f64() * 1000.0), ..Self::default() }
    }
}

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

/// A request that was queued: what is to be kept until it is fetched.
#[derive(Debug)]
pub struct QueuedDeferredFetch {
    /// The request, as it will be fetched.
    pub request: Box<Request>,
    /// Its deferred fetch record.
    pub record: Arc<DeferredFetchRecord>,
    /// How long to wait at least for it to be fetched while its document lives; `None` for as long as
    /// that lives.
    pub activate_after: Option<Duration>,
}

/// The [`fetchLater(input, init)`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) method
/// steps, up to its return.
///
/// `document` is that of `this`; `is_fully_active` says whether it is. The steps about the `Request`
/// object are the binding's.
///
/// # Errors
/// What script sees thrown.
pub fn fetch_later(
    document: &DeferredFetching,
    is_fully_active: bool,
    request: Request,
    init: DeferredRequestInit,
) -> Result<QueuedDeferredFetch, FetchLaterError> {
    if init.activate_after.is_some_and(|after| !after.is_finite()) {
        return Err(FetchLaterError::ActivateAfterNotFinite);
    }
    // Step 2. NB: Step 1 made the request object, and Step 3 took its request.
    if init.is_aborted {
        return Err(FetchLaterError::Aborted);
    }
    // Steps 4 to 6.
    if init.activate_after.is_some_and(|after| after < 0.0) {
        return Err(FetchLaterError::NegativeActivateAfter);
    }
    // Step 7.
    if !is_fully_active {
        return Err(FetchLaterError::NotFullyActive);
    }
    let url = request.url();
    // Step 8.
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchLaterError::NotHttp(url.scheme().to_owned()));
    }
    // Step 9.
    if !is_potentially_trustworthy(url) {
        return Err(FetchLaterError::NotTrustworthy);
    }
    // Step 10.
    if init.has_stream_body {
        return Err(FetchLaterError::StreamBody);
    }
    // Steps 11 to 13 are made with Step 15, so that nobody comes in between. Step 14's variable is the
    // record's invoke state.
    let after = init.activate_after.map(|after| {
        // More than it can count is for ever.
        Duration::try_from_secs_f64(after / 1000.0).unwrap_or(Duration::MAX)
    });
    document.queue_a_deferred_fetch(request, after)
}

/// Compute the [total request length](https://fetch.spec.whatwg.org/#total-request-length), in bytes.
#[must_use]
pub fn total_request_length(request: &Request) -> u64 {
    // Step 1.
    let mut length = url_length(request.url());
    // Step 2. NB: what is no URL counts as script sees it in `Request.referrer`.
    length += match &request.referrer {
        Referrer::NoReferrer => 0,
        Referrer::Client => "about:client".len(),
        Referrer::Url(url) => url.as_str().len(),
    };
    // Step 3.
    length += request
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum::<usize>();
    // Steps 4 and 5.
    (length as u64).saturating_add(request.body.as_ref().map_or(0, Body::length))
}

#[cfg(test)]
mod tests;
