//! A browser on WebKitGTK with the API 6.0 (GTK 4): `browser6-example URL [ENDING] [OPTIONS]`, with the options `--script`,
//! `--own`, `--cacert FILE` and `--report SCRIPT`.
//!
//! It opens the page, and windows that the page opens. It quits when its windows have been closed, and at SIGTERM. With an
//! ending it ends in that way half a second after the page was loaded.
//!
//! Its web processes load `sendbeacon-webkitgtk6-extension`, which `cargo build` has put beside this program. With `--script`
//! they do not, and a script in the main frame posts the beacons. With `--own` WebKit sends them itself.
//!
//! With `--cacert` the beacons trust the certificates of a file, and WebKit trusts every certificate. With `--report` it
//! runs a script in the page before its own, prints the text that the script posts to the message handler `report`, and quits.

mod ending;

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use gtk::{
    gio::ApplicationFlags,
    glib::{self, ControlFlow},
    prelude::*,
};
use sendbeacon::{UserAgent, net::HttpNetwork};
use sendbeacon_webkitgtk6::Beacons;
use webkit6::{
    NetworkSession, TLSErrorsPolicy, UserContentInjectedFrames, UserContentManager, UserScript,
    UserScriptInjectionTime, WebContext, WebView, prelude::*,
};

/// How long the browser may take to deliver the beacons when it quits.
const DEADLINE: Duration = Duration::from_secs(10);

const SIGTERM: i32 = 15;

/// Opens a page in a browser on WebKitGTK with GTK 4.
#[derive(Parser)]
struct Options {
    /// The page.
    url: String,
    /// How the browser ends, half a second after the page was loaded.
    ending: Option<String>,
    /// Let WebKit send the beacons itself.
    #[arg(long)]
    own: bool,
    /// Let a script post the beacons in place of the extension.
    #[arg(long)]
    script: bool,
    /// Trust the certificates of this file.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Run this script before the page's own, and print what it posts to the message handler `report`.
    #[arg(long, value_name = "SCRIPT")]
    report: Option<String>,
}

/// What the windows of the browser share.
#[derive(Clone)]
struct Browser {
    app: gtk::Application,
    beacons: Option<Beacons>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut agent = UserAgent::builder();
    if let Some(path) = &options.cacert {
        let network = HttpNetwork::builder().add_root_certificates_pem(&fs::read(path)?)?;
        agent = agent.network(Arc::new(network.build()?));
    }
    let beacons = if options.own { None } else { Some(Beacons::new(agent, None)?) };
    let program = env::current_exe()?;
    let folder = program.parent().and_then(Path::to_str).map(str::to_owned);
    let extension = folder.filter(|_| beacons.is_some() && !options.script);
    let app = gtk::Application::builder().flags(ApplicationFlags::NON_UNIQUE).build();
    let for_signal = app.clone();
    glib::unix_signal_add_local(SIGTERM, move || {
        for_signal.quit();
        ControlFlow::Break
    });
    let is_late = options.ending.as_deref() == Some(ending::LATE);
    let browser = Browser { app: app.clone(), beacons: beacons.clone() };
    app.connect_activate(move |_| browser.begin(&options, extension.as_deref()));
    // It returns when the last window has been closed, and at `quit()`.
    app.run_with_args::<&str>(&[]);
    if is_late {
        thread::sleep(Duration::from_millis(1_500));
    }
    if let Some(beacons) = &beacons {
        let begun = Instant::now();
        let report = beacons.quit(DEADLINE);
        let (delivered, lost) = (report.delivered.len(), report.lost.len());
        eprintln!("quit in {:?}: {delivered} delivered, {lost} lost", begun.elapsed());
    }
    Ok(())
}

impl Browser {
    /// Opens the page, in web processes that load the library in the folder `extension`.
    fn begin(&self, options: &Options, extension: Option<&str>) {
        let session = NetworkSession::new_ephemeral();
        if options.cacert.is_some() {
            session.set_tls_errors_policy(TLSErrorsPolicy::Ignore);
        }
        let context = WebContext::new();
        if let Some(folder) = extension {
            context.set_web_process_extensions_directory(folder);
        }
        let manager = UserContentManager::new();
        if let Some(script) = &options.report {
            report(&manager, script, &self.app);
        }
        let webview = WebView::builder()
            .web_context(&context)
            .network_session(&session)
            .user_content_manager(&manager)
            .build();
        self.open_window(&webview);
        if let Some(ending) = &options.ending {
            ending::end_after_load(self, &webview, &options.url, ending);
        }
        webview.load_uri(&options.url);
    }

    /// Shows a webview in a window of its own, and the webviews that its pages open. The window owns the webview.
    fn open_window(&self, webview: &WebView) {
        if let Some(settings) = WebViewExt::settings(webview) {
            settings.set_javascript_can_open_windows_automatically(true);
        }
        if let Some(beacons) = &self.beacons {
            beacons.attach(webview);
        }
        let window = gtk::ApplicationWindow::builder().application(&self.app).child(webview);
        let window = window.default_width(800).default_height(600).build();
        let for_close = window.downgrade();
        webview.connect_close(move |_| {
            if let Some(window) = for_close.upgrade() {
                window.close();
            }
        });
        let for_windows = self.clone();
        webview.connect_create(move |opener, _| {
            let webview = WebView::builder().related_view(opener).build();
            for_windows.open_window(&webview);
            webview.upcast()
        });
        window.present();
    }
}

/// Prints what the script posts, and quits.
fn report(manager: &UserContentManager, script: &str, app: &gtk::Application) {
    let frames = UserContentInjectedFrames::TopFrame;
    let time = UserScriptInjectionTime::Start;
    manager.add_script(&UserScript::new(script, frames, time, &[], &[]));
    let app = app.clone();
    manager.connect_script_message_received(Some("report"), move |_, value| {
        println!("{}", value.to_str());
        app.quit();
    });
    manager.register_script_message_handler("report", None);
}
