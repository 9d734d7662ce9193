//! `open --split`: documents in processes of their own.

use std::process::{Child, Command, Output, Stdio};

use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::task::spawn_blocking;

/// Target, headers and text of a page.
type Page<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Serves each of these pages, and 204 to anything but GET.
async fn site(pages: &[Page<'_>]) -> RecordingServer {
    let html = ("Content-Type", "text/html");
    let pages: Vec<_> = pages
        .iter()
        .map(|(target, headers, body)| {
            let headers = [headers, &[html][..]].concat();
            ((*target).to_owned(), Behavior::with_body(200, &headers, body.as_bytes()))
        })
        .collect();
    RecordingServer::start(move |request| {
        let page = pages.iter().find(|(target, _)| *target == request.target);
        match (&*request.method, page) {
            ("GET", Some((_, page))) => page.clone(),
            (_, _) => Behavior::status(204),
        }
    })
    .await
}

fn open(url: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"))
        .args(["open", "--split", "--drain", "20", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn visit(url: String) -> Output {
    spawn_blocking(move || open(&url).wait_with_output().unwrap()).await.unwrap()
}

fn sent(server: &RecordingServer) -> Vec<RecordedRequest> {
    server.requests().into_iter().filter(|request| request.method != "GET").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_finds_its_browser_in_the_other_process() {
    let page = "<script>
        document.cookie = 'mine=1';
        addEventListener('securitypolicyviolation', event => {
            console.log(event.effectiveDirective, document.cookie);
        });
        navigator.sendBeacon('http://b.test/');
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        fetch('/answer').then(response => response.text()).then(text => console.log(text));
    </script>";
    let pages = [
        (
            "/page",
            &[("Content-Security-Policy", "connect-src 'self'"), ("Set-Cookie", "theirs=2")][..],
            page,
        ),
        ("/answer", &[], "an answer"),
    ];
    let server = site(&pages).await;
    let output = visit(server.url("/page")).await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["console.log: an answer", "console.log: connect-src theirs=2; mine=1",]);
    let sent = sent(&server);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].target, "/hidden");
    assert_eq!(sent[0].header("cookie"), Some("theirs=2; mine=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_navigation_is_to_another_process() {
    let send = "<script>addEventListener('unload', () =>
        navigator.sendBeacon('/left', location.pathname + sessionStorage.kept + document.referrer))</script>";
    let first = format!(
        "{send}<script>sessionStorage.kept = 1; onload = () => location = '/second'</script>"
    );
    let server = site(&[("/first", &[], &first), ("/second", &[], send)]).await;
    let output = visit(server.url("/first")).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bodies: Vec<_> =
        sent(&server).into_iter().map(|it| String::from_utf8(it.body).unwrap()).collect();
    bodies.sort();
    assert_eq!(bodies, ["/first1".to_owned(), format!("/second1{}", server.url("/first"))]);
}

#[cfg(target_os = "linux")] // it finds the process by /proc
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_document_has_sent_what_it_was_told_is_on_its_way() {
    let page = "<script>
        for (let i = 0; i < 100; i++) if (!navigator.sendBeacon('/' + i)) throw i;
        for (let i = 0; i < 10; i++) fetchLater('/later' + i, { method: 'POST' });
        // Holds the page open, and says that the loop is over.
        navigator.sendBeacon('/ready');
        setInterval(() => 0, 1000);
    </script>";
    let server = site(&[("/page", &[], page)]).await;
    let shell = open(&server.url("/page"));
    // The page and its 101 beacons: it has run. What is unanswered is killed with it, if anything is.
    server.wait_for(102).await;
    let children = format!("/proc/{0}/task/{0}/children", shell.id());
    let child = std::fs::read_to_string(children).unwrap();
    let killed = Command::new("kill").args(["-KILL", child.trim()]).status().unwrap();
    assert!(killed.success());
    let output = spawn_blocking(|| shell.wait_with_output().unwrap()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the content process ended with signal: 9"), "{stderr}");
    assert_eq!(stderr.matches("delivered: ").count(), 111, "{stderr}");
    assert_eq!(sent(&server).len(), 111);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_closes_the_document_politely() {
    let page = "<script>
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        navigator.sendBeacon('/ready');
        setInterval(() => 0, 1000);
    </script>";
    let server = site(&[("/page", &[], page)]).await;
    let shell = open(&server.url("/page"));
    server.wait_for(2).await;
    let told = Command::new("kill").args(["-TERM", &shell.id().to_string()]).status().unwrap();
    assert!(told.success());
    let output = spawn_blocking(|| shell.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let targets: Vec<_> = sent(&server).into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/ready", "/hidden"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_run_in_the_process_of_their_page() {
    let page = "<iframe src=/frame></iframe><script>
        document.cookie = 'mine=1';
        const other = document.createElement('iframe');
        other.src = location.href.replace('127.0.0.1', 'localhost').replace('page', 'frame');
        document.body.append(other);
        addEventListener('load', () => {
            console.log(frames[0].document.cookie, frames[0].loaded, other.contentDocument === null);
            window.open('/frame').opener.done = true;
        });
    </script>";
    let frame = "<script>
        var loaded = true;
        addEventListener('pagehide', () => navigator.sendBeacon(parent === window ? '/window' : '/frame'));
    </script>";
    let server = site(&[("/page", &[], page), ("/frame", &[], frame)]).await;
    let output = visit(server.url("/page")).await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("console.log: mine=1 true true"), "{stdout}");
    assert!(stdout.contains("a process has the documents of one site"), "{stdout}");
    let mut sent: Vec<_> = sent(&server).iter().map(|it| it.target.clone()).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["/frame", "/window"]);
}
