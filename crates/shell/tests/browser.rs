//! Pages in the browser, from the fetch of the document to the delivery of the last beacon, over real sockets.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sendbeacon_shell::{
    browser::{Browser, Options, Stopped},
    demo,
};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::{sync::Notify, task::spawn_blocking};
use url::Url;

const LONG: Duration = Duration::from_secs(20);

/// Answers GET requests with `html` and these headers, and other requests with 204.
fn site(html: &str, headers: &[(&str, &str)]) -> impl Fn(&RecordedRequest) -> Behavior + use<> {
    let page = Behavior::response(
        200,
        &[headers, &[("Content-Type", "text/html")]].concat(),
        html.as_bytes(),
    );
    move |request| match &*request.method {
        "GET" => Behavior::Respond(page.clone()),
        _ => Behavior::status(204),
    }
}

/// Opens the page, runs it until it is idle, hides it and unloads it. Returns the requests other than GET.
async fn visit(server: &RecordingServer) -> Vec<RecordedRequest> {
    let url = Url::parse(&server.url("/dir/page")).unwrap();
    spawn_blocking(move || {
        let browser = Browser::new(&Options::default()).unwrap();
        let mut tab = browser.open(&url).unwrap();
        assert_eq!(tab.run(LONG), Stopped::Idle);
        tab.hide();
        tab.unload();
        assert!(browser.shut_down(LONG).lost.is_empty());
    })
    .await
    .unwrap();
    server.requests().into_iter().filter(|request| request.method != "GET").collect()
}

