//! Proxies: which one a request takes, what it is asked, and who the client says it is.

pub(crate) mod authorizations;
pub(crate) mod routes;
pub(crate) mod rules;
pub(crate) mod server;
pub(crate) mod tunnel;
