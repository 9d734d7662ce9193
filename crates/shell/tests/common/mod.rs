//! A page with a host that records what the page asks for.

#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sendbeacon_shell::page::{
    BodyInit, ChunkDone, DocumentDone, DocumentInfo, Environment, EventLoop, FetchDone,
    FetchRequest, FetchResponse, FetchedImage, FetchedScript, ImageDone, Navigation, Page,
    PageHost, PolicyContainer, ScriptRequest, TabOf,
};
use url::{EncodingOverride, Url};

pub(crate) const PAGE_URL: &str = "https://a.test/dir/page?q#f";

/// A host that accepts everything and records it.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) beacons: RefCell<Vec<(String, Option<BodyInit>)>>,
    /// The answers of `send_beacon`, in order. After the last one it answers `Ok(true)`.
    pub(crate) answers: RefCell<VecDeque<Result<bool, String>>>,
    pub(crate) fetches: RefCell<Vec<(FetchRequest, Option<FetchDone>)>>,
    /// The chunks that the bodies of responses still have, by the fetches' identifiers. After the last one a body ends.
    pub(crate) bodies: RefCell<HashMap<u64, VecDeque<Result<Bytes, String>>>>,
    /// The bytes of the images that there are, by their URLs.
    pub(crate) images: RefCell<HashMap<String, Vec<u8>>>,
    pub(crate) image_requests: RefCell<Vec<FetchRequest>>,
    /// Whether each fetch is answered at once, with status 200 and without a body.
    pub(crate) answers_at_once: Cell<bool>,
    pub(crate) aborted: RefCell<Vec<u64>>,
    pub(crate) pings: RefCell<Vec<(String, String)>>,
    /// The values of the `ping` attributes, parsed as one URL.
    pub(crate) encoded_pings: RefCell<Vec<String>>,
    pub(crate) console: RefCell<Vec<String>>,
    pub(crate) navigations: RefCell<Vec<String>>,
    pub(crate) infos: RefCell<Vec<DocumentInfo>>,
    pub(crate) scripts: RefCell<HashMap<String, Vec<u8>>>,
    /// The requests for scripts. The host of a worker shares them.
    pub(crate) script_requests: Rc<RefCell<Vec<ScriptRequest>>>,
}

impl PageHost for Recorder {
    fn send_beacon(&self, url: &str, data: Option<BodyInit>) -> Result<bool, String> {
        self.beacons.borrow_mut().push((url.to_owned(), data));
        self.answers.borrow_mut().pop_front().unwrap_or(Ok(true))
    }

    fn fetch(&self, request: FetchRequest, done: FetchDone) {
        let mut done = Some(done);
        if self.answers_at_once.get()
            && let Some(done) = done.take()
        {
            done(Ok(response(200)));
        }
        self.fetches.borrow_mut().push((request, done));
    }

    fn load_image(&self, request: FetchRequest, done: ImageDone) {
        let body = self.images.borrow().get(request.url.as_str()).cloned();
        self.image_requests.borrow_mut().push(request);
        let image = |body: Vec<u8>| FetchedImage { type_: None, body: body.into() };
        done(body.map(image).ok_or_else(|| "404".into()));
    }

    fn read_body(&self, id: u64, done: ChunkDone) {
        done(self.bodies.borrow_mut().entry(id).or_default().pop_front().transpose());
    }

    fn abort_fetch(&self, id: u64) {
        self.aborted.borrow_mut().push(id);
    }

    fn ping(&self, ping: &str, href: &str, encoding: EncodingOverride<'_>) {
        let base = Url::parse(PAGE_URL).expect("a URL");
        let url = Url::options().base_url(Some(&base)).encoding_override(encoding).parse(ping);
        self.encoded_pings.borrow_mut().extend(url.map(String::from));
        self.pings.borrow_mut().push((ping.to_owned(), href.to_owned()));
    }

    fn console(&self, level: &str, message: &str) {
        self.console.borrow_mut().push(format!("{level}: {message}"));
    }

    fn fetch_document(&self, navigation: Navigation, done: DocumentDone) {
        self.navigations.borrow_mut().push(navigation.url.to_string());
        done(Ok(None));
    }

    fn document_changed(&self, info: &DocumentInfo) {
        self.infos.borrow_mut().push(info.clone());
    }

    fn create_host(
        &self,
        _: &mut Environment,
        _: TabOf,
        _: Option<&sendbeacon::NavigableContainer>,
    ) -> Rc<dyn PageHost> {
        Rc::new(Self {
            scripts: self.scripts.clone(),
            script_requests: Rc::clone(&self.script_requests),
            ..Self::default()
        })
    }

