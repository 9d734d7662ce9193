//! [Deferred fetching](https://fetch.spec.whatwg.org/#deferred-fetch): `fetchLater()`.

mod error;
mod queue;
mod queued;
mod quota;
mod record;
mod request_length;

use std::{sync::Arc, time::Duration};

pub use self::{
    error::FetchLaterError,
    queue::DeferredQueue,
    queued::QueuedDeferredFetch,
    quota::{DeferredFetching, NavigableContainer, ReservedQuota},
    record::DeferredFetchRecord,
    request_length::total_request_length,
};
use crate::{
    Ledger, Request, beacon::is_http, policy::secure_contexts::is_potentially_trustworthy,
};

/// What of the arguments of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) is
/// not in the `Request` that its `Request` object has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

/// The [`fetchLater(input, init)`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) method
/// steps, up to its return.
///
/// `document` is the deferred fetching of `this`'s document; `is_fully_active` says whether that document is
/// fully active. The fetch counts in `ledger` once it is sent. The binding does the steps about the
/// `Request` object.
///
/// # Errors
/// What script sees thrown.
pub fn fetch_later(
    document: &DeferredFetching,
    is_fully_active: bool,
    request: Request,
    init: DeferredRequestInit,
    ledger: &Arc<Ledger>,
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
    if !is_http(url) {
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
    document.queue_a_deferred_fetch(request, after, ledger)
}

#[cfg(test)]
mod tests;
