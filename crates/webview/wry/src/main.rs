//! A wry app whose pages' beacons arrive in whichever way it ends: `wry-example URL [ENDING] [--own | --extension]`.
//!
//! Without an ending it is a browser for one page. With one it ends in that way half a second after the page was loaded.
//! With `--own` the webview sends the beacons itself, as it does without this library. With `--extension` the web process
//! loads `sendbeacon-webkitgtk-extension`, which `cargo build` has put beside this program.

use std::{
    env,
    time::{Duration, Instant},
};

use gtk::{glib, prelude::*};
use sendbeacon::UserAgent;
use sendbeacon_webkitgtk::Beacons;
use tao::{
    event::{Event, WindowEvent},
    event_loop::{ControlFlow, EventLoopBuilder, EventLoopProxy},
    platform::unix::WindowExtUnix,
    window::WindowBuilder,
};
use webkit2gtk::WebViewExt;
use wry::{PageLoadEvent, WebViewBuilder, WebViewBuilderExtUnix, WebViewExtUnix};

/// How long the app may take to deliver the beacons when it quits.
const DEADLINE: Duration = Duration::from_secs(10);

/// The signal that asks a process to end.
const SIGTERM: i32 = 15;

/// A message to the event loop.
enum Task {
    Loaded,
    End,
    Exit,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let is_own = arguments.iter().any(|it| it == "--own");
    let has_extension = arguments.iter().any(|it| it == "--extension");
    arguments.retain(|it| it != "--own" && it != "--extension");
    let usage = "usage: wry-example URL [ENDING] [--own | --extension]";
    let url = arguments.first().ok_or(usage)?.clone();
    let ending = arguments.get(1).cloned();

    let event_loop = EventLoopBuilder::<Task>::with_user_event().build();
    let proxy = event_loop.create_proxy();
    let window = WindowBuilder::new().with_title("Beacons").build(&event_loop)?;
    let container = window.default_vbox().ok_or("the window has no box")?;
    let of_load = event_loop.create_proxy();
    let mut builder = WebViewBuilder::new();
    if has_extension && let Some(folder) = env::current_exe()?.parent() {
        builder = builder.with_extensions_path(folder);
    }
    let webview = builder
        .with_url(&url)
        .with_on_page_load_handler(move |event, _| {
            if let PageLoadEvent::Finished = event {
                let _ = of_load.send_event(Task::Loaded);
            }
        })
        .build_gtk(container)?;

    // The whole integration: attach each webview, and quit at the end.
    let beacons = if is_own { None } else { Some(Beacons::new(UserAgent::builder(), None)?) };
    if let Some(beacons) = &beacons {
        beacons.attach(&webview.webview());
    }
    let of_end = beacons.clone();
    let quit = move || {
        if let Some(beacons) = &beacons {
            let begun = Instant::now();
            let report = beacons.quit(DEADLINE);
            let (delivered, lost) = (report.delivered.len(), report.lost.len());
            println!("quit in {:?}: {delivered} delivered, {lost} lost", begun.elapsed());
            println!("lost before: {}", beacons.lost());
        }
    };
    // The default action of SIGTERM ends the process at once.
    let of_signal = event_loop.create_proxy();
    glib::unix_signal_add_local(SIGTERM, move || {
        let _ = of_signal.send_event(Task::Exit);
        glib::ControlFlow::Break
    });

