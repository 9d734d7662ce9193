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
use glib::MainContext;
use http::{HeaderMap, HeaderValue, StatusCode};
use sendbeacon_webview::{Answer, ContentPage, HeadOf, PolicySource, add_policy};
use url::Url;

use crate::{api::prelude::*, raw};

/// The name of the messages between the app and this process.
const MESSAGE: &str = "sendbeacon";

/// The parameters of the app's message about a response: whether it is of the main frame, whether its page comes, the page's
/// token or nothing, the `User-Agent`, the URL, the status and the headers.
type HeadParameters = (bool, bool, String, String, String, u32, Vec<(String, String)>);

thread_local! {
    /// The pages, by the addresses of WebKit's objects.
    ///
    /// NB: it is not dropped when the thread ends, which is when the process exits.
    static PAGES: ManuallyDrop<RefCell<HashMap<usize, Rc<Page>>>> = ManuallyDrop::default();
}

/// A page. Nothing is borrowed while a script is called, because it may call back.
struct Page {
    content: RefCell<ContentPage>,
    scripts: RefCell<Vec<Script>>,
}

/// The script of a document.
#[derive(Clone)]
struct Script {
    document: u64,
    /// What the script has returned. It lives as long as the script.
    owns: WeakValue,
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
    let content = RefCell::new(ContentPage::new(connect));
    let shared = Rc::new(Page { content, scripts: RefCell::default() });
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
fn receive_head(page: &Page, message: &UserMessage) {
    let parameters = message.parameters().and_then(|it| it.get::<HeadParameters>());
    let Some((is_page, comes, token, user_agent, url, status, list)) = parameters else { return };
    let Ok(url) = Url::parse(&url) else { return };
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        add_policy(&mut headers, &name, &value);
    }
    let user_agent = HeaderValue::try_from(user_agent).ok().filter(|it| !it.is_empty());
    let of = HeadOf::from_parts(is_page, comes, token);
    page.content.borrow_mut().head(of, url, status, headers, user_agent);
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
    let is_new = shared.content.borrow().is_new(frame.id());
    shared.content.borrow_mut().leave(frame.id(), frame.is_main());
    // NB: a page at `about:` has WebKit's own functions. It has no document around it, and may have no opener.
    if frame.is_main() && url.scheme() == "about" {
        return;
    }
    let Some(context) = frame.context(world) else { return };
    let source = match (url.scheme(), url.path()) {
        ("about", "srcdoc") => shared.creator(&context),
        // NB: a later document at `about:blank` inherits from the document that has navigated the frame. WebKit does not tell
        // which one that is.
        ("about", _) if is_new => shared.creator(&context),
        ("about", _) => None,
        _ => Some((PolicySource::Response, Value::new_undefined(&context))),
    };
    let Some((source, inherited)) = source else { return };
    let top = if frame.is_main() {
        Some(url.clone())
    } else {
        let top = page.property::<Option<String>>("uri");
        top.and_then(|uri| Url::parse(&uri).ok())
    };
    let document =
        top.and_then(|top| shared.content.borrow_mut().begin(frame.id(), &url, &top, source));
    let Some(document) = document else { return };
    let native = NativeFunction { page: Rc::downgrade(&shared), document };
    let native = raw::function(&context, "sendbeacon", move |context, arguments| {
        native.call(context, arguments)
    });
    let script = context.evaluate(&ContentPage::script()).filter(Value::is_function);
    let returned = script.and_then(|script| script.function_callv(&[native, inherited]));
    if let Some(owns) = returned.filter(Value::is_function) {
        let mut scripts = shared.scripts.borrow_mut();
        scripts.retain(|it| it.owns.value().is_some());
        scripts.push(Script { document, owns: WeakValue::new(&owns) });
    }
}

