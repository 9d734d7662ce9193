//! The plugin's side for WebKitGTK.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use sendbeacon_webkitgtk::Beacons;
use tauri::{AppHandle, Manager, Resource, Wry, plugin};
use webkit2gtk::WebViewExt;

use crate::Builder;

/// The code with which an app exits because of a signal: 128 and the number of SIGTERM.
const EXIT_CODE: i32 = 128 + SIGTERM;
const SIGTERM: i32 = 15;

/// How the app quits.
struct Quit {
    beacons: Beacons,
    deadline: Duration,
    is_done: AtomicBool,
}

impl Quit {
    /// Lets the pages be left, and waits for the beacons. Does nothing if it has done so.
    fn quit(&self) {
        if !self.is_done.load(Acquire) {
            self.beacons.quit(self.deadline);
            self.is_done.store(true, Release);
        }
    }
}

/// Quits when Tauri clears the app's resources, in `cleanup_before_exit`.
///
/// NB: a plugin hears `RunEvent::Exit`, too, but Tauri holds a lock of all plugins then, and the main loop, which the
/// webviews need, may not turn. Tauri holds the lock of the resources here, so nothing may turn it after [`quit`].
struct QuitAtExit(Arc<Quit>);

impl Resource for QuitAtExit {}

impl Drop for QuitAtExit {
    fn drop(&mut self) {
        self.0.quit();
    }
}

/// Lets the pages be left, and waits for the beacons.
pub(crate) fn quit(app: &AppHandle<Wry>) {
    if let Some(quit) = app.try_state::<Arc<Quit>>() {
        quit.quit();
    }
}

pub(crate) fn connect(plugin: plugin::Builder<Wry>, builder: Builder) -> plugin::Builder<Wry> {
    let Builder { deadline, exits_on_sigterm, agent, sink } = builder;
    plugin
        .setup(move |app, _| {
            let beacons = Beacons::new(agent, sink)?;
            app.manage(beacons.clone());
            let quit = Arc::new(Quit { beacons, deadline, is_done: AtomicBool::new(false) });
            app.manage(Arc::clone(&quit));
            app.resources_table().add(QuitAtExit(quit));
            if exits_on_sigterm {
                let app = app.clone();
                glib::unix_signal_add(SIGTERM, move || {
                    app.exit(EXIT_CODE);
                    glib::ControlFlow::Continue
                });
            }
            Ok(())
        })
        .on_webview_ready(|webview| {
            let beacons = Beacons::clone(&webview.state::<Beacons>());
            // An error means that the webview has gone already.
            let _ = webview.with_webview(move |platform| {
                let webview = platform.inner();
                if !webview.is_ephemeral() {
                    beacons.attach(&webview);
                }
            });
        })
}
