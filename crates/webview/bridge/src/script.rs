//! The script that runs in a document before the page's own.

use crate::secret::Secret;

const SCRIPT: &str = include_str!("page.js");

/// The part of the script that adds `fetchLater()`.
const FETCH_LATER: &str = include_str!("fetch_later.js");

/// The part of the script for `fetch()` with `keepalive`.
const KEEPALIVE_FETCH: &str = include_str!("keepalive_fetch.js");

/// The part of that for a content process.
#[cfg(all(unix, feature = "remote"))]
const NATIVE_FETCH: &str = include_str!("native_fetch.js");

/// The script of a webview's main frame.
pub(crate) fn of_webview(secret: &Secret, token: &Secret, post: &str) -> String {
    SCRIPT
        .replacen("KEEPALIVE_FETCH;", KEEPALIVE_FETCH, 1)
        .replacen("NATIVE_FETCH;", "", 1)
        .replacen("FETCH_LATER;", FETCH_LATER, 1)
        .replacen("MESSAGE_SECRET", secret.as_str(), 1)
        .replacen("TELL_SECRET", token.as_str(), 1)
        .replacen("POST_MESSAGE", post, 1)
        .replacen("IS_NATIVE", "false", 1)
        .replacen("REMEMBERED_BLOBS", "undefined", 1)
}

/// A JavaScript expression for a function that runs the script, and returns what the script returns. Its parameters are the
/// native function, and what the script of the document's creator has returned.
#[cfg(all(unix, feature = "remote"))]
pub(crate) fn of_content_process() -> String {
    let script = SCRIPT
        .replacen("KEEPALIVE_FETCH;", KEEPALIVE_FETCH, 1)
        .replacen("NATIVE_FETCH;", NATIVE_FETCH, 1)
        .replacen("FETCH_LATER;", FETCH_LATER, 1)
        .replacen("POST_MESSAGE", "native", 1)
        .replacen("IS_NATIVE", "true", 1)
        .replacen("REMEMBERED_BLOBS", "inherited", 1);
    format!("(native, inherited) => {{ const returned = {script} return returned; }}")
}
