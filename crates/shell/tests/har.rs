//! The HAR archive that `sendbeacon-shell open --har FILE` writes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use sendbeacon_testkit::server::{Behavior, RecordingServer};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

/// Opens `url` with `--har` and waits until the shell has ended.
async fn open(url: String, har: PathBuf) -> Output {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"));
    shell.args(["open", "--drain", "20", "--har"]).arg(har).arg(url).stdin(Stdio::null());
    spawn_blocking(move || shell.output().unwrap()).await.unwrap()
}

/// The value of a header of a request or response in the archive.
fn header<'a>(message: &'a Value, name: &str) -> &'a Value {
    let headers = message["headers"].as_array().unwrap();
    headers.iter().find(|header| header["name"] == name).map_or(&Value::Null, |it| &it["value"])
}

/// A collector of another origin than the page's. It allows the page's requests, and closes the connection of `/close`.
async fn collector() -> RecordingServer {
    RecordingServer::start(|request| {
        if request.target == "/close" {
            return Behavior::Close;
        }
        let origin = ("Access-Control-Allow-Origin", request.header("origin").unwrap());
        let credentials = ("Access-Control-Allow-Credentials", "true");
        let headers = ("Access-Control-Allow-Headers", "content-type");
        Behavior::with_headers(204, &[origin, credentials, headers])
    })
    .await
}

/// A site with a page that sends four beacons: one is delivered, one is redirected, one to `collector` has a preflight,
/// and one to `collector` is lost.
async fn site(collector: &str) -> RecordingServer {
    let html = format!(
        "<script>
        navigator.sendBeacon('plain', 'h\u{f6}llo');
        navigator.sendBeacon('moved#fragment', new Uint8Array([255, 0]));
        navigator.sendBeacon('{collector}/json', new Blob(['{{}}'], {{ type: 'application/json' }}));
        navigator.sendBeacon('{collector}/close');
        </script>"
    );
    RecordingServer::start(move |request| match &*request.target {
        "/page" => {
            let headers = [("Content-Type", "text/html;charset=utf-8"), ("Set-Cookie", "c=1")];
            Behavior::with_body(200, &headers, html.as_bytes())
        }
        "/moved" => Behavior::with_headers(307, &[("Location", "/landed?a=b%20c&d")]),
        _ => Behavior::with_body(200, &[("Content-Type", "text/x")], b"four"),
    })
    .await
}

