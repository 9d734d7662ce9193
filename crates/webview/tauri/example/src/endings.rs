//! The endings of an app, for the matrix.

use std::{process::Command, sync::Mutex, thread, time::Duration};

use tauri::{
    AppHandle, Context, Manager, RunEvent, WebviewUrl, WebviewWindow, WebviewWindowBuilder,
    WindowEvent, webview::PageLoadEvent,
};

/// A script of a page that prevents the first request to close its window.
const ON_CLOSE_REQUESTED: &str = "
    let isFirst = true;
    window.__TAURI__.window.getCurrentWindow().onCloseRequested((event) => {
        if (isFirst) event.preventDefault();
        isFirst = false;
    });
";

/// A script of a page that calls a command for the app's resources again and again, so that one is on its way when the app
/// ends.
const CLOSE_RESOURCES: &str = "
    const close = () => window.__TAURI__.core.invoke('plugin:resources|close', { rid: 1 });
    setInterval(() => close().catch(() => {}), 1);
";

/// Runs the app, which ends in this way half a second after the page was loaded.
pub(crate) fn run(builder: tauri::Builder<tauri::Wry>, context: Context, url: &str, ending: &str) {
    let url: tauri::Url = url.parse().expect("a URL");
    let (of_setup, of_run) = (ending.to_owned(), ending.to_owned());
    builder
        .setup(move |app| {
            let ending = Mutex::new(Some(of_setup.clone()));
            let refuses = of_setup == "refuses-navigation";
            let page = url.clone();
            // Only the pages of this window may call Tauri's API.
            let calls_tauri = ["js-close", "resources"].contains(&&*of_setup);
            let label = if calls_tauri { "closing" } else { "main" };
            let window = WebviewWindowBuilder::new(app, label, WebviewUrl::External(url.clone()))
                .on_navigation(move |to| !refuses || to.host() == page.host())
                .on_page_load(move |window, payload| {
                    if payload.event() == PageLoadEvent::Finished
                        && let Some(ending) = ending.lock().expect("no panic").take()
                    {
                        let page = payload.url().clone();
                        thread::spawn(move || {
                            thread::sleep(Duration::from_millis(500));
                            end(&window, &ending, &page);
                        });
                    }
                })
                .build()?;
            match &*of_setup {
                "second-window" => {
                    let blank = WebviewUrl::External("about:blank".parse()?);
                    WebviewWindowBuilder::new(app, "second", blank).build()?;
                }
                // The first close is prevented, as by a question whether to save.
                "prevented" => {
                    let is_first = Mutex::new(true);
                    window.on_window_event(move |event| {
                        let mut is_first = is_first.lock().expect("no panic");
                        if let WindowEvent::CloseRequested { api, .. } = event
                            && std::mem::take(&mut *is_first)
                        {
                            api.prevent_close();
                        }
                    });
                }
                _ => {}
            }
            Ok(())
        })
        .build(context)
        .expect("the app can be built")
        .run(move |app, event| match (&*of_run, event) {
            // An app in the tray: its last window goes, and it stays.
            ("tray", RunEvent::ExitRequested { code: None, api, .. }) => {
                api.prevent_exit();
                exit_after(app, 4000);
            }
            ("resources", RunEvent::Exit) => tauri_plugin_sendbeacon::quit(app),
            _ => {}
        });
}

/// Ends the app, on a thread of its own.
fn end(window: &WebviewWindow, ending: &str, page: &tauri::Url) {
    let app = window.app_handle();
    match ending {
        "navigate" => {
            let other = page.as_str().replace("/page.html", "/other.html");
            window.navigate(other.parse().expect("a URL")).expect("a window");
            exit_after(app, 1500);
        }
        "reload" => {
            window.reload().expect("a window");
            exit_after(app, 1500);
        }
        "close" | "tray" | "refuses-navigation" => window.close().expect("a window"),
        // The other window stays, and closes later.
        "second-window" => {
            window.close().expect("a window");
            thread::sleep(Duration::from_secs(4));
            app.get_webview_window("second").expect("it stays").close().expect("a window");
        }
        "prevented" => {
            window.close().expect("a window");
            thread::sleep(Duration::from_millis(500));
            let title = window.eval("document.title = 'still here ' + document.title");
            title.expect("the window and its page are there");
            window.close().expect("a window");
        }
        // The page prevents the first close, by Tauri's JavaScript API. At the second one that API destroys the window.
        "js-close" => {
            window.eval(ON_CLOSE_REQUESTED).expect("a window");
            thread::sleep(Duration::from_millis(500));
            window.close().expect("a window");
            thread::sleep(Duration::from_millis(500));
            let window =
                app.get_webview_window("closing").expect("its page has prevented the close");
            window.close().expect("a window");
        }
        "resources" => {
            window.eval(CLOSE_RESOURCES).expect("a window");
            thread::sleep(Duration::from_millis(500));
            app.exit(0);
        }
        "destroy" => window.destroy().expect("a window"),
        "exit" => app.exit(0),
        // An app that ends the process itself.
        "cleanup" => {
            app.cleanup_before_exit();
            std::process::exit(0);
        }
        "sigterm" => {
            let pid = std::process::id().to_string();
            Command::new("kill").arg(pid).status().expect("there is `kill`");
        }
        "crash" => {
            let crash = |platform: tauri::webview::PlatformWebview| {
                webkit2gtk::WebViewExt::terminate_web_process(&platform.inner());
            };
            window.with_webview(crash).expect("a window");
            exit_after(app, 500);
        }
        "exit-at-once" => std::process::exit(0),
        ending => panic!("there is no ending {ending}"),
    }
}

fn exit_after(app: &AppHandle, milliseconds: u64) {
    let app = app.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(milliseconds));
        app.exit(0);
    });
}
