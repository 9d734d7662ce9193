//! Tests of the bridge, with a network that answers from a script.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use sendbeacon::{
    NetworkError,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};
use sendbeacon_testkit::network::{ScriptedNetwork, respond};

use super::*;
use crate::ledger::Unfinished;

mod memory;

const LONG: Duration = Duration::from_secs(20);

struct Test {
    bridge: Bridge,
    network: Arc<ScriptedNetwork>,
    webview: WebviewId,
    secret: String,
    wakes: Arc<AtomicUsize>,
}

impl Test {
    /// A webview whose network answers 204.
    fn new() -> Self {
        let network = Arc::new(ScriptedNetwork::new(|_| respond(204, &[])));
        Self { network: Arc::clone(&network), ..Self::over(network) }
    }

    fn over(network: Arc<dyn Network>) -> Self {
        let wakes = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&wakes);
        let builder = UserAgentBuilder::new(network);
        let wake = move || {
            count.fetch_add(1, SeqCst);
        };
        let bridge = Bridge::new(builder, None, None, wake).unwrap();
        let (webview, script) = bridge.open("post", None);
        let secret = secret(&script);
        let network = Arc::new(ScriptedNetwork::new(|_| unreachable!()));
        Self { bridge, network, webview, secret, wakes }
    }

    /// A message of the document with this number.
    fn tell(&self, document: u64, json: &str) -> Result<(), MessageError> {
        let text = format!("{}1{document:016x}{json}", self.secret);
        self.bridge.receive(self.webview, &text)
    }

    fn open(&self, document: u64) {
        self.tell(
            document,
            r#"{"op":"hello","origin":"https://a.test","isSecure":true,"referrer":"","languages":"","ancestors":[]}"#,
        )
        .unwrap();
        self.tell(
            document,
            r#"{"op":"settings","url":"https://a.test/p","base":"https://a.test/d/","referrerPolicies":[],"policies":[]}"#,
        )
        .unwrap();
    }

    fn send(&self, document: u64, body: &str, bytes: usize) -> Result<(), MessageError> {
        self.tell(
            document,
            &format!(
                r#"{{"op":"beacon","sending":{{"url":"https://a.test/b","bytes":{bytes},"urlBytes":16,"body":{body}}}}}"#
            ),
        )
    }

    /// Sends a beacon whose URL has this many bytes, as the script says.
    fn send_url(&self, document: u64, url_bytes: u64) -> Result<(), MessageError> {
        self.tell(
            document,
            &format!(
                r#"{{"op":"beacon","sending":{{"url":"https://a.test/b","bytes":0,"urlBytes":{url_bytes},"body":null}}}}"#
            ),
        )
    }

    /// What the only page with news is told.
    fn told(&self) -> String {
        let mut tellings = self.bridge.tellings();
        assert_eq!(tellings.len(), 1, "{tellings:?}");
        tellings.remove(0).script
    }

    /// Goes on with another webview. Returns the one before.
    fn another_webview(&mut self) -> WebviewId {
        let (webview, script) = self.bridge.open("post", None);
        self.secret = secret(&script);
        std::mem::replace(&mut self.webview, webview)
    }

    /// The requests that were sent until the user agent has shut down.
    fn sent(&self) -> Vec<NetworkRequest> {
        assert!(self.bridge.agent().shutdown_blocking(LONG).completed);
        self.network.sent()
    }
}

fn secret(script: &str) -> String {
    script.split_once("const secret = \"").unwrap().1[..32].to_owned()
}

/// A network that never answers.
struct Silence;

