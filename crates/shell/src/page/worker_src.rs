//! The directive `worker-src` for workers at `blob:` and `data:` URLs. The library checks all other workers.

use sendbeacon::CspList;
use url::Url;

use super::window::Window;

/// The [`worker-src` pre-request check](https://w3c.github.io/webappsec-csp/#worker-src-pre-request) of the policies of the
/// document or worker of `window`. Returns whether it may start a worker at `url`.
pub(super) fn check_worker_src(window: &Window, url: &Url) -> bool {
    let csp_list = window.client().csp_list;
    needs_more_than_urls(&csp_list)
        || !window.report_violations(csp_list.violations_of("worker-src", url))
}

/// Whether a policy allows scripts by their nonces or hashes, or by the scripts that insert them.
pub(crate) fn needs_more_than_urls(csp_list: &CspList) -> bool {
    let needs_more = |token: &String| {
        token.starts_with("'nonce-") || token.starts_with("'sha") || token == "'strict-dynamic'"
    };
    let names = ["script-src-elem", "script-src", "worker-src", "default-src"];
    names.iter().any(|name| csp_list.enforced_directives(name).flatten().any(needs_more))
}
