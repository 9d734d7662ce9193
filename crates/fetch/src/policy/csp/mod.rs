//! [Content Security Policy](https://w3c.github.io/webappsec-csp/): the checks of requests and responses, and reports.
//!
//! The crate `content-security-policy` parses and matches policies. It names its functions after the algorithms of the
//! standard.

mod fetch_integration;
mod list;
mod recently_allowed;
mod reporting;
mod source_expressions;
mod url_matching;
mod violation;

pub(crate) use self::{
    fetch_integration::{enforced_violations, report_only_violations, response_violations},
    url_matching::expression_matches,
};
pub use self::{
    list::CspList,
    reporting::report_violation,
    violation::{CspDisposition, CspViolation},
};