/// Visits the page and returns the entries of the archive, by method and path.
async fn entries(name: &str) -> BTreeMap<String, Value> {
    let collector = collector().await;
    let site = site(&collector.url("")).await;
    let har = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = open(site.url("/page"), har.clone()).await;
    assert!(output.status.success(), "{output:?}");
    let in_part = format!("lost (in part): {}", collector.url("/close"));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&in_part), "{output:?}");
    let har: Value = serde_json::from_slice(&fs::read(har).unwrap()).unwrap();
    assert_eq!(har["log"]["version"], "1.2");
    assert_eq!(har["log"]["creator"]["name"], "sendbeacon-shell");
    let entry = |entry: &Value| {
        let request = &entry["request"];
        let (method, url) = (request["method"].as_str().unwrap(), request["url"].as_str().unwrap());
        let path = [site.url(""), collector.url("")].iter().find_map(|it| url.strip_prefix(it));
        (format!("{method} {}", path.unwrap()), entry.clone())
    };
    let list = har["log"]["entries"].as_array().unwrap();
    let entries: BTreeMap<_, _> = list.iter().map(entry).collect();
    assert_eq!(entries.len(), list.len());
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_on_the_wire_has_an_entry() {
    let entries = entries("every_request.har").await;
    let lines: Vec<_> = entries
        .iter()
        .map(|(key, entry)| format!("{key} {}", entry["response"]["status"]))
        .collect();
    assert_eq!(
        lines,
        [
            "OPTIONS /json 204",
            "POST /close 0",
            "POST /json 204",
            "POST /landed?a=b%20c&d 200",
            "POST /moved 307",
            "POST /plain 200"
        ]
    );
    for (key, entry) in &entries {
        assert_eq!(entry["_initiatorType"], "beacon");
        assert_eq!(entry["_isPreflight"], key.starts_with("OPTIONS"));
        let error = entry["response"]["_error"].as_str();
        assert_eq!(error.is_some_and(|error| !error.is_empty()), key == "POST /close", "{entry}");
        let progress = if key == "POST /close" { json!("in part") } else { Value::Null };
        assert_eq!(entry["_progress"], progress, "{entry}");
        let started = entry["startedDateTime"].as_str().unwrap();
        assert!(started.starts_with("20") && started.ends_with('Z'), "{started}");
        let time = |name: &str| entry["timings"][name].as_f64().unwrap();
        let sum = time("send") + time("wait") + time("receive");
        assert!((entry["time"].as_f64().unwrap() - sum).abs() < 1e-6 && sum > 0.0, "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_has_the_request_and_the_head_of_the_response() {
    let entries = entries("an_entry.har").await;
    let (request, response) =
        (&entries["POST /plain"]["request"], &entries["POST /plain"]["response"]);
    let post_data =
        json!({ "mimeType": "text/plain;charset=UTF-8", "params": [], "text": "h\u{f6}llo" });
    assert_eq!(request["postData"], post_data);
    assert_eq!(request["bodySize"], 6);
    assert_eq!(request["httpVersion"], "HTTP/1.1");
    assert_eq!(header(request, "cookie"), "c=1");
    assert_eq!(response["httpVersion"], "HTTP/1.1");
    assert_eq!(response["statusText"], "OK");
    assert_eq!(response["content"], json!({ "size": 4, "mimeType": "text/x" }));
    assert_eq!(header(response, "content-type"), "text/x");

    let (moved, landed) = (&entries["POST /moved"], &entries["POST /landed?a=b%20c&d"]);
    assert_eq!(moved["response"]["redirectURL"], "/landed?a=b%20c&d");
    for hop in [moved, landed] {
        assert_eq!(hop["request"]["postData"]["text"], "/wA=");
        assert_eq!(hop["request"]["postData"]["_encoding"], "base64");
    }
    let query = json!([{ "name": "a", "value": "b c" }, { "name": "d", "value": "" }]);
    assert_eq!(landed["request"]["queryString"], query);

    let preflight = &entries["OPTIONS /json"]["request"];
    assert_eq!(preflight["bodySize"], 0);
    assert_eq!(preflight["postData"], Value::Null);
    assert_eq!(header(preflight, "access-control-request-method"), "POST");
    assert_eq!(entries["POST /json"]["request"]["postData"]["text"], "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_which_the_archive_has_no_room_is_counted() {
    let html = "<script>
        const large = new Uint8Array(12 << 20);
        (async () => {
            for (const path of ['1', '2', '3']) await fetch(path, { method: 'POST', body: large });
            await fetch('small');
        })();
        </script>";
    let site = RecordingServer::start(|request| match &*request.target {
        "/page" => Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes()),
        _ => Behavior::status(204),
    })
    .await;
    let har = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no_room.har");
    let output = open(site.url("/page"), har.clone()).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("requests that are not in the HAR file, as it is full: 1"), "{text}");
    let har: Value = serde_json::from_slice(&fs::read(har).unwrap()).unwrap();
    assert_eq!(har["log"]["comment"], "requests without an entry: 1");
    let of = |entry: &Value| (entry["request"]["url"].clone(), entry["response"]["status"].clone());
    let entries: Vec<_> = har["log"]["entries"].as_array().unwrap().iter().map(of).collect();
    let kept = ["/1", "/2", "/small"].map(|path| (json!(site.url(path)), json!(204)));
    assert_eq!(entries, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_file_is_an_error_before_the_page_is_opened() {
    let site = RecordingServer::start(|_| Behavior::status(204)).await;
    let har = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no such folder/x.har");
    let output = open(site.url("/page"), har).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("x.har"), "{output:?}");
    assert!(site.requests().is_empty());
}
