//! Tests of a content process, whose app is in the same process.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, Mutex, mpsc::Receiver},
    thread,
    time::Duration,
};

use sendbeacon::{UserAgentBuilder, host::NetworkRequest};
use sendbeacon_testkit::network::{self, ScriptedNetwork, respond, respond_with_body};

use super::*;
use crate::{Bridge, WebviewId};

const LONG: Duration = Duration::from_secs(20);

struct Test {
    page: ContentPage,
    bridge: Arc<Bridge>,
    webview: WebviewId,
    /// The token of the page that the app shows.
    token: Option<String>,
    network: Arc<ScriptedNetwork>,
    channels: Rc<Cell<u32>>,
    /// What the server waits for before it answers, once.
    wait: Arc<Mutex<Option<Receiver<()>>>>,
}

impl Test {
    /// The page of an app that shows `shown`.
    fn new(shown: &str) -> Self {
        let wait = Arc::<Mutex<Option<Receiver<()>>>>::default();
        let for_network = Arc::clone(&wait);
        let test = Self::answering(shown, move |_| {
            if let Some(wait) = for_network.lock().unwrap().take() {
                wait.recv().unwrap();
            }
            respond(204, &[])
        });
        Self { wait, ..test }
    }

    fn answering(
        shown: &str,
        answer: impl FnMut(&NetworkRequest) -> network::Answer + Send + 'static,
    ) -> Self {
        let network = Arc::new(ScriptedNetwork::new(answer));
        let builder = UserAgentBuilder::new(Arc::clone(&network) as _);
        let bridge = Arc::new(Bridge::new(builder, None, None, || {}).unwrap());
        let (webview, _) = bridge.open("post", None);
        let token = bridge.shows(webview, Some(&url(shown)));
        let (for_channels, channels) = (Arc::clone(&bridge), Rc::<Cell<u32>>::default());
        let count = Rc::clone(&channels);
        let page = ContentPage::new(move |document, token| {
            count.set(count.get() + 1);
            let (ours, theirs) = UnixStream::pair()?;
            if let Some(pin) = for_channels.pin(webview, token, document) {
                let process = for_channels.agent().content_process(pin);
                thread::spawn(move || process.serve_unix(theirs));
            }
            Ok(ours)
        });
        Self { page, bridge, webview, token, network, channels, wait: Arc::default() }
    }

    /// The head of a response with which a page comes.
    fn head(&mut self, at: &str, headers: &[(&'static str, &'static str)]) {
        let token = self.token.clone().unwrap();
        self.head_of(&HeadOf::ComingPage(token), at, headers);
    }

