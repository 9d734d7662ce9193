//! Proxies: the choice of a proxy, the requests to it, and the credentials for it.

pub(crate) mod authorizations;
pub(crate) mod routes;
pub(crate) mod rules;
pub(crate) mod server;
pub(crate) mod tunnel;
