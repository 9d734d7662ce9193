//! A Tauri app whose pages' beacons arrive: `tauri-example [URL ENDING] [--own]`.
//!
//! Without arguments it shows `ui/index.html`, and prints what its collector receives and how each beacon ended. With an
//! ending it shows the page at the URL, and ends in that way. With `--own` it is without the plugin.

mod collector;
mod endings;

use std::{env, sync::Arc};

use tauri::{WebviewUrl, WebviewWindowBuilder};
use tauri_plugin_sendbeacon::sendbeacon::{Event, EventKind, EventSink};

/// Prints how each beacon ended.
struct Timeline;

impl EventSink for Timeline {
    fn event(&self, event: Event) {
        if let EventKind::Done { outcome, .. } = &event.kind {
            println!("{}: {outcome:?}", event.fetch.url);
        }
    }

    fn wants_wire_events(&self) -> bool {
        false
    }
}

fn main() {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_own = arguments.iter().any(|it| it == "--own");
    arguments.retain(|it| it != "--own");

    let mut builder = tauri::Builder::default();
    if !is_own {
        let plugin = tauri_plugin_sendbeacon::Builder::new().exit_on_sigterm(true);
        builder = builder.plugin(match arguments.is_empty() {
            true => plugin.event_sink(Arc::new(Timeline)).build(),
            false => plugin.build(),
        });
    }
    let context = tauri::generate_context!();
    if let [url, ending] = &arguments[..] {
        return endings::run(builder, context, url, ending);
    }
    builder
        .setup(|app| {
            let page = format!("index.html?collector={}", collector::start()?);
            WebviewWindowBuilder::new(app, "main", WebviewUrl::App(page.into())).build()?;
            Ok(())
        })
        .run(context)
        .expect("the app runs");
}