impl Page {
    /// The document around a frame, from which a new document at `about:` in the frame inherits. Also returns the object that
    /// the outer document's script gives to the new document's script: its remembered blobs.
    ///
    /// NB: WebKit lets only a script of the same origin have that document, and a script of this library compares it with
    /// its own. A page may have replaced `parent` in the frame's window. Then it can only name a document that its scripts
    /// reach anyway.
    fn creator(&self, context: &Context) -> Option<(PolicySource, Value)> {
        let parent = context.evaluate("(() => { try { return parent.document; } catch {} })()")?;
        if !parent.is_object() {
            return None;
        }
        let scripts = self.scripts.borrow().clone();
        scripts.iter().find_map(|Script { document, owns }| {
            let answer = owns.value()?.function_callv(std::slice::from_ref(&parent))?;
            answer.is_object().then_some((PolicySource::Creator(*document), answer))
        })
    }
}

/// The function that a document's script calls. It is dropped when no script can call it any more.
struct NativeFunction {
    page: Weak<Page>,
    document: u64,
}

impl NativeFunction {
    /// The arguments are a text, and for a `fetch()` the function that hears of its response.
    fn call(&self, context: &Context, arguments: &[Value]) -> Value {
        // NB: `to_str` has undefined behaviour if the value cannot be converted: JavaScriptCore returns NULL then, in old
        // versions also for a text with a lone surrogate.
        let text =
            arguments.first().filter(|it| it.is_string()).and_then(Value::to_string_as_bytes);
        let text = text.as_deref().and_then(|it| str::from_utf8(it).ok()).unwrap_or_default();
        let Some(page) = self.page.upgrade() else { return Value::new_null(context) };
        // NB: `is_function` makes an exception of `undefined`, and that takes longer than all the rest of a call.
        let Some(deliver) = arguments.get(1).filter(|it| it.is_object()) else {
            let answer = page.content.borrow_mut().receive(self.document, text);
            return value(context, answer);
        };
        let fetch = page.content.borrow_mut().fetch(self.document, text);
        let mut fetch = match fetch {
            Ok(fetch) => fetch,
            Err(answer) => return value(context, answer),
        };
        let (page, document, id) = (self.page.clone(), self.document, fetch.id());
        // The script keeps the function for as long as it wants to hear. To keep it here would keep the page.
        let deliver = WeakValue::new(deliver);
        MainContext::default().spawn_local(async move {
            while let Some((kind, text)) = fetch.next().await {
                let Some(deliver) = deliver.value() else { return };
                let Some(context) = deliver.context() else { return };
                let arguments = [kind, &*text].map(|it| Value::new_string(&context, Some(it)));
                // It returns nothing.
                let _ = deliver.function_callv(&arguments);
            }
        });
        raw::function(context, "abort", move |context, _| {
            if let Some(page) = page.upgrade() {
                page.content.borrow_mut().abort(document, id);
            }
            Value::new_undefined(context)
        })
    }
}

/// What the native function returns for this answer.
fn value(context: &Context, answer: Answer) -> Value {
    match answer {
        Answer::Yes => Value::new_boolean(context, true),
        Answer::No => Value::new_boolean(context, false),
        Answer::Own => Value::new_null(context),
        Answer::Exception(text) => Value::new_string(context, Some(&text)),
    }
}

impl Drop for NativeFunction {
    fn drop(&mut self) {
        if let Some(page) = self.page.upgrade() {
            page.content.borrow_mut().end(self.document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_are_no_text_do_no_harm() {
        let context = Context::new();
        let native = NativeFunction { page: Weak::new(), document: 1 };
        let native = raw::function(&context, "native", move |context, arguments| {
            native.call(context, arguments)
        });
        context.set_value("native", &native);
        for arguments in
            ["", "undefined", "Symbol()", "{ toString() { throw 1 } }", "'{}', {}", "'\\uD800'"]
        {
            let answer = context.evaluate(&format!("native({arguments})"));
            assert!(answer.is_some_and(|it| it.is_null()), "{arguments}");
        }
    }
}
