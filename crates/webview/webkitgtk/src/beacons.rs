//! The API: attach webviews, and quit.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Release},
        },
        mpsc,
    },
    time::{Duration, Instant},
};

use glib::MainContext;
use gtk::prelude::WidgetExt;
use sendbeacon::{BuildError, EventSink, ShutdownReport, UserAgent, UserAgentBuilder};
use sendbeacon_webview::Bridge;

use crate::{api::prelude::WebView, attached, cookies::WebKitCookies, main_thread};

/// Sends the beacons of webviews. A clone is the same.
///
/// It may go to any thread, but [`attach`](Self::attach) and [`leave`](Self::leave) work on the main thread only, the one
/// on which GTK was initialised. On another thread they panic.
#[derive(Clone)]
pub struct Beacons {
    bridge: Arc<Bridge>,
    has_quit: Arc<AtomicBool>,
}

impl Beacons {
    /// Builds the user agent. It has the cookies of the webviews; `builder` says everything else. Events go to `sink`, too.
    ///
    /// # Errors
    /// Those of [`UserAgentBuilder::build`].
    pub fn new(
        builder: UserAgentBuilder,
        sink: Option<Arc<dyn EventSink>>,
    ) -> Result<Self, BuildError> {
        let waker = Arc::new(Waker::default());
        let for_bridge = Arc::clone(&waker);
        let wake = move || for_bridge.wake();
        let bridge = Bridge::new(builder, Some(Arc::new(WebKitCookies)), sink, wake)?;
        let bridge = Arc::new(bridge);
        // NB: set once, before there is a webview.
        let _ = waker.bridge.set(Arc::downgrade(&bridge));
        Ok(Self { bridge, has_quit: Arc::default() })
    }

    /// Lets the app send the beacons of this webview's pages, from the next page on. Call it when the webview was created,
    /// and before it loads a page. Does nothing after [`quit`](Self::quit).
    ///
    /// A webview that forgets everything (`is_ephemeral`) needs a `Beacons` of its
    /// own, so that a server does not recognise its visitor by a connection.
    ///
    /// # Panics
    /// On a thread other than the main thread.
    pub fn attach(&self, webview: &WebView) {
        assert_main_thread();
        if !self.has_quit.load(Acquire) {
            attached::attach(&self.bridge, webview);
        }
    }

    /// Lets the webview leave its page, so that the page's handlers of `pagehide` run and their beacons reach the app. It
    /// shows `about:blank` afterwards, and is attached no more. The future is ready when it has left: after about 25
    /// milliseconds, or after 5 seconds if a script of the page does not end.
    ///
    /// A webview that is destroyed does this by itself. Hide the window before, so that nobody sees the empty page.
    ///
    /// # Panics
    /// On a thread other than the main thread.
    pub fn leave(&self, webview: &WebView) -> impl Future<Output = ()> + 'static {
        assert_main_thread();
        let left = attached::leave(webview);
        // An error means that the webview is not attached.
        async move { drop(left.await) }
    }

    /// Quits in order: lets each attached webview leave its page, hides their windows, and delivers the beacons. Returns when everything is done or the deadline has passed. Webviews may take half of the deadline.
    ///
    /// On the main thread it turns the main loop meanwhile. On another thread it waits, and something else has to turn the
    /// main loop; if nothing does, it returns one second after the deadline, with a report that is not completed.
    #[allow(clippy::must_use_candidate)] // A caller may want the drain and not the report.
    pub fn quit(&self, deadline: Duration) -> ShutdownReport {
        if gtk::is_initialized_main_thread() {
            return self.quit_on_main_thread(deadline);
        }
        let (sender, receiver) = mpsc::channel();
        let beacons = self.clone();
        main_thread::post(move || {
            // An error means that the caller waits no more.
            let _ = sender.send(beacons.quit_on_main_thread(deadline));
        });
        let patience = deadline.saturating_add(Duration::from_secs(1));
        receiver.recv_timeout(patience).unwrap_or_default()
    }

    fn quit_on_main_thread(&self, deadline: Duration) -> ShutdownReport {
        let begun = Instant::now();
        self.has_quit.store(true, Release);
        let leaving = attached::leave_all(&self.bridge);
        MainContext::default().block_on(async {
            let (windows, leaving): (Vec<_>, Vec<_>) = leaving.into_iter().unzip();
            let left = async {
                for webview in leaving {
                    // An error means that the webview has gone.
                    let _ = webview.await;
                }
            };
            // An error means that half of the deadline has passed.
            let _ = glib::future_with_timeout(deadline / 2, left).await;
            // NB: a page whose window is hidden before it is left may hear of that twice.
            windows.iter().flatten().for_each(|window| window.set_visible(false));
            self.bridge.agent().quit(deadline.saturating_sub(begun.elapsed())).await
        })
    }

    /// How many requests scripts have admitted and the app has not sent: beacons, keepalive fetches and deferred fetches.
    /// For example, their webview had too much unfinished. Such a request has no events. The extension loses none in this
    /// way, because the library itself answers there.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.bridge.lost()
    }

    /// The user agent that sends the beacons.
    #[must_use]
    pub fn agent(&self) -> &UserAgent {
        self.bridge.agent()
    }
}

/// Posts a task to the main thread, once for many wakes.
#[derive(Default)]
struct Waker {
    bridge: OnceLock<Weak<Bridge>>,
    is_posted: AtomicBool,
}

impl Waker {
    fn wake(self: &Arc<Self>) {
        if !self.is_posted.swap(true, AcqRel) {
            let waker = Arc::clone(self);
            glib::idle_add_once(move || {
                waker.is_posted.swap(false, AcqRel);
                if let Some(bridge) = waker.bridge.get().and_then(Weak::upgrade) {
                    attached::tell(&bridge);
                }
            });
        }
    }
}

fn assert_main_thread() {
    assert!(gtk::is_initialized_main_thread(), "call it on GTK's main thread");
}

impl fmt::Debug for Beacons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beacons").finish_non_exhaustive()
    }
}
