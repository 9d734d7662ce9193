//! The page that `sendbeacon-shell open --timeline FILE` writes, and what Chromium draws of it.

mod chromium;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use chromium::Page;
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use serde_json::Value;
use tokio::{sync::Notify, task::spawn_blocking};

/// Starts the shell with `open --timeline`.
fn start(arguments: &[&str], url: &str, name: &str) -> (Child, Page) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let shell = Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"))
        .args(["open", "--drain", "20", "--timeline"])
        .arg(&file)
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (shell, Page(file))
}

/// Opens `url` with `--timeline`, and waits until the shell has ended.
async fn visit(arguments: &[&str], url: &str, name: &str) -> (Output, Page) {
    let (shell, page) = start(arguments, url, name);
    (spawn_blocking(move || shell.wait_with_output().unwrap()).await.unwrap(), page)
}

/// The data in a page.
fn data(page: &Page) -> Value {
    let html = fs::read_to_string(&page.0).unwrap();
    let (_, rest) = html.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// The states of a line, in order.
fn states(line: &Value) -> Vec<&str> {
    line["spans"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect()
}

/// The first fetch of the data whose URL ends with `end`.
fn fetch<'a>(data: &'a Value, end: &str) -> &'a Value {
    let fetches = data["fetches"].as_array().unwrap();
    fetches.iter().find(|it| it["url"].as_str().unwrap().ends_with(end)).unwrap()
}

/// The number that the page gives to the first fetch whose URL has this in it.
fn number(data: &Value, url: &str) -> usize {
    let fetches = data["fetches"].as_array().unwrap();
    1 + fetches.iter().position(|it| it["url"].as_str().unwrap().contains(url)).unwrap()
}

/// A collector of another origin. It allows every request, and closes the connection of `/close`.
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

/// A site with one page, which redirects `/moved` and answers everything else.
async fn site(html: &str) -> RecordingServer {
    let page = Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes());
    RecordingServer::start(move |request| match &*request.target {
        "/page" => page.clone(),
        "/moved" => Behavior::with_headers(307, &[("Location", "/landed")]),
        "/frame" => Behavior::with_body(200, &[("Content-Type", "text/html")], b""),
        _ => Behavior::with_body(200, &[("X-Answer", "<b>yes</b>")], b"four"),
    })
    .await
}