/// The targets of requests, sorted.
fn targets(requests: &[RecordedRequest]) -> Vec<&str> {
    let mut targets: Vec<_> = requests.iter().map(|request| &*request.target).collect();
    targets.sort_unstable();
    targets
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_from_every_event_arrive() {
    let html = "<script>
        const send = name => navigator.sendBeacon(name, name);
        send('script');
        for (const name of ['load', 'pagehide', 'beforeunload', 'unload'])
            addEventListener(name, () => send(name));
        document.addEventListener('visibilitychange', () => send(document.visibilityState));
        setTimeout(() => send('timer'), 1);
    </script>";
    let server = RecordingServer::start(site(html, &[])).await;
    let requests = visit(&server).await;
    let expected = ["beforeunload", "hidden", "load", "pagehide", "script", "timer", "unload"];
    assert_eq!(targets(&requests), expected.map(|name| format!("/dir/{name}")));
    assert!(
        requests
            .iter()
            .all(|request| request.target.ends_with(&*String::from_utf8_lossy(&request.body)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_follow_the_base_url_and_the_policies_of_the_document() {
    let html = "<base href=/other/><script>navigator.sendBeacon('a')</script>
        <meta name=referrer content=no-referrer><script>navigator.sendBeacon('b')</script>";
    let server = RecordingServer::start(site(html, &[("Referrer-Policy", "origin")])).await;
    let mut requests = visit(&server).await;
    requests.sort_by(|a, b| a.target.cmp(&b.target));
    assert_eq!(targets(&requests), ["/other/a", "/other/b"]);
    assert_eq!(requests[0].header("referer"), Some(&*server.url("/")));
    assert_eq!(requests[1].header("referer"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_blocked_by_csp_returns_true_and_is_reported() {
    let html = "<script>
        // The violation is reported later. The interval keeps the page from becoming idle before.
        const waiting = setInterval(() => {}, 5);
        document.addEventListener('securitypolicyviolation', event => {
            clearInterval(waiting);
            navigator.sendBeacon([answer, event.effectiveDirective, event.blockedURI.slice(-7)].join('-'));
        });
        const answer = navigator.sendBeacon('blocked');
    </script>";
    let allowed = "connect-src http://localhost:*/dir/true-connect-src-blocked";
    let server = RecordingServer::start(site(html, &[("Content-Security-Policy", allowed)])).await;
    let mut url = Url::parse(&server.url("/dir/page")).unwrap();
    // A host-source matches no IP address.
    url.set_host(Some("localhost")).unwrap();
    spawn_blocking(move || {
        let browser = Browser::new(&Options::default()).unwrap();
        let mut tab = browser.open(&url).unwrap();
        tab.run(LONG);
        tab.unload();
        browser.shut_down(LONG);
        assert_eq!(browser.log().finished().len(), 2);
    })
    .await
    .unwrap();
    let posts: Vec<_> = server.requests().into_iter().filter(|it| it.method == "POST").collect();
    assert_eq!(targets(&posts), ["/dir/true-connect-src-blocked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_send_the_cookies_of_headers_and_scripts() {
    let html = "<script>
        document.cookie = 's=2; path=/';
        navigator.sendBeacon('/' + document.cookie);
    </script>";
    let server =
        RecordingServer::start(site(html, &[("Set-Cookie", "h=1; HttpOnly; Path=/")])).await;
    let requests = visit(&server).await;
    assert_eq!(targets(&requests), ["/s=2"]);
    let mut cookies: Vec<_> = requests[0].header("cookie").unwrap().split("; ").collect();
    cookies.sort_unstable();
    assert_eq!(cookies, ["h=1", "s=2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_reads_a_response_and_its_navigation_unloads_the_page() {
    let html = "<script>
        addEventListener('unload', () => navigator.sendBeacon('/unload' + (sessionStorage.visits || 0)));
        addEventListener('pagehide', () => sessionStorage.visits = 1 + (sessionStorage.visits | 0));
        if (!location.search)
            fetch('data', { method: 'POST', body: 'x' })
                .then(r => r.text().then(text => { location.href = '?' + r.status + r.type + text.length; }));
    </script>";
    let server = RecordingServer::start(site(html, &[])).await;
    let requests = visit(&server).await;
    assert_eq!(targets(&requests), ["/dir/data", "/unload1", "/unload2"]);
    let pages: Vec<_> = server.requests().into_iter().filter(|it| it.method == "GET").collect();
    assert_eq!(targets(&pages), ["/dir/page", "/dir/page?204basic0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_closes_the_page_and_pending_beacons_are_delivered() {
    let html = "<script>
        addEventListener('pagehide', () => navigator.sendBeacon('bye', 'bye'));
        setInterval(() => {}, 1000);
        fetch('ready', { method: 'POST' });
    </script>";
    let (page, answer) = (site(html, &[]), Arc::new(Notify::new()));
    let server = RecordingServer::start({
        let answer = Arc::clone(&answer);
        move |request| match &*request.target {
            "/dir/bye" => {
                Behavior::RespondWhen(Arc::clone(&answer), Behavior::response(204, &[], b""))
            }
            _ => page(request),
        }
    })
    .await;
    let mut shell = Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"))
        .args(["open", "--drain", "20", &server.url("/dir/page")])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.wait_for(2).await;
    let kill = Command::new("kill").args(["-TERM", &shell.id().to_string()]).status().unwrap();
    assert!(kill.success());
    server.wait_for(3).await;
    assert_eq!(shell.try_wait().unwrap(), None, "the shell waits for the answer");
    answer.notify_one();
    let output = spawn_blocking(move || shell.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("delivered: {} (3 bytes): 204", server.url("/dir/bye"))),
        "{said}"
    );
}

#[test]
fn the_demo_delivers_all_accepted_beacons() {
    demo::run(Duration::from_millis(50), None).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn violations_are_reported_to_the_report_uri() {
    let html = "<script>navigator.sendBeacon('x#f', 'y')</script>";
    let policy = "connect-src 'none'; report-uri /report";
    let server =
        RecordingServer::start(site(html, &[("Content-Security-Policy-Report-Only", policy)]))
            .await;
    let requests = visit(&server).await;
    assert_eq!(targets(&requests), ["/dir/x", "/report", "/report"]);
    let report = requests.iter().find(|request| request.target == "/report").unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report.body).unwrap();
    assert_eq!(report["csp-report"]["blocked-uri"], server.url("/dir/x"));
    assert_eq!(report["csp-report"]["document-uri"], server.url("/dir/page"));
    assert_eq!(report["csp-report"]["status-code"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fetch_has_one_resource_timing_entry() {
    let html = "<script src=x.js></script><iframe src=/frame></iframe><script>
        var origin = 'x'; // [Replaceable]
        const names = () => performance.getEntriesByType('resource').map(it =>
            [it.initiatorType, it.name.split('/').pop(), it.responseStatus, it.nextHopProtocol, it.duration > 0,
             it.responseEnd >= it.requestStart].join());
        new PerformanceObserver(list => {
            if (names().length === 5) navigator.sendBeacon('seen', origin + ' ' + names().sort().join(' '));
        }).observe({ type: 'resource' });
        navigator.sendBeacon('beacon', 'x');
        fetch('fetched', { method: 'POST' });
        fetch('dropped', { method: 'DELETE' }).catch(() => {});
        const given_up = new AbortController();
        fetch('aborted', { method: 'PUT', signal: given_up.signal }).catch(() => {});
        given_up.abort();
    </script>";
    let page = site(html, &[]);
    let server = RecordingServer::start(move |request| match &*request.method {
        "DELETE" => Behavior::Close,
        // The abort may come before or after the request. There must be no response in either case.
        "PUT" => Behavior::Hang,
        _ if request.target.ends_with("x.js") => Behavior::with_body(200, &[], b"var x = 1;"),
        _ if request.target == "/frame" => {
            Behavior::with_body(200, &[("Content-Type", "text/html")], b"")
        }
        _ => page(request),
    })
    .await;
    let seen = visit(&server).await.into_iter().find(|request| request.target.ends_with("seen"));
    assert_eq!(
        String::from_utf8_lossy(&seen.unwrap().body),
        "x beacon,beacon,204,http/1.1,true,true fetch,dropped,0,,true,true \
         fetch,fetched,204,http/1.1,true,true iframe,frame,0,,true,true script,x.js,0,,true,true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_keepalive_fetch_outlives_the_page() {
    let html = "<script>new Worker('w.js').onmessage = () => {};</script>";
    let page = site(html, &[("Referrer-Policy", "origin")]);
    let script = "fetch('kept', { method: 'POST', body: 'x', keepalive: true });
        fetch('read', { method: 'POST' }).then(r => fetch('status', { method: 'POST', body: r.status }));";
    let server = RecordingServer::start(move |request| {
        if request.target.ends_with("w.js") {
            let headers = [("Content-Type", "text/javascript"), ("Referrer-Policy", "unsafe-url")];
            Behavior::with_body(200, &headers, script.as_bytes())
        } else {
            page(request)
        }
    })
    .await;
    let requests = visit(&server).await;
    assert_eq!(targets(&requests), ["/dir/kept", "/dir/read", "/dir/status"]);
    for request in requests {
        // The worker's policy comes from the worker's response, and not from the page.
        assert_eq!(
            request.header("referer"),
            Some(&*server.url("/dir/w.js")),
            "{}",
            request.target
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_sees_returned_quota_only_in_its_next_task() {
    let html = "<script>
        const body = 'x'.repeat(40000);
        const seen = [];
        for (let i = 0; i < 300; i++) seen.push(navigator.sendBeacon('/of-one-task', body));
        const poll = setInterval(() => {
          if (!navigator.sendBeacon('/of-another', body)) return;
          clearInterval(poll);
          fetch('/report', { method: 'POST', body: [seen[0], seen.includes(true, 1)] });
        }, 1);
        </script>";
    let server = RecordingServer::start(site(html, &[])).await;
    let requests = visit(&server).await;
    let report = requests.iter().find(|it| it.target == "/report").expect("a report");
    assert_eq!(report.body, b"true,false");
}

/// Only there the shell asks the system what a server has acknowledged.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_that_the_server_has_and_does_not_answer_is_sent() {
    let html = b"<script>navigator.sendBeacon('slow', 'x'.repeat(5000))</script>";
    let page = Behavior::response(200, &[("Content-Type", "text/html")], html);
    let server = RecordingServer::start(move |request| match &*request.method {
        "GET" => Behavior::Respond(page.clone()),
        _ => Behavior::Hang,
    })
    .await;
    let mut shell = Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"));
    // It ends although nobody answers for an hour.
    shell.args(["open", "--until-sent", "--drain", "3600", &server.url("/page")]);
    let output = spawn_blocking(move || shell.stdin(Stdio::null()).output().unwrap()).await;
    let output = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(output.contains(&format!("sent: {} (5000 bytes)", server.url("/slow"))), "{output}");
    assert_eq!(server.requests().last().unwrap().body.len(), 5000);
}
