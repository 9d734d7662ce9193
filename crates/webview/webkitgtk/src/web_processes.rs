//! The web processes of a webview that have loaded the extension: their channels, and what they are told.

use std::{
    cell::{Cell, RefCell},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Weak},
    thread,
};

use glib::{Variant, prelude::*};
use gtk::gio::Cancellable;
use http::HeaderValue;
use sendbeacon::remote::Pin;
use sendbeacon_webview::{Bridge, HeadOf, WebviewId, page_origin};
use url::Url;

use crate::{api::prelude::*, head::ResponseHead, raw};

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
    /// Whether the webview has left its last page.
    is_closed: Cell<bool>,
}

impl WebProcesses {
    pub(crate) fn new(
        bridge: Arc<Bridge>,
        webview: WebviewId,
        user_agent: Option<HeaderValue>,
    ) -> Self {
        let (channels, is_closed) = Default::default();
        Self { bridge, webview, user_agent, channels, is_closed }
    }

    /// Receives a channel from a web process of the webview. WebKit has told whose the process is, and the token tells for
    /// which page.
    pub(crate) fn receive(&self, message: &UserMessage) {
        let parameters = message.parameters().and_then(|it| it.get::<(String, String)>());
        let descriptor = message.fd_list().and_then(|list| raw::file_descriptor(&list));
        if let (Some((document, token)), Some(descriptor)) = (parameters, descriptor)
            && let Ok(document) = Url::parse(&document)
            && let Some(pin) = self.bridge.pin(self.webview, &token, &document)
            && !self.is_closed.get()
        {
            self.serve(pin, descriptor.into());
        }
    }

    fn serve(&self, pin: Pin, stream: UnixStream) {
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

    /// A response has come. The web process is told its head before the document begins, unless the document is a page that
    /// the process may not know of yet.
    pub(crate) fn comes(&self, webview: &WebView, head: &ResponseHead, is_page: bool) {
        if !is_page {
            self.tell(webview, head, &HeadOf::Frame);
        } else if let Some(token) = self.bridge.comes(self.webview, &head.url) {
            self.tell(webview, head, &HeadOf::ComingPage(token));
        }
    }

    /// The webview shows a page at this URL. Its web process may not know the head yet.
    pub(crate) fn shows(&self, webview: &WebView, url: &Url, head: Option<&ResponseHead>) {
        let is_of_url = |head: &ResponseHead| page_origin(&head.url) == page_origin(url);
        // NB: once the app has asked for another page, WebKit says that page's URL, and the page that is shown is unknown.
        let token =
            self.bridge.shows(self.webview, Some(url).filter(|_| head.is_none_or(is_of_url)));
        let of = &HeadOf::Page(token);
        match head {
            Some(head) => self.tell(webview, head, of),
            None => self.tell(webview, &ResponseHead::none(url), of),
        }
    }

    /// Tells the web process the head of a response.
    fn tell(&self, webview: &WebView, head: &ResponseHead, of: &HeadOf) {
        if self.is_closed.get() {
            return;
        }
        let (is_page, comes, token) = of.to_parts();
        let ResponseHead { url, status, headers } = head;
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let headers: Vec<(String, String)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect();
        let user_agent = self.user_agent.as_ref().and_then(text).unwrap_or_default();
        let status = status.map_or(0, |status| u32::from(status.as_u16()));
        let parameters: Variant =
            (is_page, comes, token, user_agent, url.as_str(), status, headers).to_variant();
        let message = UserMessage::new(MESSAGE, Some(&parameters));
        // Sending fails if the web process does not have the extension, or has ended.
        webview.send_message_to_page(&message, None::<&Cancellable>, drop);
    }

    /// The webview has left its last page. What its processes have sent is served.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        for channel in self.channels.take().iter().filter_map(Weak::upgrade) {
            // What was written before can still be read. An error means that the channel has ended.
            let _ = channel.shutdown(Shutdown::Read);
        }
    }
}
