//! The webviews that are attached, and how each leaves its page.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    mem::ManuallyDrop,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use glib::{SourceId, object::PropertyNotificationFreezeGuard};
use gtk::prelude::*;
use http::HeaderValue;
use sendbeacon_webview::{Bridge, WebviewId};
use tokio::sync::oneshot;
use url::Url;

use crate::{
    api::{self, prelude::*},
    cookies,
    head::ResponseHead,
    raw,
    web_processes::{self, WebProcesses},
};

/// The JavaScript expression for the function that posts messages.
const POST: &str = "((it) => it?.postMessage.bind(it))(window.webkit?.messageHandlers?.sendbeacon)";

/// What a webview loads to leave its page.
const BLANK: &str = "about:blank";

/// How long a webview may take to leave its page. A page whose script never ends is then given up.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// The signals of a webview whose handlers are not called while it leaves its page: they could refuse to leave, or expect a
/// window that has gone.
const SIGNALS: [&std::ffi::CStr; 6] =
    [c"close", c"create", c"decide-policy", c"load-changed", c"load-failed", c"script-dialog"];

thread_local! {
    /// The attached webviews, by their addresses.
    ///
    /// NB: it is not dropped when the thread ends: GTK has gone by then.
    static ATTACHED: ManuallyDrop<RefCell<HashMap<usize, Rc<Attached>>>> = ManuallyDrop::default();
}

/// Calls `f` with the attached webviews.
fn with_attached<T>(f: impl FnOnce(&mut HashMap<usize, Rc<Attached>>) -> T) -> T {
    ATTACHED.with(|attached| f(&mut attached.borrow_mut()))
}

/// An attached webview.
struct Attached {
    id: WebviewId,
    bridge: Arc<Bridge>,
    /// The script of its main frame.
    script: UserScript,
    /// Its web processes, if they have the extension.
    processes: Rc<WebProcesses>,
    /// The webview, after its owner has destroyed it. Its handlers of `notify` are not called: they could expect a window.
    kept: RefCell<Option<(WebView, PropertyNotificationFreezeGuard)>>,
    /// Whether it had a back/forward cache before it left its page.
    has_page_cache: Cell<bool>,
    /// Who waits until it has left its page. `None` while it does not leave.
    leaving: RefCell<Option<Vec<oneshot::Sender<()>>>>,
    /// The timeout after which it is given up. `None` if it has passed, and while the webview does not leave.
    timeout: RefCell<Option<SourceId>>,
}

impl Attached {
    /// The webview, whose address this is.
    fn webview(&self, address: usize) -> Option<WebView> {
        let kept = self.kept.borrow().as_ref().map(|(webview, _)| webview.clone());
        kept.or_else(|| raw::webview_at(address))
    }
}