/// Visits a page whose fetches end in different ways.
async fn different_ends(name: &str) -> Page {
    let collector = collector().await;
    let html = format!(
        "<a ping=/ping href=/frame target=f>a</a><iframe name=f></iframe><script>
        navigator.sendBeacon('/plain?</script><img src=x>', '<img src=x onerror=alert(1)>');
        navigator.sendBeacon('/moved', new Uint8Array([255, 0]));
        navigator.sendBeacon('{0}/json', new Blob(['{{}}'], {{ type: 'application/json' }}));
        navigator.sendBeacon('{0}/close');
        navigator.sendBeacon('/large', 'x'.repeat(70000));
        fetch('/got').then(() => document.querySelector('a').click());
        fetchLater('/later', {{ method: 'POST', body: 'later' }});
        const controller = new AbortController();
        fetchLater('/never', {{ method: 'POST', signal: controller.signal }});
        controller.abort();
        </script>",
        collector.url("")
    )
    .replacen("</script><img", "<\\/script><img", 1);
    let site = site(&html).await;
    let (shell, page) = start(&[], &site.url("/page"), name);
    // The page, its frame, and five requests. `/later` follows when the page is closed.
    site.wait_for(7).await;
    let kill = Command::new("kill").args(["-TERM", &shell.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = spawn_blocking(move || shell.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fetch_has_its_states_and_its_end() {
    let page = different_ends("each_fetch.html").await;
    let data = data(&page);
    let end = |url: &str| {
        let fetch = fetch(&data, url);
        let words = ["kind", "end"].map(|key| fetch[key].as_str().unwrap().to_owned());
        words.join(" ")
    };
    assert_eq!(end("/moved"), "beacon delivered");
    assert_eq!(end("/json"), "beacon delivered");
    assert_eq!(end("/close"), "beacon failed");
    assert_eq!(end("/large"), "beacon refused");
    assert_eq!(end("/got"), "fetch delivered");
    assert_eq!(end("/ping"), "ping delivered");
    assert_eq!(end("/later"), "deferred delivered");
    assert_eq!(end("/never"), "deferred aborted");

    let has = |url: &str, state: &str| states(fetch(&data, url)).contains(&state);
    assert!(has("/moved", "sent") && has("/moved", "redirected"), "{data}");
    assert!(has("/json", "preflight") && has("/json", "sent"), "{data}");
    assert_eq!(states(fetch(&data, "/later"))[0], "deferred");
    assert_eq!(states(fetch(&data, "/never")), ["deferred"]);
    assert!(states(fetch(&data, "/large")).is_empty());

    let hops = fetch(&data, "/moved")["hops"].as_array().unwrap();
    assert_eq!(hops[0]["response"]["status"], 307);
    assert!(hops[1]["url"].as_str().unwrap().ends_with("/landed"));
    assert_eq!(fetch(&data, "/moved")["body"]["base64"], "/wA=");
    assert!(fetch(&data, "/close")["why"].as_str().unwrap().contains("in part"), "{data}");
    assert!(data["drain"].as_f64().unwrap() < data["end"].as_f64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_has_its_states_and_its_quota() {
    let html = b"<script>
        navigator.sendBeacon('/one', 'x'.repeat(1000));
        navigator.sendBeacon('/two', 'x'.repeat(2000));
        </script>";
    // The first beacon is answered when the second one has arrived.
    let arrived = Arc::new(Notify::new());
    let site = RecordingServer::start(move |request| match &*request.target {
        "/page" => Behavior::with_body(200, &[("Content-Type", "text/html")], html),
        "/one" => Behavior::RespondWhen(Arc::clone(&arrived), Behavior::response(204, &[], b"")),
        _ => {
            arrived.notify_one();
            Behavior::status(204)
        }
    })
    .await;
    let (_, page) = visit(&[], &site.url("/page"), "a_document.html").await;
    let data = data(&page);
    let [document] = &data["documents"].as_array().unwrap()[..] else { panic!("{data}") };
    assert_eq!(document["url"], site.url("/page"));
    assert_eq!(document["ended"][1], "unloaded");
    assert_eq!(states(document)[..2], ["loading", "visible"]);
    let quota: Vec<_> =
        document["quota"].as_array().unwrap().iter().map(|it| it[1].as_u64().unwrap()).collect();
    assert_eq!(quota.iter().max(), Some(&3000), "{quota:?}");
    assert_eq!(quota.last(), Some(&0), "{quota:?}");
    assert_eq!(data["quotaLimit"], 65_536);
}

#[cfg(target_os = "linux")] // The test finds the process in /proc.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_whose_process_is_killed_has_gone_with_it() {
    let html = "<script>
        navigator.sendBeacon('/ready', 'x');
        navigator.sendBeacon('/large', 'x'.repeat(70000));
        setInterval(() => 0, 1000);
        </script>";
    let site = site(html).await;
    let (shell, page) = start(&["--split"], &site.url("/page"), "killed.html");
    site.wait_for(2).await;
    let children = format!("/proc/{0}/task/{0}/children", shell.id());
    let child = fs::read_to_string(children).unwrap();
    assert!(Command::new("kill").args(["-KILL", child.trim()]).status().unwrap().success());
    let output = spawn_blocking(move || shell.wait_with_output().unwrap()).await.unwrap();
    assert!(!output.status.success(), "{output:?}");
    let data = data(&page);
    assert_eq!(data["documents"][0]["ended"][1], "process gone", "{data}");
    assert_eq!(fetch(&data, "/ready")["end"], "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_file_is_an_error_before_the_page_is_opened() {
    let site = site("").await;
    let (output, _) = visit(&[], &site.url("/page"), "no such folder/x.html").await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("x.html"), "{output:?}");
    assert!(site.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_draws_documents_and_fetches() {
    if !chromium::is_there() {
        return;
    }
    let page = different_ends("drawn.html").await;
    spawn_blocking(move || {
        let data = data(&page);
        let lines = ["documents", "fetches"].map(|key| data[key].as_array().unwrap().len());
        let dom = page.dom("");
        assert_eq!(dom.matches("class=\"row\"").count(), lines.iter().sum::<usize>(), "{dom}");
        for (mark, count) in [("failed", 1), ("refused", 1), ("aborted", 1), ("redirected", 1)] {
            // Beside the one in the legend.
            let drawn = dom.matches(&format!("class=\"mark {mark}\"")).count();
            assert_eq!(drawn, count + 1, "{mark}: {dom}");
        }
        for text in ["document 1", "keepalive quota", "shutdown at", "sendBeacon() is false"] {
            assert!(dom.contains(text), "{text}: {dom}");
        }
        // What a page or a server has sent is text.
        let details = page.dom(&format!("select={}", number(&data, "/plain")));
        for dom in [&dom, &details, &page.dom("view=table")] {
            assert!(!dom.contains("<img") && !dom.contains("<b>yes"), "{dom}");
        }
        assert!(details.contains("&lt;img src=x onerror=alert(1)&gt;</pre>"), "{details}");
        assert!(details.contains("x-answer: &lt;b&gt;yes&lt;/b&gt;"), "{details}");
        let bytes = page.dom(&format!("q=%2Fmoved&select={}", number(&data, "/moved")));
        assert!(bytes.contains("0000  ff 00 "), "{bytes}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_shows_a_table_and_follows_the_keyboard() {
    if !chromium::is_there() {
        return;
    }
    let page = different_ends("keyboard.html").await;
    spawn_blocking(move || {
        let data = data(&page);
        let fetches = data["fetches"].as_array().unwrap().len();
        let table = page.dom("view=table&kind=beacon");
        let (_, table) = table.split_once("<caption>Fetches</caption>").unwrap();
        assert_eq!(table.matches("<td>beacon</td>").count(), 5, "{table}");
        assert_eq!(table.matches("<tr>").count(), 1 + 5, "{table}");
        assert!(page.dom("kind=ping").contains(&format!(">1 of {fetches} fetches<")));

        let press = "for (const key of ['ArrowDown', 'ArrowDown', '+'])
            document.getElementById('rows').dispatchEvent(new KeyboardEvent('keydown', { key }));";
        let pressed = page.dom_after(press);
        assert!(pressed.contains("aria-activedescendant=\"row-1\""), "{pressed}");
        assert_eq!(pressed.matches("aria-selected=\"true\"").count(), 1);
        let first = format!("<h2>{} 1: ", data["fetches"][0]["kind"].as_str().unwrap());
        assert!(pressed.contains(&first), "{first}: {pressed}");
        // Zoomed: the overview shows which part of the time is drawn.
        assert!(pressed.contains("class=\"frame\""), "{pressed}");
        let click = "document.getElementById('row-0').dispatchEvent(new MouseEvent('click'));";
        let clicked = page.dom_after(click);
        assert!(clicked.contains("<h2>Document 1</h2>"), "{clicked}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_draws_thousands_of_fetches() {
    if !chromium::is_there() {
        return;
    }
    let collector = collector().await;
    let html = format!(
        "<script>
        // The shell limits the time of a task, so each task makes a hundred calls.
        function repeat(count, call) {{
            for (let i = 0; i < count; i += 100)
                setTimeout(() => {{ for (let j = i; j < i + 100; j++) call(j); }});
        }}
        repeat(600, i => navigator.sendBeacon('/beacon' + i, 'x'.repeat(i % 100)));
        repeat(2000, i => fetch('/fetch' + i, {{ method: 'PUT', body: 'x' }}));
        repeat(200, () => navigator.sendBeacon('/moved'));
        repeat(100, () => fetch('{0}/close').catch(() => 0));
        repeat(100, i => fetch('{0}/json' + i, {{ headers: {{ 'content-type': 'a/b' }} }}));
        </script>",
        collector.url("")
    );
    let site = site(&html).await;
    let (output, page) = visit(&[], &site.url("/page"), "thousands.html").await;
    assert!(output.status.success(), "{output:?}");
    spawn_blocking(move || {
        assert_eq!(data(&page)["fetches"].as_array().unwrap().len(), 3000);
        let dom = page.dom("");
        assert!(dom.contains(">3,000 of 3,000 fetches<"), "{dom}");
        let rows = dom.matches("class=\"row\"").count();
        assert!((10..100).contains(&rows), "only what can be seen is drawn: {rows}");
        let (_, overview) = dom.split_once("id=\"overview\"").unwrap();
        let overview = overview.split_once("</svg>").unwrap().0;
        let failed = overview.split("<path").find(|it| it.contains("class=\"s-bad\"")).unwrap();
        assert_eq!(failed.matches('M').count(), 100, "all fetches are in the overview");
        assert!(page.dom("q=%2Fbeacon59").contains(">11 of 3,000 fetches<"));
        let end = page.dom_after(
            "document.getElementById('rows').dispatchEvent(new KeyboardEvent('keydown', { key: 'End' }));",
        );
        assert!(end.contains("aria-activedescendant=\"row-3000\""), "{end}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_saved_picture_stands_alone() {
    if !chromium::is_there() {
        return;
    }
    let page = different_ends("still.html").await;
    spawn_blocking(move || {
        let dom = page.dom("still");
        let (picture, _) = dom.trim().split_once("</svg>").unwrap();
        assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{picture}");
        assert!(picture.contains("prefers-color-scheme: dark"));
        assert!(picture.contains("id=\"hatch-waiting\""));
        assert!(!picture.contains("<script") && !picture.contains("href"), "{picture}");
        assert!(picture.contains(">/moved</text>"), "{picture}");
    })
    .await
    .unwrap();
}
