//! The web processes of a webview that have loaded the extension: their channels, and what they are told.

use std::{
    cell::{Cell, RefCell},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Weak},
    thread,
};

use glib::{ToVariant, Variant};
use gtk::gio::Cancellable;
use http::HeaderValue;
use sendbeacon_webview::{Bridge, WebviewId, page_origin};
use url::Url;
use webkit2gtk::{UserMessage, UserMessageExt, WebView, WebViewExt};

use crate::{head::ResponseHead, raw};

/// The name of the messages between the app and the web processes.
pub(crate) const MESSAGE: &str = "sendbeacon";

/// How many channels a webview may have: to the documents of that many sites.
const MAX_CHANNELS: usize = 64;

/// The web processes of a webview. Mostly there is one at a time.
pub(crate) struct WebProcesses {
    bridge: Arc<Bridge>,
    webview: WebviewId,
    user_agent: Option<HeaderValue>,
    /// The channels. A thread serves each, and holds it until it has ended.
    channels: RefCell<Vec<Weak<UnixStream>>>,
    /// The channels of a page that the webview does not show yet.
    early: RefCell<Vec<EarlyChannel>>,
    /// Whether the webview has left its last page.
    is_closed: Cell<bool>,
}

struct EarlyChannel {
    document: Url,
    /// The page, as the process says.
    top: Url,
    stream: UnixStream,
}

impl WebProcesses {
    pub(crate) fn new(
        bridge: Arc<Bridge>,
        webview: WebviewId,
        user_agent: Option<HeaderValue>,
    ) -> Self {
        let (channels, early, is_closed) = Default::default();
        Self { bridge, webview, user_agent, channels, early, is_closed }
    }

    /// Receives a channel from a web process of the webview. WebKit has told whose the process is.
    pub(crate) fn receive(&self, webview: &WebView, message: &UserMessage) {
        let parameters = message.parameters().and_then(|it| it.get::<(String, String)>());
        let descriptor = message.fd_list().and_then(|list| raw::file_descriptor(&list));
        if let (Some((document, top)), Some(descriptor)) = (parameters, descriptor)
            && let (Ok(document), Ok(top)) = (Url::parse(&document), Url::parse(&top))
        {
            let mut early = self.early.borrow_mut();
            if early.len() < MAX_CHANNELS {
                early.push(EarlyChannel { document, top, stream: descriptor.into() });
            }
            drop(early);
            self.serve_channels(webview);
        }
    }

    /// Serves the channels of the page that the webview shows, or is about to show.
    ///
    /// NB: a process may say so before WebKit has told the app. Its channel waits until the app sees the same page.
    fn serve_channels(&self, webview: &WebView) {
        let shown = webview.uri().and_then(|uri| Url::parse(&uri).ok());
        let Some(shown) = shown.filter(|_| !self.is_closed.get()) else { return };
        let Some(origin) = page_origin(&shown) else { return };
        let is_shown = |it: &EarlyChannel| page_origin(&it.top).as_ref() == Some(&origin);
        let (ready, early) = self.early.take().into_iter().partition(is_shown);
        self.early.replace(early);
        let ready: Vec<EarlyChannel> = ready;
        for EarlyChannel { document, stream, .. } in ready {
            self.serve(&shown, &document, stream);
        }
    }

    fn serve(&self, shown: &Url, document: &Url, stream: UnixStream) {
        let Some(pin) = Bridge::pin(self.webview, shown, document) else { return };
        let mut channels = self.channels.borrow_mut();
        channels.retain(|channel| channel.strong_count() > 0);
        let Ok(ours) = stream.try_clone() else { return };
        if channels.len() == MAX_CHANNELS {
            return;
        }
        let process = self.bridge.agent().content_process(pin);
        let channel = Arc::new(ours);
        channels.push(Arc::downgrade(&channel));
        // An error means that there is no memory for a thread. The process then sends nothing.
        let _ = thread::Builder::new().name("sendbeacon".into()).spawn(move || {
            // An error means that the web process has broken a rule of the channel. Its channel is closed.
            let _ = process.serve_unix(stream);
            drop(channel);
        });
    }

    /// Tells the web process the head of a response before the document begins.
    pub(crate) fn tell_head(&self, webview: &WebView, head: &ResponseHead) {
        if self.is_closed.get() {
            return;
        }
        let ResponseHead { url, status, headers } = head;
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let headers: Vec<(String, String)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect();
        let user_agent = self.user_agent.as_ref().and_then(text).unwrap_or_default();
        let status = status.map_or(0, |status| u32::from(status.as_u16()));
        let parameters: Variant = (user_agent, url.as_str(), status, headers).to_variant();
        let message = UserMessage::new(MESSAGE, Some(&parameters));
        // Sending fails if the web process does not have the extension, or has ended.
        webview.send_message_to_page(&message, None::<&Cancellable>, drop);
    }

    /// The webview shows another page. If the navigation has changed the web process, the new one does not know the head yet.
    pub(crate) fn committed(&self, webview: &WebView, url: &Url, head: Option<&ResponseHead>) {
        if let Some(head) = head {
            self.tell_head(webview, head);
        } else {
            let (status, headers) = Default::default();
            self.tell_head(webview, &ResponseHead { url: url.clone(), status, headers });
        }
        self.serve_channels(webview);
    }

    /// The webview has left its last page. What its processes have sent is served.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.early.take();
        for channel in self.channels.take().iter().filter_map(Weak::upgrade) {
            // What was written before can still be read. An error means that the channel has ended.
            let _ = channel.shutdown(Shutdown::Read);
        }
    }
}