/// Attaches a webview. Does nothing if it is attached.
pub(crate) fn attach(bridge: &Arc<Bridge>, webview: &WebView) {
    let Some(manager) = webview.user_content_manager() else { return };
    let address = raw::address(webview);
    if with_attached(|attached| attached.contains_key(&address)) {
        return;
    }
    let user_agent =
        WebViewExt::settings(webview).and_then(|settings| settings_user_agent(&settings));
    let (id, script) = bridge.open(POST, user_agent.clone());
    let processes = Rc::new(WebProcesses::new(Arc::clone(bridge), id, user_agent));
    if let Some(session) = api::session(webview) {
        cookies::keep(bridge, id, session);
    }
    receive_messages(bridge, id, &manager);
    let frames = UserContentInjectedFrames::TopFrame;
    let script = UserScript::new(&script, frames, UserScriptInjectionTime::Start, &[], &[]);
    manager.add_script(&script);
    let (for_loads, for_processes) = (Arc::clone(bridge), Rc::clone(&processes));
    webview.connect_load_changed(move |webview, event| {
        if event == LoadEvent::Committed {
            committed(&for_loads, &for_processes, id, webview);
        }
    });
    let for_messages = Rc::clone(&processes);
    webview.connect_user_message_received(move |_, message| {
        let is_ours = message.name().is_some_and(|name| name == web_processes::MESSAGE);
        if is_ours {
            for_messages.receive(message);
        }
        is_ours
    });
    let for_responses = Rc::clone(&processes);
    webview.connect_decide_policy(move |webview, decision, kind| {
        if kind == PolicyDecisionType::Response
            && let Some(decision) = decision.downcast_ref::<ResponsePolicyDecision>()
            && let Some(head) = decision.response().and_then(|it| ResponseHead::of(&it))
        {
            for_responses.comes(webview, &head, decision.is_main_frame_main_resource());
        }
        false
    });
    let for_crashes = Arc::clone(bridge);
    webview.connect_web_process_terminated(move |webview, _| {
        for_crashes.process_gone(id);
        left(webview);
    });
    let attached = Attached {
        id,
        bridge: Arc::clone(bridge),
        script,
        processes,
        kept: RefCell::default(),
        has_page_cache: Cell::default(),
        leaving: RefCell::new(None),
        timeout: RefCell::default(),
    };
    with_attached(|all| all.insert(address, Rc::new(attached)));
    raw::keep_when_disposed(webview, |webview| destroyed(&webview));
}

fn settings_user_agent(settings: &Settings) -> Option<HeaderValue> {
    settings.user_agent().and_then(|it| HeaderValue::from_str(&it).ok())
}

/// Passes the messages of the webview's frames to the bridge, which finds out whose they are.
///
/// NB: it is a handler of messages with answers because wry takes every message without an answer for one of its own.
fn receive_messages(bridge: &Arc<Bridge>, id: WebviewId, manager: &UserContentManager) {
    let bridge = Arc::clone(bridge);
    let signal = "script-message-with-reply-received::sendbeacon";
    manager.connect_local(signal, false, move |values| {
        if let Some(value) = values.get(1)
            && let Ok(value) = value.get::<javascriptcore::Value>()
            && value.is_string()
            // NB: `to_str` has undefined behaviour if the text has a lone surrogate, because old versions of WebKit return NULL.
            && let Some(text) = value.to_string_as_bytes()
            && let Ok(text) = str::from_utf8(&text)
        {
            // An error means that a page has posted nonsense, which it may do as often as it likes, or that a beacon is
            // lost, which the bridge counts.
            let _ = bridge.receive(id, text);
        }
        Some(true.to_value())
    });
    raw::register_message_handler(manager, c"sendbeacon");
}

fn committed(bridge: &Bridge, processes: &WebProcesses, id: WebviewId, webview: &WebView) {
    let Some(url) = webview.uri().and_then(|url| Url::parse(&url).ok()) else { return };
    let response = webview.main_resource().and_then(|resource| resource.response());
    let head = response.and_then(|response| ResponseHead::of(&response));
    processes.shows(webview, &url, head.as_ref());
    let url = head.as_ref().map_or(url, |head| head.url.clone());
    let response = head.and_then(|head| head.status.map(|status| (status, head.headers)));
    bridge.committed(id, &url, response);
}

/// The owner of the webview, or of its window, has destroyed it.
fn destroyed(webview: &WebView) {
    let Some(attached) = find(webview) else { return };
    attached.kept.replace(Some((webview.clone(), webview.freeze_notify())));
    api::take_out(webview);
    drop(leave(webview));
}

/// Lets the webview leave its page. The receiver hears when it has.
pub(crate) fn leave(webview: &WebView) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    let Some(attached) = find(webview) else { return receiver };
    let mut leaving = attached.leaving.borrow_mut();
    let is_leaving = leaving.is_some();
    leaving.get_or_insert_default().push(sender);
    drop(leaving);
    if !is_leaving {
        begin_to_leave(&attached, webview);
    }
    receiver
}

