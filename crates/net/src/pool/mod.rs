//! The [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool): which connections
//! there are, and which requests wait for one.
//!
//! The [state] does no I/O and gives out plain connections. One lock holds all of it, for as long as a
//! look-up takes. A request holds what it was given as a [lease], which tells the state when it ends.

pub(crate) mod group;
pub(crate) mod key;
pub(crate) mod lease;
pub(crate) mod state;
