//! A browser on WebKitGTK that other programs drive: `browser-example URL [OPTIONS]`, with the options `--own`, `--swap`,
//! `--cacert FILE` and `--report SCRIPT`.
//!
//! It opens the page, and windows that the page opens. It quits when its windows have been closed, and at SIGTERM. Its web
//! processes load `sendbeacon-webkitgtk-extension`, which `cargo build` has put beside this program. With `--own` WebKit
//! sends the beacons itself.
//!
//! With `--cacert` the beacons trust the certificates of a file, and WebKit trusts every certificate. With `--report` it
//! runs a script in the page before its own, prints the text that the script posts to the message handler `report`, and quits.
//! With `--swap` a navigation to another site gets another web process.

use std::{env, error::Error, fs, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use gtk::{glib, prelude::*};
use sendbeacon::{UserAgent, net::HttpNetwork};
use sendbeacon_webkitgtk::Beacons;
use webkit2gtk::{
    SettingsExt, TLSErrorsPolicy, UserContentInjectedFrames, UserContentManager,
    UserContentManagerExt, UserScript, UserScriptInjectionTime, WebContext, WebContextExt, WebView,
    WebViewExt, WebsiteDataManager, WebsiteDataManagerExt,
};

/// How long the browser may take to deliver the beacons when it quits.
const DEADLINE: Duration = Duration::from_secs(10);

const SIGTERM: i32 = 15;

/// Opens a page in a browser on WebKitGTK.
#[derive(Parser)]
struct Options {
    /// The page.
    url: String,
    /// Let WebKit send the beacons itself.
    #[arg(long)]
    own: bool,
    /// Give a navigation to another site another web process.
    #[arg(long)]
    swap: bool,
    /// Trust the certificates of this file.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Run this script before the page's own, and print what it posts to the message handler `report`.
    #[arg(long, value_name = "SCRIPT")]
    report: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    gtk::init()?;
    let context = WebContext::builder()
        .website_data_manager(&WebsiteDataManager::new_ephemeral())
        .process_swap_on_cross_site_navigation_enabled(options.swap)
        .build();
    let mut agent = UserAgent::builder();
    if let Some(path) = &options.cacert {
        let network = HttpNetwork::builder().add_root_certificates_pem(&fs::read(path)?)?;
        agent = agent.network(Arc::new(network.build()?));
        if let Some(data) = context.website_data_manager() {
            data.set_tls_errors_policy(TLSErrorsPolicy::Ignore);
        }
    }
    let beacons = if options.own { None } else { Some(Beacons::new(agent, None)?) };
    if beacons.is_some()
        && let Some(folder) = env::current_exe()?.parent().and_then(|it| it.to_str())
    {
        context.set_web_extensions_directory(folder);
    }
    let manager = UserContentManager::new();
    if let Some(script) = &options.report {
        report(&manager, script);
    }
    let webview = WebView::builder().web_context(&context).user_content_manager(&manager).build();
    open_window(&webview, beacons.as_ref());
    webview.load_uri(&options.url);
    glib::unix_signal_add_local(SIGTERM, || {
        gtk::main_quit();
        glib::ControlFlow::Break
    });
    gtk::main();
    if let Some(beacons) = &beacons {
        beacons.quit(DEADLINE);
    }
    Ok(())
}

/// Prints what the script posts, and quits.
fn report(manager: &UserContentManager, script: &str) {
    let frames = UserContentInjectedFrames::TopFrame;
    let time = UserScriptInjectionTime::Start;
    manager.add_script(&UserScript::new(script, frames, time, &[], &[]));
    manager.connect_script_message_received(Some("report"), |_, result| {
        println!("{}", result.js_value().map(|it| it.to_string()).unwrap_or_default());
        gtk::main_quit();
    });
    manager.register_script_message_handler("report");
}

/// Shows a webview in a window of its own, and the webviews that its pages open.
fn open_window(webview: &WebView, beacons: Option<&Beacons>) {
    if let Some(settings) = WebViewExt::settings(webview) {
        settings.set_javascript_can_open_windows_automatically(true);
    }
    if let Some(beacons) = beacons {
        beacons.attach(webview);
    }
    let window = gtk::Window::new(gtk::WindowType::Toplevel);
    window.set_default_size(800, 600);
    window.add(webview);
    let for_close = window.clone();
    webview.connect_close(move |_| for_close.close());
    let for_windows = beacons.cloned();
    webview.connect_create(move |opener, _| {
        let webview = WebView::with_related_view(opener);
        open_window(&webview, for_windows.as_ref());
        Some(webview.upcast())
    });
    window.connect_destroy(|window| {
        let mut others = gtk::Window::list_toplevels().into_iter();
        let is_other =
            |it: gtk::Widget| it.is_visible() && &it != window.upcast_ref::<gtk::Widget>();
        if !others.any(is_other) {
            gtk::main_quit();
        }
    });
    window.show_all();
}
