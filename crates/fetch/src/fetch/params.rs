//! [Fetch params](https://fetch.spec.whatwg.org/#fetch-params).

use super::{observer::Observer, profile::Profile};

/// [Fetch params](https://fetch.spec.whatwg.org/#fetch-params), without the request.
pub(super) struct FetchParams<'a> {
    pub(super) profile: &'a Profile,
    pub(super) observer: &'a dyn Observer,
}