fn begin_to_leave(attached: &Attached, webview: &WebView) {
    // A page that enters the back/forward cache has no `unload`.
    if let Some(settings) = WebViewExt::settings(webview) {
        attached.has_page_cache.set(settings.enables_page_cache());
        settings.set_enable_page_cache(false);
    }
    raw::disconnect_handlers(webview, &SIGNALS);
    // NB: another load may have been under way. It fails now, or was committed a moment ago.
    webview.connect_load_changed(|webview, event| {
        // The messages of the page that was left have come before.
        if event == LoadEvent::Committed && webview.uri().is_some_and(|uri| uri == BLANK) {
            left(webview);
        }
    });
    webview.connect_load_failed(|webview, _, uri, _| {
        if uri == BLANK {
            left(webview);
        }
        true
    });
    // A page may ask whether to leave. Nobody is there to answer.
    webview.connect_script_dialog(|_, dialog| {
        dialog.confirm_set_confirmed(true);
        true
    });
    let webview_of_timeout = webview.clone();
    let timeout = glib::timeout_add_local_once(LEAVE_WITHIN, move || {
        if let Some(attached) = find(&webview_of_timeout) {
            // NB: GLib removes it by itself after this call.
            attached.timeout.take();
        }
        left(&webview_of_timeout);
    });
    attached.timeout.replace(Some(timeout));
    webview.load_uri(BLANK);
}

/// The webview has left its page, or its page has gone.
fn left(webview: &WebView) {
    let Some(attached) = find(webview) else { return };
    let Some(waiting) = attached.leaving.borrow_mut().take() else { return };
    with_attached(|all| all.remove(&raw::address(webview)));
    if let Some(timeout) = attached.timeout.take() {
        // The webview may be attached again, and leave again.
        timeout.remove();
    }
    attached.bridge.gone(attached.id);
    attached.processes.close();
    cookies::gone(attached.id);
    if let Some(manager) = webview.user_content_manager() {
        // Pages that come later have the webview's own.
        manager.remove_script(&attached.script);
    }
    raw::let_go(webview);
    if let Some(settings) = WebViewExt::settings(webview) {
        settings.set_enable_page_cache(attached.has_page_cache.get());
    }
    if let Some((webview, frozen)) = attached.kept.take() {
        // NB: not in a handler of one of its signals.
        glib::idle_add_local_once(move || {
            raw::destroy(&webview);
            // It has no handlers any more.
            drop(frozen);
        });
    }
    for sender in waiting {
        // An error means that nobody waits any more.
        let _ = sender.send(());
    }
}

/// Lets every webview of the bridge leave its page. Returns the window of each, and who hears when it has left.
pub(crate) fn leave_all(bridge: &Arc<Bridge>) -> Vec<(Option<gtk::Widget>, oneshot::Receiver<()>)> {
    let webviews: Vec<WebView> = with_attached(|all| {
        let ours = all.iter().filter(|(_, attached)| Arc::ptr_eq(&attached.bridge, bridge));
        ours.filter_map(|(&address, attached)| attached.webview(address)).collect()
    });
    let leave = |webview: &WebView| (api::window(webview), leave(webview));
    webviews.iter().map(leave).collect()
}

/// Evaluates what the bridge tells the pages.
pub(crate) fn tell(bridge: &Bridge) {
    for telling in bridge.tellings() {
        let webview = with_attached(|all| {
            let mut all = all.iter();
            let (&address, attached) = all.find(|(_, it)| it.id == telling.webview)?;
            attached.webview(address)
        });
        if let Some(webview) = webview {
            let cancellable = None::<&gtk::gio::Cancellable>;
            webview.evaluate_javascript(&telling.script, None, None, cancellable, drop);
        }
    }
}

fn find(webview: &WebView) -> Option<Rc<Attached>> {
    with_attached(|all| all.get(&raw::address(webview)).cloned())
}
