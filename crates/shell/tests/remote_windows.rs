//! Windows whose documents other processes run, without the processes.

mod common;

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use sendbeacon::{Client, Nonce, Origin};
use sendbeacon_shell::page::{
    BodyInit, Command, DocumentDone, EventLoop, FetchDone, FetchRequest, FetchedDocument,
    NavigableId, Navigation, NewNavigable, Page, PageHost, PostedMessage, WindowMessage,
};

/// A host that leaves each fetched document to another process, and records what it is told.
#[derive(Clone, Default)]
struct Host(Rc<RefCell<Vec<String>>>);

impl Host {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl PageHost for Host {
    fn send_beacon(&self, _: &str, _: Option<BodyInit>) -> Result<bool, String> {
        Ok(false)
    }

    fn fetch(&self, _: FetchRequest, done: FetchDone) {
        done(Err(String::new()));
    }

    fn console(&self, _: &str, message: &str) {
        self.0.borrow_mut().push(message.to_owned());
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        let client = Client::new(navigation.url.clone(), Nonce::random());
        let document = FetchedDocument::local(navigation.url, client);
        done(Ok(Some(FetchedDocument { is_remote: true, ..document })));
    }

    fn create_host(
        &self,
        _: &mut sendbeacon_shell::page::Environment,
        _: sendbeacon_shell::page::TabOf,
        _: Option<&sendbeacon::NavigableContainer>,
    ) -> Rc<dyn PageHost> {
        Rc::new(self.clone())
    }

    fn send(&self, _: NavigableId, message: WindowMessage) {
        let name = match message {
            WindowMessage::Created(_) | WindowMessage::Activated(_) => return,
            WindowMessage::PostMessage(posted) => format!("PostMessage {}", posted.text),
            WindowMessage::Navigate(navigation) => format!("Navigate {}", navigation.url),
            WindowMessage::Placed(placement) => format!("Placed {}", placement.client.origin),
            other => format!("{other:?}"),
        };
        self.0.borrow_mut().push(name);
    }

