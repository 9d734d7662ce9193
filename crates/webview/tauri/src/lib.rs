//! The beacons of a Tauri app's pages arrive, also when the window closes or the app exits.
//!
//! ```no_run
//! # fn context() -> tauri::Context { unimplemented!() }
//! tauri::Builder::default()
//!     .plugin(tauri_plugin_sendbeacon::init())
//!     .run(context())
//!     .expect("the app runs");
//! ```
//!
//! That is all that most apps write. Its pages call `navigator.sendBeacon()` as ever, also in `pagehide` and `visibilitychange`.
//! The plugin prevents no event: an app that prevents the close of a window keeps the window and its page. A webview that
//! is destroyed leaves its page in the background. When the app exits, the plugin waits for the beacons.
//!
//! * The wait is in [`AppHandle::cleanup_before_exit`](tauri::AppHandle::cleanup_before_exit), which Tauri calls after
//!   `RunEvent::Exit` and before a restart. An app that ends the process itself calls it before; `std::process::exit()`
//!   alone loses what is unfinished.
//! * If pages close resources of the app, a store for example, call [`quit`] at `RunEvent::Exit`.
//! * An incognito window keeps the webview's own `sendBeacon()`.
//! * The plugin works with WebKitGTK. On other platforms it does nothing, and the pages keep the webview's own.

#[cfg(webkitgtk)]
mod webkitgtk;

pub use sendbeacon;

use std::{fmt, sync::Arc, time::Duration};

use sendbeacon::{EventSink, UserAgent, UserAgentBuilder};
use tauri::{AppHandle, Wry, plugin::TauriPlugin};

/// The plugin with its defaults.
#[must_use]
pub fn init() -> TauriPlugin<Wry> {
    Builder::new().build()
}

/// Lets the pages be left and waits for the beacons, in place of the plugin, which does it later by itself. No window can
/// send afterwards.
///
/// Call it at `RunEvent::Exit` if pages of the app call commands that use the app's table of resources on the main thread.
/// Tauri's JavaScript class `Resource` has such a command, `close()`. When the plugin lets the pages be left by itself, Tauri
/// holds the lock of that table. If such a command is on its way at that moment, the app does not end. Such an app also calls
/// it before it calls `cleanup_before_exit()` anywhere, or `restart()` on the main thread: there is no `RunEvent::Exit` then.
///
/// Call it on the main thread. It blocks until everything is done, at most for the [deadline](Builder::deadline), and turns the
/// main loop meanwhile. On another thread it waits for the main thread, at most for the deadline and one second.
///
/// ```no_run
/// use tauri::RunEvent;
///
/// # fn context() -> tauri::Context { unimplemented!() }
/// let builder = tauri::Builder::default().plugin(tauri_plugin_sendbeacon::init());
/// builder.build(context()).expect("the app can be built").run(|app, event| {
///     if let RunEvent::Exit = event {
///         tauri_plugin_sendbeacon::quit(app);
///     }
/// });
/// ```
pub fn quit(app: &AppHandle<Wry>) {
    #[cfg(webkitgtk)]
    webkitgtk::quit(app);
    #[cfg(not(webkitgtk))]
    let _ = app;
}

/// Builds the plugin.
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn context() -> tauri::Context { unimplemented!() }
/// let plugin = tauri_plugin_sendbeacon::Builder::new()
///     .deadline(Duration::from_secs(5))
///     .exit_on_sigterm(true)
///     .build();
/// tauri::Builder::default().plugin(plugin).run(context()).expect("the app runs");
/// ```
#[must_use]
pub struct Builder {
    deadline: Duration,
    exits_on_sigterm: bool,
    agent: UserAgentBuilder,
    sink: Option<Arc<dyn EventSink>>,
}

impl Builder {
    /// A builder with the defaults.
    pub fn new() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            exits_on_sigterm: false,
            agent: UserAgent::builder(),
            sink: None,
        }
    }

    /// Sets how long the app may take to deliver the beacons when it exits. The windows are hidden by then. Half of it is
    /// for pages that do not let themselves be left. Default: 10 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets whether SIGTERM exits the app in order, with the code 143, as a session manager expects it of an app when the
    /// user logs out. Default: false, and the signal ends the process at once.
    pub fn exit_on_sigterm(mut self, exits: bool) -> Self {
        self.exits_on_sigterm = exits;
        self
    }

    /// Changes the user agent that sends the beacons: its network, proxies and limits. Its cookies are the webview's.
    pub fn user_agent(mut self, change: impl FnOnce(UserAgentBuilder) -> UserAgentBuilder) -> Self {
        self.agent = change(self.agent);
        self
    }

    /// Sets the sink that receives what happens to each beacon. Default: none.
    pub fn event_sink(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Builds the plugin. The app's setup fails if the user agent cannot be built.
    #[must_use]
    pub fn build(self) -> TauriPlugin<Wry> {
        let plugin = tauri::plugin::Builder::new("sendbeacon");
        #[cfg(webkitgtk)]
        let plugin = webkitgtk::connect(plugin, self);
        plugin.build()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("deadline", &self.deadline)
            .field("exits_on_sigterm", &self.exits_on_sigterm)
            .finish_non_exhaustive()
    }
}