    fn head_of(&mut self, of: &HeadOf, at: &str, headers: &[(&'static str, &'static str)]) {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        });
        let (is_page, comes, token) = of.to_parts();
        let of = HeadOf::from_parts(is_page, comes, token.to_owned());
        let user_agent = Some(HeaderValue::from_static("WebKit"));
        self.page.head(of, url(at), Some(StatusCode::OK), headers.collect(), user_agent);
    }

    /// Begins a document at this URL, whose script says what it is.
    fn begin(&mut self, frame: u64, top: &str, at: &str, ancestors: &str) -> u64 {
        let origin = url(at).origin().ascii_serialization();
        let document = self.begin_from(PolicySource::Response, frame, top, at);
        assert_eq!(self.hello(document, &origin, ancestors), Answer::Yes);
        assert_eq!(self.settings(document, at, at, ""), Answer::Yes);
        document
    }

    fn begin_from(&mut self, source: PolicySource, frame: u64, top: &str, at: &str) -> u64 {
        self.page.leave(frame, frame == 1);
        self.page.begin(frame, &url(at), &url(top), source).unwrap()
    }

    /// Begins a document at `about:`, which inherits from `creator`, at `base`.
    fn begin_at_about(&mut self, creator: u64, frame: u64, base: &str, at: &str) -> u64 {
        let document = self.begin_from(PolicySource::Creator(creator), frame, base, at);
        assert_eq!(self.hello(document, "https://a.test", ""), Answer::Yes);
        assert_eq!(self.settings(document, at, base, ""), Answer::Yes);
        document
    }

    fn hello(&mut self, document: u64, origin: &str, ancestors: &str) -> Answer {
        let hello = format!(
            r#"{{"op":"hello","origin":"{origin}","isSecure":true,"referrer":"","languages":"","ancestors":[{ancestors}]}}"#
        );
        self.page.receive(document, &hello)
    }

    fn settings(&mut self, document: u64, at: &str, base: &str, policies: &str) -> Answer {
        let settings = format!(
            r#"{{"op":"settings","url":"{at}","base":"{base}","referrerPolicies":[],"policies":[{policies}]}}"#
        );
        self.page.receive(document, &settings)
    }

    fn send(&mut self, document: u64, length: usize) -> Answer {
        self.page.receive(
            document,
            &format!(
                r#"{{"op":"beacon","sending":{{"url":"https://a.test/b","bytes":0,"urlBytes":0,"body":{{"kind":"text","text":"{}"}}}}}}"#,
                "x".repeat(length)
            ),
        )
    }

    fn fetch(
        &mut self,
        document: u64,
        to: &str,
        mode: &str,
        length: usize,
    ) -> Result<ContentFetch, Answer> {
        self.page.fetch(
            document,
            &format!(
                r#"{{"op":"fetch","sending":{{"url":"{to}","bytes":0,"urlBytes":0,"body":{{"kind":"text","text":"{}"}}}},"request":{{"method":"POST","mode":"{mode}","credentials":"same-origin","headers":[]}}}}"#,
                "x".repeat(length)
            ),
        )
    }

    fn defer(&mut self, document: u64, id: u64, length: usize) -> Answer {
        self.page.receive(
            document,
            &format!(
                r#"{{"op":"defer","id":{id},"sending":{{"url":"https://a.test/d{id}","bytes":0,"urlBytes":0,"body":{{"kind":"text","text":"{}"}}}},"request":{{"method":"POST","mode":"cors","credentials":"include","headers":[]}},"activateAfter":null}}"#,
                "x".repeat(length)
            ),
        )
    }

    /// What was sent until the app has quit.
    fn sent(self) -> Vec<NetworkRequest> {
        drop(self.page);
        let quit = self.bridge.agent().quit(LONG);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(quit).completed);
        self.network.sent()
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn a_document_has_the_webviews_own_until_its_policies_are_known() {
    let mut test = Test::new("https://a.test/");
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    assert_eq!(test.send(document, 1), Answer::Own);
    assert_eq!(test.channels.get(), 0);
    test.head("https://a.test/other", &[]);
    assert_eq!(test.send(document, 1), Answer::Own);
    test.head("https://a.test/", &[("referrer-policy", "no-referrer")]);
    assert_eq!(test.send(document, 1), Answer::Yes);
    let sent = test.sent();
    assert_eq!(sent.len(), 1);
    assert!(!sent[0].headers.contains_key("referer"));
    assert_eq!(sent[0].headers["user-agent"], "WebKit");
}

#[test]
fn the_answer_is_the_ledgers() {
    let mut test = Test::new("https://a.test/");
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    assert_eq!(test.send(document, 65_537), Answer::No);
    assert_eq!(test.send(document, 65_536), Answer::Yes);
    let nonsense = test.page.receive(document, "{}");
    assert_eq!(nonsense, Answer::Own);
    assert_eq!(test.page.receive(99, "{}"), Answer::Own);
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_webview_is_busy_with_the_beacons_of_its_web_process() {
    let mut test = Test::new("https://a.test/");
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    // The server waits for this.
    let (release, released) = std::sync::mpsc::channel();
    *test.wait.lock().unwrap() = Some(released);
    assert_eq!(test.send(document, 1), Answer::Yes);
    while !test.bridge.is_busy(test.webview) {
        thread::yield_now();
    }
    release.send(()).unwrap();
    let (bridge, webview) = (Arc::clone(&test.bridge), test.webview);
    assert_eq!(test.sent().len(), 1);
    assert!(!bridge.is_busy(webview));
}

#[test]
fn documents_of_a_site_share_a_channel() {
    let mut test = Test::new("https://a.test/");
    let urls = ["https://a.test/", "https://x.a.test/", "https://b.test/", "https://b.test/2"];
    for (frame, at) in (1..).zip(urls) {
        test.head(at, &[]);
        let document = test.begin(frame, "https://a.test/", at, "\"https://a.test\"");
        assert_eq!(test.send(document, 1), Answer::Yes, "{at}");
    }
    assert_eq!(test.channels.get(), 2);
    assert_eq!(test.sent().len(), 4);
}

#[test]
fn a_process_that_lies_about_its_page_sends_nothing() {
    let mut test = Test::new("https://a.test/");
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://bank.test/", "https://a.test/", "");
    // The app ends the channel when it reads the beacon.
    assert_eq!(test.send(document, 1), Answer::Yes);
    assert!(test.sent().is_empty());
}

/// All that a fetch tells its script.
fn told(mut fetch: ContentFetch) -> Vec<(&'static str, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut told = Vec::new();
        while let Some(it) = fetch.next().await {
            told.push(it);
        }
        told
    })
}

