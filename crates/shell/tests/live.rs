//! `sendbeacon-shell collect --live`: the page that shows requests as they come in.

mod chromium;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use sendbeacon_testkit::server::{Behavior, RecordingServer};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

/// A collector's process, which ends with the test even if the test fails.
struct Collector {
    process: Child,
    address: String,
    live: String,
}

impl Collector {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"))
            .args(["collect", "--listen", "127.0.0.1:0", "--live", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut address = |before: &str| {
            let line = said.next().unwrap().unwrap();
            line.strip_prefix(before).unwrap().trim_end_matches('/').to_owned()
        };
        let collector = address("collecting at http://");
        let live = address("watch at http://");
        Self { process, address: collector, live }
    }

    /// Sends a beacon with this body to the collector.
    fn beacon(&self, body: &str) {
        let length = body.len();
        let head = format!("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n");
        let answer = request(&self.address, &format!("{head}Connection: close\r\n\r\n{body}"));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    /// Gets a resource of the page's server.
    fn get(&self, target: &str) -> String {
        let host = &self.live;
        let request_ =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        request(&self.live, &request_)
    }

    /// What the page's server tells of the requests after the first `count` ones.
    fn after(&self, count: u32) -> Value {
        let answer = self.get(&format!("/requests?after={count}"));
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request and returns the response.
fn request(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn the_page_gets_each_request_when_it_comes() {
    let collector = Collector::start();
    collector.beacon("one");
    let first = collector.after(0);
    assert_eq!(first["count"], 1);
    assert_eq!(first["requests"][0]["body"], "one");
    assert_eq!(first["requests"][0]["target"], "/c");
    // This question waits for the answer that the next beacon gives it, or finds the beacon there.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| collector.after(1));
        collector.beacon("two");
        let second = waiting.join().unwrap();
        assert_eq!(second["count"], 2);
        assert_eq!(second["requests"].as_array().unwrap().len(), 1);
        assert_eq!(second["requests"][0]["body"], "two");
    });
}

#[test]
fn no_other_site_can_read_the_requests() {
    let collector = Collector::start();
    collector.beacon("secret");
    let answer = collector.get("/requests?after=0").to_lowercase();
    assert!(answer.contains("secret") && !answer.contains("access-control"), "{answer}");
    let page = collector.get("/").to_lowercase();
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    // The name of another site that points to this address.
    let rebound = request(
        &collector.live,
        "GET /requests?after=0 HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n",
    );
    assert!(rebound.starts_with("HTTP/1.1 403") && !rebound.contains("secret"), "{rebound}");
}

/// A request as the page gets it.
fn received(target: &str, type_: &str, body: &str) -> Value {
    json!({
        "at_ms": 1_700_000_000_000_u64, "method": "POST", "target": target, "length": body.len(), "body": body,
        "headers": [["content-type", type_], ["referer", "https://a.test/article"]],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_forms_as_tables_and_hostile_bodies_as_text() {
    if !chromium::is_there() {
        return;
    }
    let page = spawn_blocking(|| {
        let collector = Collector::start();
        collector.get("/").split_once("\r\n\r\n").unwrap().1.to_owned()
    })
    .await
    .unwrap();
    let form = "--b\r\nContent-Disposition: form-data; name=\"start\"\r\n\r\n17<b>\r\n--b--\r\n";
    let requests = json!({ "count": 4, "requests": [
        received("/session", "multipart/form-data; boundary=b", form),
        received("/click", "application/x-www-form-urlencoded", "button=buy&price=9.99"),
        received("/events", "application/json", "{\"visible\":\"hidden\",\"n\":1}"),
        received("/<img src=x>", "text/plain", "<img src=x onerror=alert(1)><script>alert(2)</script>"),
    ] });
    // The first question is answered, and every other one fails.
    let (requests, questions) = (requests.to_string(), AtomicUsize::new(0));
    let server = RecordingServer::start(move |request| {
        let is_first = || questions.fetch_add(1, Relaxed) == 0;
        match &*request.target {
            "/" => Behavior::with_body(200, &[("Content-Type", "text/html")], page.as_bytes()),
            "/requests?after=0" if is_first() => {
                let type_ = [("Content-Type", "application/json")];
                Behavior::with_body(200, &type_, requests.as_bytes())
            }
            _ => Behavior::status(500),
        }
    })
    .await;
    let url = server.url("/");
    // In virtual time the page asks once more before the DOM is written.
    let dom =
        spawn_blocking(move || chromium::dom_with(&["--virtual-time-budget=500"], &url)).await;
    let dom = dom.unwrap();
    assert_eq!(dom.matches("<article").count(), 4, "{dom}");
    for row in [
        "<th scope=\"row\">start</th><td>17&lt;b&gt;</td>",
        "<th scope=\"row\">price</th><td>9.99</td>",
        "<th scope=\"row\">visible</th><td>hidden</td>",
    ] {
        assert!(dom.contains(row), "{row}: {dom}");
    }
    assert!(!dom.contains("<img") && !dom.contains("<b>"), "{dom}");
    assert!(dom.contains("<pre>&lt;img src=x onerror=alert(1)&gt;&lt;script&gt;"), "{dom}");
    assert!(dom.contains("from https://a.test/article"), "{dom}");
    assert!(dom.contains("the collector does not answer (status 500)"), "{dom}");
    assert!(server.requests().iter().any(|request| request.target == "/requests?after=4"));
}
