//! Tasks for the main thread.

use glib::{ControlFlow, Priority};

/// Calls `f` on the main thread, when its main loop turns. That may be after the app's own loop has ended: `quit` turns it, too.
///
/// NB: `MainContext::invoke` would call it on this thread if the main loop does not turn at the moment.
pub(crate) fn post(f: impl FnOnce() + Send + 'static) {
    let mut f = Some(f);
    glib::idle_add_full(Priority::DEFAULT, move || {
        if let Some(f) = f.take() {
            f();
        }
        ControlFlow::Break
    });
}
