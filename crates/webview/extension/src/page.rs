//! The pages of the web process, and what WebKit tells of them.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    mem::ManuallyDrop,
    os::unix::net::UnixStream,
    rc::{Rc, Weak},
};

use gio::UnixFDList;
use glib::prelude::*;
use http::{HeaderMap, HeaderValue, StatusCode};
use javascriptcore::{ContextExt, ValueExt};
use sendbeacon_webview::{Answer, ContentPage, HeadOf, add_policy};
use url::Url;
use webkit2gtk::{UserMessage, UserMessageExt};

use crate::raw;

/// The name of the messages between the app and this process.
const MESSAGE: &str = "sendbeacon";

/// The parameters of the app's message about a response: whether it is of the main frame, whether its page comes, the page's
/// token or nothing, the `User-Agent`, the URL, the status and the headers.
type HeadParameters = (bool, bool, String, String, String, u32, Vec<(String, String)>);

type SharedPage = Rc<RefCell<ContentPage>>;

thread_local! {
    /// The pages, by the addresses of WebKit's objects.
    ///
    /// NB: it is not dropped when the thread ends, which is when the process exits.
    static PAGES: ManuallyDrop<RefCell<HashMap<usize, SharedPage>>> = ManuallyDrop::default();
}

/// The web process begins.
pub(crate) fn initialize(extension: &glib::Object) {
    extension.connect_local("page-created", false, |values| {
        if let Some(page) = object(values, 1) {
            page_created(&page);
        }
        None
    });
    raw::page_world().connect_local("window-object-cleared", false, |values| {
        if let (Some(world), Some(page), Some(frame)) =
            (object(values, 0), object(values, 1), object(values, 2))
        {
            window_object_cleared(&world, &page, &frame);
        }
        None
    });
}

fn object(values: &[glib::Value], at: usize) -> Option<glib::Object> {
    values.get(at)?.get().ok()
}

fn address(page: &glib::Object) -> usize {
    page.as_ptr() as usize
}

fn page_created(page: &glib::Object) {
    let weak = page.downgrade();
    let connect = move |document: &Url, token: &str| {
        let page = weak.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        connect(&page, document, token)
    };
    let address = address(page);
    let shared = Rc::new(RefCell::new(ContentPage::new(connect)));
    let for_messages = Rc::downgrade(&shared);
    PAGES.with(|pages| pages.borrow_mut().insert(address, shared));
    page.add_weak_ref_notify_local(move || {
        let gone = PAGES.with(|pages| pages.borrow_mut().remove(&address));
        drop(gone);
    });
    page.connect_local("user-message-received", false, move |values| {
        let message = values.get(1)?.get::<UserMessage>().ok()?;
        let is_ours = message.name()? == MESSAGE;
        if is_ours && let Some(page) = for_messages.upgrade() {
            receive_head(&page, &message);
        }
        Some(is_ours.to_value())
    });
}

/// The app tells the head of a response.
fn receive_head(page: &SharedPage, message: &UserMessage) {
    let parameters = message.parameters().and_then(|it| it.get::<HeadParameters>());
    let Some((is_page, comes, token, user_agent, url, status, list)) = parameters else { return };
    let Ok(url) = Url::parse(&url) else { return };
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        add_policy(&mut headers, &name, &value);
    }
    let user_agent = HeaderValue::try_from(user_agent).ok().filter(|it| !it.is_empty());
    let of = match (is_page, comes) {
        (false, _) => HeadOf::Frame,
        (true, true) => HeadOf::ComingPage(token),
        (true, false) => HeadOf::Page(Some(token).filter(|it| !it.is_empty())),
    };
    page.borrow_mut().head(of, url, status, headers, user_agent);
}

/// Sends the app one end of a new channel, and returns the other one.
fn connect(page: &glib::Object, document: &Url, token: &str) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let message = UserMessage::builder()
        .name(MESSAGE)
        .parameters(&(document.as_str(), token).to_variant())
        .fd_list(&UnixFDList::from_array([theirs]))
        .build();
    raw::send_message_to_view(page, &message);
    Ok(ours)
}

/// A document begins: its scripts have not run yet.
fn window_object_cleared(world: &glib::Object, page: &glib::Object, frame: &glib::Object) {
    let shared = PAGES.with(|pages| pages.borrow().get(&address(page)).cloned());
    let Some(shared) = shared else { return };
    let frame = raw::Frame::of(frame);
    let Some(url) = frame.uri().and_then(|uri| Url::parse(&uri).ok()) else { return };
    shared.borrow_mut().leave(frame.id(), frame.is_main());
    // NB: a document at `about:` has its creator's policies, which WebKit does not tell. It has WebKit's own functions.
    if url.scheme() == "about" {
        return;
    }
    let top = if frame.is_main() {
        Some(url)
    } else {
        let top = page.property::<Option<String>>("uri");
        top.and_then(|uri| Url::parse(&uri).ok())
    };
    let document = top.and_then(|top| shared.borrow_mut().begin(frame.id(), &top));
    let Some(document) = document else { return };
    let Some(context) = frame.context(world) else { return };
    let native = NativeFunction { page: Rc::downgrade(&shared), document };
    let native = raw::function(&context, "sendbeacon", move |text| native.call(text));
    let script = context.evaluate(&ContentPage::script());
    if let Some(script) = script.filter(ValueExt::is_function) {
        // It returns nothing.
        let _ = script.function_callv(&[native]);
    }
}

/// The function that a document's script calls. It is dropped when no script can call it any more.
struct NativeFunction {
    page: Weak<RefCell<ContentPage>>,
    document: u64,
}

impl NativeFunction {
    fn call(&self, text: &str) -> Answer {
        match self.page.upgrade() {
            Some(page) => page.borrow_mut().receive(self.document, text),
            None => Answer::Own,
        }
    }
}

impl Drop for NativeFunction {
    fn drop(&mut self) {
        if let Some(page) = self.page.upgrade() {
            page.borrow_mut().end(self.document);
        }
    }
}
