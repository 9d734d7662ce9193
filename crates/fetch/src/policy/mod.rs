//! The policies that check or change a request, at the first hop and after each redirect.

pub(crate) mod address_space;
pub(crate) mod bad_port;
pub(crate) mod csp;
pub(crate) mod hsts;
pub(crate) mod local_network_access;
pub(crate) mod mime_type_blocking;
pub(crate) mod mixed_content;
pub(crate) mod permissions_policy;
pub(crate) mod referrer;
pub(crate) mod referrer_policy;
pub(crate) mod secure_contexts;
pub(crate) mod subresource_integrity;
pub(crate) mod upgrade_insecure_requests;