    let (mut webview, mut window, mut is_loaded) = (Some(webview), Some(window), false);
    event_loop.run(move |event, _, control_flow| {
        *control_flow = ControlFlow::Wait;
        match event {
            Event::UserEvent(Task::Loaded) if !is_loaded => {
                is_loaded = true;
                if ending.is_some() {
                    send_after(500, &proxy, Task::End);
                }
            }
            Event::UserEvent(Task::End) => {
                let of_page = proxy.clone();
                let native = webview.as_ref().map(|it| it.webview());
                match (ending.as_deref(), native) {
                    (Some("navigate"), Some(native)) => {
                        native.load_uri(&url.replace("/page.html", "/other.html"));
                        send_after(1500, &proxy, Task::Exit);
                    }
                    // To another site.
                    (Some("navigate-cross-site"), Some(native)) => {
                        let other = url.replace("/page.html", "/other.html");
                        native.load_uri(&other.replace("127.0.0.1", "localhost"));
                        send_after(1500, &proxy, Task::Exit);
                    }
                    (Some("reload"), Some(native)) => {
                        native.reload();
                        send_after(1500, &proxy, Task::Exit);
                    }
                    (Some("back"), Some(native)) => {
                        native.load_uri(&url.replace("/leaving.html", "/other.html"));
                        let native = native.clone();
                        let back = move || native.go_back();
                        glib::timeout_add_local_once(Duration::from_millis(1000), back);
                        send_after(2500, &proxy, Task::Exit);
                    }
                    // The page goes on until it says that it is done.
                    (Some("stay"), Some(native)) => {
                        let exit_when_done = move |webview: &webkit2gtk::WebView| {
                            if webview.title().is_some_and(|it| it == "done") {
                                let _ = of_page.send_event(Task::Exit);
                            }
                        };
                        exit_when_done(&native);
                        native.connect_title_notify(exit_when_done);
                        send_after(30_000, &proxy, Task::Exit);
                    }
                    // The window closes while the webview loads another page.
                    (Some("close-loading"), Some(native)) => {
                        native.load_uri(&url.replace("/page.html?", "/other.html?wait=3&"));
                        send_after(300, &proxy, Task::Exit);
                    }
                    (Some("close"), _) => {
                        if let Some(window) = &window {
                            window.gtk_window().close();
                        }
                    }
                    (Some("sigterm"), _) => {
                        glib::spawn_command_line_async(format!("kill {}", std::process::id()))
                            .expect("there is `kill`");
                    }
                    // At the moment when the page says that it has sent its beacons.
                    (Some("crash"), Some(native)) => {
                        let crash_when_sent = move |webview: &webkit2gtk::WebView| {
                            if webview.title().is_some_and(|it| it.starts_with("admitted")) {
                                webview.terminate_web_process();
                                send_after(500, &of_page, Task::Exit);
                            }
                        };
                        crash_when_sent(&native);
                        native.connect_title_notify(crash_when_sent);
                    }
                    // The webview goes, and the app stays.
                    (Some("drop"), Some(native)) => {
                        // A handler of the app may expect the window.
                        native.connect_uri_notify(|_| panic!("the webview has no window"));
                        (webview, window) = (None, None);
                        send_after(6000, &proxy, Task::Exit);
                    }
                    // The webview goes, and the app ends: as Dioxus does it.
                    (Some("drop-exit"), _) => {
                        (webview, window) = (None, None);
                        *control_flow = ControlFlow::Exit;
                    }
                    // The app waits until the page was left, and ends then.
                    (Some("leave"), Some(native)) => {
                        let left = of_end.as_ref().map(|beacons| beacons.leave(&native));
                        glib::spawn_future_local(async move {
                            if let Some(left) = left {
                                left.await;
                            }
                            let _ = of_page.send_event(Task::Exit);
                        });
                    }
                    // Nothing can be done at a `process::exit()`.
                    (Some("exit-at-once"), _) => std::process::exit(0),
                    (ending, _) => panic!("there is no ending {ending:?}"),
                }
            }
            Event::UserEvent(Task::Exit) => *control_flow = ControlFlow::Exit,
            Event::WindowEvent { event: WindowEvent::CloseRequested, .. } => {
                (webview, window) = (None, None);
                *control_flow = ControlFlow::Exit;
            }
            Event::LoopDestroyed => quit(),
            _ => {}
        }
    });
}

fn send_after(milliseconds: u64, proxy: &EventLoopProxy<Task>, task: Task) {
    let proxy = proxy.clone();
    glib::timeout_add_local_once(Duration::from_millis(milliseconds), move || {
        let _ = proxy.send_event(task);
    });
}
