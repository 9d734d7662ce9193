//! [Content Security Policy](https://w3c.github.io/webappsec-csp/): the checks of requests and responses, and reports.

mod directives;
mod fetch_integration;
mod list;
mod policy;
mod reporting;
mod source_expression;
mod source_list;
mod trie;
mod violation;

pub(crate) use self::{
    fetch_integration::{enforced_violations, report_only_violations, response_violations},
    source_list::SourceList,
};
pub use self::{
    list::CspList, policy::CspDisposition, reporting::report_violation, violation::CspViolation,
};
