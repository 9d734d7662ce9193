//! The ways in which the browser ends.

use std::{cell::Cell, time::Duration};

use gtk::{glib, prelude::*};
use webkit6::{LoadEvent, WebView, prelude::*};

use crate::Browser;

/// The ending by a window that closes, a while before the app quits. The main loop does not turn meanwhile.
pub(crate) const LATE: &str = "late";

/// Ends in this way half a second after the page was loaded.
pub(crate) fn end_after_load(browser: &Browser, webview: &WebView, url: &str, ending: &str) {
    let (browser, url, ending) = (browser.clone(), url.to_owned(), ending.to_owned());
    let end = move |webview: WebView| begin_to_end(&browser, &webview, &url, &ending);
    let end = Cell::new(Some(end));
    webview.connect_load_changed(move |webview, event| {
        if event == LoadEvent::Finished
            && let Some(end) = end.take()
        {
            let webview = webview.downgrade();
            after(500, move || webview.upgrade().map(end));
        }
    });
}

fn begin_to_end(browser: &Browser, webview: &WebView, url: &str, ending: &str) {
    let app = browser.app.clone();
    let window = webview.root().and_downcast::<gtk::Window>().expect("the webview has a window");
    let other = url.replace("/page.html", "/other.html");
    match ending {
        "navigate" => {
            webview.load_uri(&other);
            quit_after(1_500, app);
        }
        // To another site, whose page has a process of its own.
        "navigate-cross-site" => {
            webview.load_uri(&other.replace("127.0.0.1", "localhost"));
            quit_after(1_500, app);
        }
        "reload" => {
            webview.reload();
            quit_after(1_500, app);
        }
        "back" => {
            webview.load_uri(&url.replace("/leaving.html", "/other.html"));
            let webview = webview.downgrade();
            after(1_000, move || webview.upgrade().map(|webview| webview.go_back()));
            quit_after(2_500, app);
        }
        // The page goes on until it says that it is done.
        "stay" => {
            let of_title = app.clone();
            when_titled(webview, "done", move |_| of_title.quit());
            quit_after(30_000, app);
        }
        // The window closes while the webview loads another page.
        "close-loading" => {
            webview.load_uri(&url.replace("/page.html?", "/other.html?wait=3&"));
            let window = window.downgrade();
            after(300, move || window.upgrade().map(|window| window.close()));
        }
        // After the end by `late`, `main` waits before it quits.
        "close" | LATE => window.close(),
        "sigterm" => {
            glib::spawn_command_line_async(format!("kill {}", std::process::id()))
                .expect("there is `kill`");
        }
        // At the moment when the page says that it has sent its beacons.
        "crash" => when_titled(webview, "admitted", move |webview| {
            webview.terminate_web_process();
            quit_after(500, app.clone());
        }),
        // The webview goes, and the app stays.
        "drop" => {
            // A handler of the app may expect the window.
            webview.connect_uri_notify(|_| panic!("the webview has no window"));
            window.set_child(None::<&gtk::Widget>);
            quit_after(6_000, app);
        }
        // The webview goes, and the app ends.
        "drop-exit" => {
            window.set_child(None::<&gtk::Widget>);
            app.quit();
        }
        // The app waits until the page was left, and ends then.
        "leave" => {
            let left = browser.beacons.as_ref().map(|beacons| beacons.leave(webview));
            glib::spawn_future_local(async move {
                if let Some(left) = left {
                    left.await;
                }
                app.quit();
            });
        }
        // Nothing can be done at a `process::exit()`.
        "exit-at-once" => std::process::exit(0),
        ending => panic!("there is no ending {ending:?}"),
    }
}

/// Calls `f` when the page's title begins with this text, and each time when it has changed.
fn when_titled(webview: &WebView, title: &'static str, f: impl Fn(&WebView) + 'static) {
    let check = move |webview: &WebView| {
        if webview.title().is_some_and(|it| it.starts_with(title)) {
            f(webview);
        }
    };
    check(webview);
    webview.connect_title_notify(check);
}

fn quit_after(milliseconds: u64, app: gtk::Application) {
    after(milliseconds, move || app.quit());
}

fn after<T>(milliseconds: u64, f: impl FnOnce() -> T + 'static) {
    glib::timeout_add_local_once(Duration::from_millis(milliseconds), || drop(f()));
}