#[test]
fn a_script_hears_of_the_response_to_its_fetch() {
    let mut test = Test::answering("https://a.test/", |_| {
        respond_with_body(200, &[("x-test", "a"), ("set-cookie", "secret=1")], "hello")
    });
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    let fetch = test.fetch(document, "https://a.test/f#fragment", "cors", 1).unwrap();
    let told = told(fetch);
    assert_eq!(told.len(), 3);
    let (kind, head) = &told[0];
    assert_eq!(*kind, "head");
    let head: serde_json::Value = serde_json::from_str(head).unwrap();
    assert_eq!(head["type"], "basic");
    assert_eq!(head["url"], "https://a.test/f");
    assert_eq!(head["status"], 200);
    assert_eq!(head["headers"], serde_json::json!([["x-test", "a"]]));
    assert_eq!(told[1], ("chunk", "aGVsbG8=".to_owned()));
    assert_eq!(told[2].0, "end");
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_script_sees_nothing_of_an_opaque_response() {
    let mut test = Test::answering("https://a.test/", |_| {
        respond_with_body(200, &[("x-test", "a")], "secret")
    });
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    let told = told(test.fetch(document, "https://b.test/", "no-cors", 1).unwrap());
    assert_eq!(told.len(), 1);
    let expected = r#"{"type":"opaque","url":"","redirected":false,"status":0,"ok":false,"statusText":"","headers":[],"hasBody":false}"#;
    assert_eq!(told[0], ("head", expected.to_owned()));
}

#[test]
fn a_script_hears_that_its_fetch_has_failed() {
    let mut test = Test::new("https://a.test/");
    assert_eq!(test.fetch(1, "https://a.test/", "cors", 1).unwrap_err(), Answer::Own);
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    let failed = vec![("failed", String::new())];
    // The answer does not allow the document's origin.
    assert_eq!(told(test.fetch(document, "https://b.test/", "cors", 1).unwrap()), failed);
    assert_eq!(told(test.fetch(document, "https://a.test/", "cors", 65_537).unwrap()), failed);
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_document_whose_script_names_another_origin_has_the_webviews_own() {
    let mut test = Test::new("https://a.test/");
    test.head("https://bank.test/", &[]);
    let document =
        test.begin_from(PolicySource::Response, 2, "https://a.test/", "https://a.test/frame");
    assert_eq!(test.hello(document, "https://bank.test", ""), Answer::Own);
    assert_eq!(
        test.settings(document, "https://bank.test/", "https://bank.test/", ""),
        Answer::Own
    );
    assert_eq!(test.send(document, 1), Answer::Own);
    assert!(test.sent().is_empty());
}

#[test]
fn a_document_at_about_inherits_what_its_creator_has_when_it_begins() {
    let at = "https://a.test/page";
    let mut test = Test::new(at);
    test.head(at, &[("referrer-policy", "origin")]);
    test.head("about:blank", &[]);
    let creator = test.begin(1, at, at, "");
    let document = test.begin_at_about(creator, 2, at, "about:blank");
    // What the creator gets later does not hold for it.
    assert_eq!(test.settings(creator, at, at, r#""connect-src 'none'""#), Answer::Yes);
    assert_eq!(test.settings(document, at, at, ""), Answer::Yes);
    assert_eq!(test.send(document, 1), Answer::Yes);
    let late = test.begin_at_about(creator, 3, at, "about:srcdoc");
    assert_eq!(test.send(late, 1), Answer::Yes);
    assert_eq!(test.channels.get(), 1);
    let sent = test.sent();
    assert_eq!(sent.len(), 1, "the second one is blocked");
    assert_eq!(sent[0].headers["referer"], "https://a.test/");
    assert_eq!(sent[0].headers["origin"], "https://a.test");
}

#[test]
fn a_document_at_about_has_no_origin_but_its_creators() {
    let at = "https://a.test/";
    let mut test = Test::new(at);
    test.head(at, &[]);
    let creator = test.begin(1, at, at, "");
    for origin in ["https://bank.test", "null"] {
        let document = test.begin_from(PolicySource::Creator(creator), 2, at, "about:srcdoc");
        assert_eq!(test.hello(document, origin, ""), Answer::Yes);
        assert_eq!(test.settings(document, "about:srcdoc", at, ""), Answer::Own);
        assert_eq!(test.send(document, 1), Answer::Own);
    }
    assert!(test.sent().is_empty());
}

#[test]
fn a_document_at_about_waits_for_the_policies_of_its_creator() {
    let at = "https://a.test/";
    let mut test = Test::new(at);
    let creator = test.begin(1, at, at, "");
    let document = test.begin_at_about(creator, 2, at, "about:blank");
    assert_eq!(test.send(document, 1), Answer::Own);
    test.head(at, &[]);
    assert_eq!(test.send(document, 1), Answer::Yes);
    assert!(!test.page.is_new(2));
    assert!(test.page.is_new(3));
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_document_that_was_left_sends_its_deferred_fetches() {
    let mut test = Test::new("https://a.test/");
    test.head("https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    assert_eq!(test.defer(document, 1, 60_000), Answer::Yes);
    let refused = test.defer(document, 2, 60_000);
    assert!(matches!(&refused, Answer::Exception(it) if it.starts_with("QuotaExceededError:")));
    assert_eq!(test.defer(document, 3, 1), Answer::Yes);
    let activated = |test: &mut Test, id| {
        test.page.receive(document, &format!(r#"{{"op":"activated","id":{id}}}"#))
    };
    assert_eq!(test.page.receive(document, r#"{"op":"abort","id":3}"#), Answer::Yes);
    assert_eq!(activated(&mut test, 1), Answer::No);
    test.page.receive(document, r#"{"op":"pagehide","persisted":false}"#);
    assert_eq!(test.send(document, 1), Answer::Yes);
    test.begin(1, "https://a.test/", "https://a.test/next", "");
    assert_eq!(activated(&mut test, 1), Answer::Yes);
    let mut paths: Vec<_> = test.sent().iter().map(|it| it.url.path().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["/b", "/d1"]);
}

#[test]
fn a_page_with_too_many_documents_keeps_those_that_are_there() {
    let mut test = Test::new("https://a.test/");
    test.head("https://a.test/", &[]);
    let mut begin = |frame| test.begin(frame, "https://a.test/", "https://a.test/", "");
    let documents: Vec<_> = (1..=64).map(&mut begin).collect();
    let top = url("https://a.test/");
    assert_eq!(test.page.begin(65, &top, &top, PolicySource::Response), None);
    test.page.receive(documents[9], r#"{"op":"pagehide","persisted":false}"#);
    assert!(test.page.begin(65, &top, &top, PolicySource::Response).is_some());
    assert_eq!(test.send(documents[9], 1), Answer::Own);
    assert_eq!(test.send(documents[0], 1), Answer::Yes);
    test.page.end(documents[0]);
    assert_eq!(test.send(documents[0], 1), Answer::Own);
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_document_gets_a_channel_when_the_app_has_told_the_token_of_its_page() {
    let mut test = Test::new("https://a.test/");
    test.head_of(&HeadOf::Frame, "https://a.test/", &[]);
    let document = test.begin(1, "https://a.test/", "https://a.test/", "");
    test.head_of(&HeadOf::Frame, "https://a.test/", &[]);
    test.head_of(&HeadOf::Page(None), "https://a.test/", &[]);
    assert_eq!(test.send(document, 1), Answer::Own);
    assert_eq!(test.channels.get(), 0);
    test.head_of(&HeadOf::Page(test.token.clone()), "https://a.test/", &[]);
    assert_eq!(test.send(document, 1), Answer::Yes);
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_process_with_the_token_of_the_page_before_sends_nothing() {
    let mut test = Test::new("https://evil.test/");
    let token = test.token.clone();
    test.token = test.bridge.shows(test.webview, Some(&url("https://bank.test/")));
    let document = test.begin(1, "https://bank.test/", "https://bank.test/", "");
    test.head_of(&HeadOf::Page(token), "https://bank.test/", &[]);
    test.send(document, 1);
    assert!(test.sent().is_empty());
}

#[test]
fn a_page_has_its_own_head_and_not_that_of_the_same_page_before() {
    let mut test = Test::new("https://a.test/");
    test.head("https://a.test/", &[]);
    let first = test.begin(1, "https://a.test/", "https://a.test/", "");
    assert_eq!(test.send(first, 1), Answer::Yes);
    // Nothing was told of the next one.
    let next = test.begin(1, "https://a.test/", "https://a.test/", "");
    assert_eq!(test.send(next, 1), Answer::Own);
    // It was told of this one, before frames of the page that is left.
    let token = test.bridge.comes(test.webview, &url("https://a.test/2")).unwrap();
    test.head_of(&HeadOf::ComingPage(token), "https://a.test/2", &[]);
    test.head_of(&HeadOf::Frame, "https://a.test/frame", &[]);
    let next = test.begin(1, "https://a.test/", "https://a.test/2", "");
    assert_eq!(test.send(next, 1), Answer::Yes);
    let frame = test.begin(2, "https://a.test/", "https://a.test/frame", "\"https://a.test\"");
    assert_eq!(test.send(frame, 1), Answer::Own);
    assert_eq!(test.sent().len(), 2);
}
