//! Headers: safelisted and forbidden ones, lists of values, those that Fetch appends, and those of Resource Timing.

pub(crate) mod extract;
pub(crate) mod forbidden;
pub(crate) mod origin_header;
pub(crate) mod resource_info;
pub(crate) mod safelist;
pub(crate) mod sec_fetch;
pub(crate) mod server_timing;