    fn command(&self, _: NavigableId, command: Command) {
        self.0.borrow_mut().push(format!("{command:?}"));
    }
}

/// A page with this HTML, and with a frame of another process.
fn page(html: &str) -> (Page, Host) {
    let (event_loop, host) = (EventLoop::new().unwrap(), Host::default());
    event_loop.set_remote_host(Rc::new(host.clone()));
    let html = format!("<body><iframe src=https://b.test/></iframe>{html}");
    let dyn_host = Rc::new(host.clone());
    let page =
        Page::load(&event_loop, html.as_bytes(), None, common::environment(), dyn_host, None);
    let mut page = page.unwrap();
    page.fire_load();
    run(&page);
    // The process of the frame says that it is loaded.
    event_loop.receive(FRAME, WindowMessage::Loaded);
    run(&page);
    (page, host)
}

/// The number of the frame. The page has number 1.
const FRAME: NavigableId = NavigableId(2);

fn run(page: &Page) {
    assert!(page.event_loop().run_until_idle(Instant::now() + Duration::from_secs(20)));
}

#[test]
fn the_load_event_waits_for_the_frame() {
    let (event_loop, host) = (EventLoop::new().unwrap(), Host::default());
    event_loop.set_remote_host(Rc::new(host.clone()));
    let html =
        b"<iframe src=https://b.test/></iframe><script>onload = () => console.log('load')</script>";
    let dyn_host = Rc::new(host.clone());
    let page = Page::load(&event_loop, html, None, common::environment(), dyn_host, None);
    let mut page = page.unwrap();
    page.fire_load();
    run(&page);
    assert_eq!(host.take(), ["FireBeforeUnload", "Placed https://b.test"][1..]);
    event_loop.receive(FRAME, WindowMessage::Loaded);
    run(&page);
    assert_eq!(host.take(), ["load"]);
}

#[test]
fn each_step_of_the_lifecycle_reaches_the_frame_after_its_parent() {
    let script = "<script>
        for (const type of ['beforeunload', 'pagehide', 'unload']) addEventListener(type, () => console.log(type));
        for (const type of ['visibilitychange', 'freeze', 'resume'])
            document.addEventListener(type, () => console.log(type));
    </script>";
    let (page, host) = page(script);
    host.take();
    page.hide();
    page.freeze();
    page.resume();
    page.show();
    assert_eq!(
        host.take(),
        [
            "visibilitychange",
            "Hide",
            "freeze",
            "Freeze",
            "resume",
            "Resume",
            "visibilitychange",
            "Show"
        ]
    );
    page.unload();
    assert_eq!(
        host.take(),
        [
            "beforeunload",
            "FireBeforeUnload",
            "pagehide",
            "visibilitychange",
            "unload",
            "Unload",
            "Removed",
            "Removed"
        ]
    );
}

#[test]
fn a_frame_whose_process_has_ended_shows_an_error() {
    let (page, host) = page("");
    host.take();
    page.event_loop().receive(FRAME, WindowMessage::Crashed);
    run(&page);
    assert_eq!(host.take(), ["The process of a document has ended.", "Unload", "TakenBack"]);
    assert_eq!(page.realm().inspect("frames[0].length").as_deref(), Some("0"));
    // There is nothing left that could end.
    page.event_loop().receive(FRAME, WindowMessage::Crashed);
    assert_eq!(host.take(), [""; 0]);
}

#[test]
fn only_well_formed_messages_are_delivered() {
    let script = "<script>
        onmessage = ({ data, source, origin }) => console.log(JSON.stringify(data), source === frames[0], origin);
        onmessageerror = ({ data }) => console.log('error', data);
    </script>";
    let (page, host) = page(script);
    host.take();
    let deep = format!("[[\"object\",0],[{}]]", "[".repeat(100_000));
    let texts = [
        r#"[["object",0],[["Array",1,[["0",1]]]]]"#,
        "",
        "null",
        "[",
        r#"[["nothing"],[]]"#,
        r#"[["object",7],[]]"#,
        r#"[["object",0],[["Error","toString","","",null]]]"#,
        r#"[["object",0],[["Array",-1,[]]]]"#,
        r#"[["object",0],[["View","Uint8Array",["object",1],0,9],["ArrayBuffer","AA=="]]]"#,
        r#"[["bigint","x"]]"#,
        &deep,
    ];
    for text in texts {
        let posted = PostedMessage {
            source: FRAME,
            origin: "https://b.test".into(),
            target_origin: "*".into(),
            text: text.into(),
        };
        page.event_loop().receive(NavigableId(1), WindowMessage::PostMessage(Box::new(posted)));
    }
    let said = host.take();
    assert_eq!(said[0], "[1] true https://b.test");
    assert_eq!(said[1..], ["error null"; 10]);
}

#[test]
fn a_remote_window_passes_messages_and_navigations_on() {
    let (page, host) = page("");
    host.take();
    page.realm().evaluate(
        "frames[0].postMessage([1, -0], '*'); frames[0].location = 'https://b.test/#there'; frames[0].close();",
        "test",
    );
    run(&page);
    assert_eq!(
        host.take(),
        [
            r#"PostMessage [["object",0],[["Array",2,[["0",1],["1",["number","-0"]]]]]]"#,
            "Navigate https://b.test/#there"
        ]
    );
}

#[test]
fn messages_about_navigables_that_are_not_there_do_nothing() {
    let (page, host) = page("");
    host.take();
    let event_loop = page.event_loop();
    let new = |parent| NewNavigable {
        parent: Some(parent),
        opener: None,
        is_auxiliary: false,
        name: String::new(),
        origin: Origin::Opaque(Nonce::random()),
    };
    // The parent is not there, or this process runs its document.
    event_loop.receive(NavigableId(100), WindowMessage::Created(new(NavigableId(99))));
    event_loop.receive(NavigableId(101), WindowMessage::Created(new(NavigableId(1))));
    for message in [WindowMessage::Removed, WindowMessage::Crashed, WindowMessage::Loaded] {
        event_loop.receive(NavigableId(100), message.clone());
        event_loop.receive(NavigableId(1), message);
    }
    event_loop.obey(NavigableId(100), Command::Unload);
    event_loop.receive(NavigableId(102), WindowMessage::Created(new(FRAME)));
    assert_eq!(page.realm().inspect("[length, frames[0].length]").as_deref(), Some("[1,1]"));
    event_loop.receive(NavigableId(102), WindowMessage::Removed);
    assert_eq!(page.realm().inspect("[length, frames[0].length]").as_deref(), Some("[1,0]"));
}

#[test]
fn a_circle_of_openers_does_not_hang_the_page() {
    let (page, _host) = page("");
    let new = |parent, opener| NewNavigable {
        parent,
        opener: Some(NavigableId(opener)),
        is_auxiliary: true,
        name: String::new(),
        origin: Origin::Opaque(Nonce::random()),
    };
    for (id, parent, opener) in [(50, Some(FRAME), 51), (51, None, 52), (52, None, 51)] {
        page.event_loop().receive(NavigableId(id), WindowMessage::Created(new(parent, opener)));
    }
    page.realm().evaluate("const opened = frames[0][0].opener; opened.close()", "test");
    assert_eq!(page.realm().inspect("[opened.closed, !opened]").as_deref(), Some("[false,false]"));
}

#[test]
fn a_process_closes_only_what_its_documents_may_close() {
    // The page has one entry in its history, or two, and is closed on behalf of the document of a navigable.
    let opened = NavigableId(50);
    for (entries, source, is_closed) in
        [(1, FRAME, true), (2, FRAME, false), (1, opened, false), (1, NavigableId(51), false)]
    {
        let (page, _host) = page("");
        let new = NewNavigable {
            parent: None,
            opener: Some(NavigableId(1)),
            is_auxiliary: true,
            name: String::new(),
            origin: Origin::Opaque(Nonce::random()),
        };
        page.event_loop().receive(opened, WindowMessage::Created(new));
        if entries == 2 {
            page.realm().evaluate("history.pushState(0, '', '#two')", "test");
        }
        page.event_loop().receive(NavigableId(1), WindowMessage::Close { source });
        let closed = page.realm().inspect("closed");
        assert_eq!(closed, Some(is_closed.to_string()), "{entries} {source:?}");
    }
}