    fn load_script(&self, request: &ScriptRequest) -> Result<FetchedScript, String> {
        self.script_requests.borrow_mut().push(request.clone());
        let scripts = self.scripts.borrow();
        let body = scripts.get(request.url.as_str()).ok_or("404")?.clone();
        Ok(FetchedScript {
            url: request.url.clone(),
            type_: Some("text/javascript".to_owned()),
            policies: PolicyContainer::default(),
            body,
        })
    }
}

/// A page and its host.
pub(crate) struct Fixture {
    pub(crate) page: Page,
    pub(crate) host: Rc<Recorder>,
}

impl Fixture {
    /// Loads a page with this host, environment and HTML.
    pub(crate) fn with(host: Recorder, environment: Environment, html: &str) -> Self {
        let event_loop = EventLoop::new().expect("there is memory");
        let host = Rc::new(host);
        let dyn_host: Rc<dyn PageHost> = Rc::<Recorder>::clone(&host);
        let page = Page::load(&event_loop, html.as_bytes(), None, environment, dyn_host, None);
        Self { page: page.expect("the page loads"), host }
    }

    /// Loads a page with `script`, and runs it until it is idle. `scripts` are other scripts, by their paths.
    pub(crate) fn with_scripts(scripts: &[(&str, &str)], script: &str) -> Self {
        let host = Recorder::default();
        let url = |path| format!("https://a.test{path}");
        let scripts = scripts.iter().map(|(path, text)| (url(path), text.as_bytes().to_vec()));
        host.scripts.borrow_mut().extend(scripts);
        let html = format!("<!DOCTYPE html><body><script>{script}</script>");
        let fixture = Self::with(host, environment(), &html);
        fixture.run_until_idle();
        fixture
    }

    /// Loads a page with this HTML.
    pub(crate) fn html(html: &str) -> Self {
        Self::with(Recorder::default(), environment(), html)
    }

    /// Loads a page with this script in it.
    pub(crate) fn script(script: &str) -> Self {
        Self::html(&format!("<!DOCTYPE html><body><script>{script}</script>"))
    }

    /// The value of an expression, as JSON.
    pub(crate) fn get(&self, expression: &str) -> String {
        self.page.realm().inspect(expression).unwrap_or_else(|| {
            panic!("{expression} has no value; console: {:?}", self.host.console.borrow())
        })
    }

    /// Runs the page's tasks until none is left.
    pub(crate) fn run_until_idle(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        assert!(self.page.event_loop().run_until_idle(deadline), "the page does not become idle");
    }

    /// The lines on the console.
    pub(crate) fn console(&self) -> Vec<String> {
        self.host.console.borrow().clone()
    }

    /// The lines on the console, joined by spaces and without `log: `.
    pub(crate) fn log(&self) -> String {
        self.console()
            .iter()
            .map(|line| line.replacen("log: ", "", 1))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The bodies of all beacons.
    pub(crate) fn bodies(&self) -> Vec<Option<BodyInit>> {
        self.host.beacons.borrow().iter().map(|(_, body)| body.clone()).collect()
    }

    /// Sets the chunks of the response to the fetch with this identifier.
    pub(crate) fn body(&self, id: u64, chunks: impl IntoIterator<Item = Result<Bytes, String>>) {
        self.host.bodies.borrow_mut().insert(id, chunks.into_iter().collect());
    }

    /// Answers the oldest unanswered fetch, and runs the page until it is idle. See [`body`](Self::body).
    pub(crate) fn answer(&self, result: Result<FetchResponse, String>) {
        let done = self.host.fetches.borrow_mut().iter_mut().find_map(|(_, done)| done.take());
        done.expect("a fetch is running")(result);
        self.run_until_idle();
    }
}

/// The environment of the page at [`PAGE_URL`].
pub(crate) fn environment() -> Environment {
    Environment::new(Url::parse(PAGE_URL).expect("a URL"))
}

/// The head of a response with this status.
pub(crate) fn response(status: u16) -> FetchResponse {
    FetchResponse {
        status,
        status_text: "Fine".into(),
        headers: vec![("Content-Type".into(), "text/x; a=b".into()), ("X-A".into(), "1".into())],
        url: "https://a.test/answer".into(),
        type_: "basic".into(),
        redirected: false,
    }
}

/// Runs `script` as the body of an async function, and returns its result as JSON.
pub(crate) fn run(script: &str) -> String {
    let fixture = Fixture::script(&format!(
        "var result; (async () => {{ {script} }})().then(r => result = r, e => result = String(e));"
    ));
    fixture.run_until_idle();
    assert_eq!(fixture.console(), [""; 0]);
    fixture.get("result")
}
