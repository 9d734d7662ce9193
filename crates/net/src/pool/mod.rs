//! The [connection pool](https://fetch.spec.whatwg.org/#concept-connection-pool): the open connections,
//! and the requests that wait for one.
//!
//! The [state] does no I/O and gives out plain connections. One lock protects all of it, and is held only
//! for a look-up. A request holds its connection or its room as a [lease], which tells the state when it
//! ends.

pub(crate) mod group;
pub(crate) mod index;
pub(crate) mod key;
pub(crate) mod lease;
pub(crate) mod state;