impl Network for Silence {
    fn http_network_fetch(
        &self,
        _: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn webviews_of_two_bridges_have_different_identifiers() {
    // What is kept for a webview, such as its cookies, is found by its identifier.
    let (first, second) = (Test::new(), Test::new());
    assert_ne!(first.webview, second.webview);
    assert_ne!(first.bridge.open("post", None).0, second.bridge.open("post", None).0);
}

#[test]
fn a_beacon_of_each_kind_is_sent() {
    let test = Test::new();
    test.open(1);
    let form = r#"{"kind":"form","entries":[{"name":"n","value":"v"},{"name":"f","base64":"Zg==","type":"","filename":"x"}]}"#;
    for (body, bytes) in [
        ("null", 0),
        (r#"{"kind":"text","text":"hé"}"#, 3),
        (r#"{"kind":"bytes","base64":"AAE="}"#, 2),
        (r#"{"kind":"blob","base64":"Yg==","type":"text/plain"}"#, 1),
        (r#"{"kind":"parameters","text":"a=%C3%A4+b&c=%26"}"#, 16),
        (form, 400),
    ] {
        test.send(1, body, bytes).unwrap();
    }
    let mut sent = test.sent();
    sent.sort_by_key(|request| request.body.len());
    let bodies: Vec<_> = sent.iter().map(|it| String::from_utf8_lossy(&it.body)).collect();
    assert_eq!(bodies[..5], ["", "b", "\0\x01", "hé", "a=%C3%A4+b&c=%26"]);
    assert!(bodies[5].contains("name=\"n\"\r\n\r\nv") && bodies[5].contains("filename=\"x\""));
    assert_eq!(sent[1].headers["content-type"], "text/plain");
    assert_eq!(sent[4].headers["content-type"], "application/x-www-form-urlencoded;charset=UTF-8");
    assert!(sent.iter().all(|it| it.headers["referer"] == "https://a.test/p"));
}

#[test]
fn a_keepalive_fetch_is_sent() {
    let test = Test::new();
    test.open(1);
    let fetch = r#"{"op":"fetch","sending":{"url":"https://a.test/f","bytes":1,"urlBytes":16,"body":{"kind":"text","text":"x"}},"request":{"method":"POST","mode":"cors","credentials":"omit","headers":[["x-a","1"]]}}"#;
    test.tell(1, fetch).unwrap();
    let error = test.tell(1, &fetch.replace("x-a", "x a")).unwrap_err();
    assert!(matches!(error, MessageError::Field("header")));
    let sent = test.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].method.as_str(), &sent[0].headers["x-a"]), ("POST", &"1".parse().unwrap()));
    assert_eq!(sent[0].headers["content-type"], "text/plain;charset=UTF-8");
}

#[test]
fn a_request_has_a_thousand_headers_at_most() {
    let test = Test::new();
    test.open(1);
    let fetch = |headers: usize| {
        let headers: Vec<_> = (0..headers).map(|it| format!(r#"["{it:x}","1"]"#)).collect();
        let headers = headers.join(",");
        test.tell(1, &format!(r#"{{"op":"fetch","sending":{{"url":"https://a.test/f","bytes":0,"urlBytes":16,"body":null}},"request":{{"method":"POST","mode":"no-cors","credentials":"omit","headers":[{headers}]}}}}"#))
    };
    fetch(1_000).unwrap();
    // A map of headers panics beyond 24,576 names.
    for headers in [1_001, 24_577, 40_000] {
        assert!(matches!(fetch(headers), Err(MessageError::Field("header"))));
    }
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn a_page_is_told_what_is_done_once() {
    let test = Test::new();
    test.open(1);
    assert_eq!(test.bridge.tellings(), []);
    test.send(1, r#"{"kind":"text","text":"xyz"}"#, 3).unwrap();
    assert_eq!(test.sent().len(), 1);
    let [Telling { webview, script }] = &test.bridge.tellings()[..] else { panic!("one page") };
    assert_eq!(*webview, test.webview);
    assert!(script.ends_with(",\"0000000000000001\",3,1,16,false,[],0)"), "{script}");
    assert!(!script.contains(&test.secret));
    assert_eq!(test.bridge.tellings(), []);
    assert_eq!(test.wakes.load(SeqCst), 1);
}

#[test]
fn a_beacon_of_a_page_that_was_left_is_sent() {
    let test = Test::new();
    test.open(1);
    test.tell(1, r#"{"op":"visibility","state":"hidden"}"#).unwrap();
    test.tell(1, r#"{"op":"pagehide","persisted":false}"#).unwrap();
    test.send(1, "null", 0).unwrap();
    // The next page has come, and the process of the first one is slow.
    test.bridge.committed(test.webview, &"https://b.test/".parse().unwrap(), None);
    test.send(1, "null", 0).unwrap();
    test.open(2);
    test.send(1, "null", 0).unwrap();
    assert_eq!(test.sent().len(), 3);
}

#[test]
fn a_page_in_the_back_forward_cache_comes_back() {
    let test = Test::new();
    test.open(1);
    test.send(1, "null", 0).unwrap();
    test.tell(1, r#"{"op":"pagehide","persisted":true}"#).unwrap();
    test.open(2);
    test.tell(1, r#"{"op":"pageshow","persisted":true}"#).unwrap();
    assert_eq!(test.sent().len(), 1);
    // It missed what was told while it was away.
    assert!(test.bridge.tellings()[0].script.contains("\"0000000000000001\",0,1,16"));
}

#[test]
fn only_the_last_documents_are_kept() {
    let test = Test::new();
    (1..=9).for_each(|document| test.open(document));
    assert!(matches!(test.send(1, "null", 0), Err(MessageError::NoDocument)));
    test.send(2, "null", 0).unwrap();
    test.bridge.process_gone(test.webview);
    assert!(matches!(test.send(9, "null", 0), Err(MessageError::NoDocument)));
    test.open(10);
    test.bridge.gone(test.webview);
    assert!(matches!(test.send(10, "null", 0), Err(MessageError::NoDocument)));
    assert_eq!(test.sent().len(), 1);
}

#[test]
fn quitting_waits_for_documents_that_have_sent_nothing() {
    let test = Test::new();
    test.open(1);
    let quit = test.bridge.agent().quit(LONG);
    test.send(1, "null", 0).unwrap();
    test.bridge.gone(test.webview);
    let begun = Instant::now();
    let report = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(quit);
    assert!(report.completed && begun.elapsed() < LONG / 2);
    assert_eq!(report.lost.len() + test.network.sent().len(), 1);
}

#[test]
fn a_document_whose_origin_does_not_fit_sends_nothing() {
    let test = Test::new();
    test.open(1);
    let settings = r#"{"op":"settings","url":"https://bank.test/","base":"https://bank.test/","referrerPolicies":[],"policies":[]}"#;
    assert!(matches!(test.tell(1, settings), Err(MessageError::Field("origin"))));
    assert!(matches!(test.send(1, "null", 0), Err(MessageError::NoDocument)));
    assert!(test.sent().is_empty());
}

#[test]
fn a_million_messages_of_strangers_leave_nothing_behind() {
    let test = Test::new();
    test.open(1);
    let (other, _) = test.bridge.open("post", None);
    let texts = [
        String::new(),
        "x".repeat(100),
        format!("{}1{:016x}{{", test.secret, 1),
        format!("{}1{:016x}{{\"op\":\"pagehide\",\"persisted\":true}}", test.secret, 2),
        format!("{}1{:016x}{{\"op\":\"pagehide\",\"persisted\":true}}", "0".repeat(32), 1),
    ];
    for _ in 0..200_000 {
        for text in &texts {
            assert!(test.bridge.receive(test.webview, text).is_err());
        }
    }
    // Another webview's secret is none of this one's.
    assert!(test.bridge.receive(other, &texts[3]).is_err());
    let state = test.bridge.lock();
    assert_eq!(state.webviews[&test.webview].documents.len(), 1);
    assert_eq!(state.webviews[&other].documents.len(), 0);
    assert_eq!(state.unfinished, Unfinished::default());
    drop(state);
    assert_eq!(test.bridge.tellings(), []);
    test.send(1, "null", 0).unwrap();
    assert_eq!(test.sent().len(), 1);
}

fn defer(id: u64, body: &str, after: &str) -> String {
    format!(
        r#"{{"op":"defer","id":{id},"sending":{{"url":"https://a.test/d{id}","bytes":1,"urlBytes":17,"body":{body}}},"request":{{"method":"POST","mode":"cors","credentials":"include","headers":[]}},"activateAfter":{after}}}"#
    )
}

#[test]
fn a_deferred_fetch_is_sent_when_its_document_was_left() {
    let test = Test::new();
    test.open(1);
    test.tell(1, &defer(1, "null", "null")).unwrap();
    test.tell(1, &defer(2, r#"{"kind":"text","text":"x"}"#, "null")).unwrap();
    test.tell(1, &defer(3, "null", "null")).unwrap();
    assert!(matches!(test.tell(1, &defer(3, "null", "null")), Err(MessageError::Field("id"))));
    test.tell(1, r#"{"op":"abort","id":3}"#).unwrap();
    assert!(test.bridge.tellings()[0].script.ends_with(",0,0,0,false,[1, 2],3)"));
    test.tell(1, r#"{"op":"pagehide","persisted":false}"#).unwrap();
    test.bridge.committed(test.webview, &"https://b.test/".parse().unwrap(), None);
    let sent = test.sent();
    assert_eq!(sent.iter().map(|it| it.body.len()).sum::<usize>(), 1);
    assert_eq!(sent.len(), 2);
    assert_eq!(test.bridge.lock().unfinished, Unfinished::default());
}

#[test]
fn a_page_is_told_that_a_deferred_fetch_was_sent() {
    let test = Test::new();
    test.open(1);
    test.tell(1, &defer(1, "null", "0")).unwrap();
    test.tell(1, &defer(2, "null", "3600000")).unwrap();
    while test.network.sent().is_empty() {
        std::thread::yield_now();
    }
    assert!(test.bridge.tellings()[0].script.ends_with(",0,0,0,false,[2],2)"));
    let error = test.tell(1, &defer(3, "null", "-1")).unwrap_err();
    assert!(matches!(error, MessageError::Deferred(_)));
}
