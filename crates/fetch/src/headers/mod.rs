//! Headers: safelisted and forbidden ones, lists of values, and those that Fetch appends.

pub(crate) mod extract;
pub(crate) mod forbidden;
pub(crate) mod origin_header;
pub(crate) mod safelist;
pub(crate) mod sec_fetch;
