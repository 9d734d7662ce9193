//! [Deferred fetching](https://fetch.spec.whatwg.org/#deferred-fetch): `fetchLater()`.

mod error;
mod queue;
mod queued;
mod quota;
mod record;
mod request_length;
mod reserved_quota;

use std::{sync::Arc, time::Duration};

pub use self::{
    error::FetchLaterError,
    queue::DeferredQueue,
    queued::QueuedDeferredFetch,
    quota::{DeferredFetching, NavigableContainer},
    record::DeferredFetchRecord,
    request_length::total_request_length,
    reserved_quota::ReservedQuota,
};
use crate::{
    Ledger, Request, http_url::is_http, policy::secure_contexts::is_potentially_trustworthy,
};

/// The facts about a call of [`fetchLater()`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) that are not
/// in the [`Request`].
///
/// ```
/// use std::time::Duration;
///
/// use sendbeacon_fetch::deferred::DeferredRequestInit;
///
/// let init = DeferredRequestInit::after(Duration::from_secs(1));
/// assert_eq!(init.activate_after, Some(1000.0));
///
/// // The facts as a binding finds them.
/// let mut init = DeferredRequestInit::default();
/// init.is_aborted = true;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeferredRequestInit {
    /// `activateAfter` in milliseconds, as Web IDL has converted it. Default: `None`.
    pub activate_after: Option<f64>,
    /// Whether the signal of the `Request` object is aborted. Default: false.
    pub is_aborted: bool,
    /// Whether the body is a `ReadableStream`, which a [`Request`] cannot have. Default: false.
    pub has_stream_body: bool,
}

impl DeferredRequestInit {
    /// The facts of a call with this `activateAfter`; everything else has its default.
    #[must_use]
    pub fn after(delay: Duration) -> Self {
        Self { activate_after: Some(delay.as_secs_f64() * 1000.0), ..Self::default() }
    }
}

/// The [`fetchLater(input, init)`](https://fetch.spec.whatwg.org/#dom-window-fetchlater) method
/// steps, up to the return of the method.
///
/// `document` has the records and the quota of the document of `this`, and `is_fully_active` says whether that
/// document is fully active. The request counts in `ledger` once it is sent. The binding does the steps about the
/// `Request` object.
///
/// # Errors
/// The exception to throw: see [`FetchLaterError::exception_name`].
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
    // Step 2. NB: the binding does Step 1 and Step 3: it makes the request object and takes its request.
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
    // Steps 11 to 13 are done together with Step 15, so that no other call comes in between. The variable of
    // Step 14 is the record's invoke state.
    let after = init.activate_after.map(|after| {
        // A delay that a `Duration` cannot express is endless.
        Duration::try_from_secs_f64(after / 1000.0).unwrap_or(Duration::MAX)
    });
    document.queue_a_deferred_fetch(request, after, ledger)
}

#[cfg(test)]
mod tests;
