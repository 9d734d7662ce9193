//! The script that runs in a document before the page's own.

use crate::secret::Secret;

const SCRIPT: &str = include_str!("page.js");

/// The part of the script that adds `fetchLater()`.
const FETCH_LATER: &str = include_str!("fetch_later.js");

/// The script of a webview's main frame.
pub(crate) fn of_webview(secret: &Secret, token: &Secret, post: &str) -> String {
    SCRIPT
        .replacen("FETCH_LATER;", FETCH_LATER, 1)
        .replacen("MESSAGE_SECRET", secret.as_str(), 1)
        .replacen("TELL_SECRET", token.as_str(), 1)
        .replacen("POST_MESSAGE", post, 1)
        .replacen("IS_NATIVE", "false", 1)
}

/// A JavaScript expression for a function that runs the script. Its parameter is the native function.
#[cfg(all(unix, feature = "remote"))]
pub(crate) fn of_content_process() -> String {
    let script = SCRIPT
        .replacen("FETCH_LATER;", FETCH_LATER, 1)
        .replacen("POST_MESSAGE", "native", 1)
        .replacen("IS_NATIVE", "true", 1);
    format!("(native) => {{ {script} }}")
}
