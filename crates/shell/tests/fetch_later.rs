//! `fetchLater()` in pages, over real sockets.

mod common;
mod site;

use std::time::Duration;

use common::Fixture;
use sendbeacon_shell::{
    browser::{Browser, Options, Stopped},
    page::Environment,
};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use site::Site;
use tokio::task::spawn_blocking;
use url::Url;

const LONG: Duration = Duration::from_secs(20);

/// Visits a page with this script. Returns what the script has passed to `report()`, and the page's other requests.
async fn visit(script: &str, headers: &[(&str, &str)]) -> (String, Vec<RecordedRequest>) {
    let html =
        format!("<script>const report = text => fetch('/report?' + text); {script}</script>");
    let headers = [headers, &[("Content-Type", "text/html")]].concat();
    let page = Behavior::response(200, &headers, html.as_bytes());
    let server = RecordingServer::start(move |request| match &*request.target {
        "/page" => Behavior::Respond(page.clone()),
        _ => Behavior::status(204),
    })
    .await;
    site::visit_url(&server.url("/page")).await;
    let (reports, others): (Vec<_>, Vec<_>) = server
        .requests()
        .into_iter()
        .filter(|request| request.target != "/page")
        .partition(|request| request.target.starts_with("/report"));
    let reports: Vec<_> =
        reports.iter().map(|it| it.target.trim_start_matches("/report?").to_owned()).collect();
    (reports.join(" "), others)
}

/// The methods and targets of requests, sorted.
fn lines(requests: &[RecordedRequest]) -> Vec<String> {
    let mut lines: Vec<_> =
        requests.iter().map(|it| format!("{} {}", it.method, it.target)).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_fetch_is_sent_when_the_page_goes_unless_aborted() {
    let script = "
        const kept = fetchLater('/kept', { method: 'POST', body: 'later', activateAfter: 600000 });
        const controller = new AbortController();
        const aborted = fetchLater(new Request('/aborted'), { signal: controller.signal });
        controller.abort();
        report([kept, kept.activated, aborted.activated, fetchLater.length].join());";
    let (report, sent) = visit(script, &[]).await;
    assert_eq!(report, "[object%20FetchLaterResult],false,false,1");
    assert_eq!(lines(&sent), ["POST /kept"]);
    assert_eq!(sent[0].body, b"later");
    assert_eq!(sent[0].header("content-type"), Some("text/plain;charset=UTF-8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn activated_changes_only_between_tasks() {
    let script = "
        const result = fetchLater('/now', { activateAfter: 0 });
        let seen = result.activated;
        for (let i = 0; i < 200000; i++) seen ||= result.activated;
        const waiting = setInterval(() => {
            if (!result.activated) return;
            clearInterval(waiting);
            report([seen, result.activated].join());
        }, 1);";
    let (report, sent) = visit(script, &[]).await;
    assert_eq!(report, "false,true");
    assert_eq!(lines(&sent), ["GET /now"]);
}

/// Defines `name(...arguments)`: the name of the exception that `fetchLater(...arguments)` throws.
const NAMES: &str = "const name = (...call) => {
    try { fetchLater(...call); return 'none'; } catch (e) { return e.name; } };";

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_have_the_names_of_the_standard() {
    let script = "report([
        name(), name('/x', { activateAfter: -1 }), name('/x', { activateAfter: NaN }),
        name('/x', { signal: AbortSignal.abort() }), name('http://b.test/'), name('ftp://b.test/'),
        name('/x', { method: 'POST', body: new ReadableStream(), duplex: 'half' }),
        name('/x', { method: 'POST', body: 'x'.repeat(65536) }),
        name('/x', { signal: AbortSignal.abort(), activateAfter: -1 }),
    ].join());";
    let (report, sent) = visit(&format!("{NAMES}{script}"), &[]).await;
    assert_eq!(
        report,
        "TypeError,RangeError,TypeError,AbortError,TypeError,TypeError,TypeError,\
         QuotaExceededError,AbortError"
    );
    assert!(sent.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_exceeded_error_has_the_quota_and_the_requested_bytes() {
    let script = "try {
        fetchLater('https://b.test/', { method: 'POST', body: new Uint8Array(70000), referrer: '' });
    } catch (e) {
        report([e instanceof QuotaExceededError, e instanceof DOMException, e.code, e.quota, e.requested,
            new QuotaExceededError().quota].join());
    }";
    assert_eq!(visit(script, &[]).await.0, "true,true,22,65536,70015,");
    let policy = [("Permissions-Policy", "deferred-fetch=()")];
    let script = "report(name('/x'))";
    assert_eq!(visit(&format!("{NAMES}{script}"), &policy).await.0, "QuotaExceededError");
}

#[test]
fn fetch_later_needs_a_secure_context() {
    let script = "<script>console.log(typeof fetchLater, typeof FetchLaterResult)</script>";
    for (url, expected) in
        [("http://a.test/", "undefined function"), ("https://a.test/", "function function")]
    {
        let environment = Environment::new(Url::parse(url).unwrap());
        let fixture = Fixture::with(common::Recorder::default(), environment, script);
        assert_eq!(fixture.log(), expected, "{url}");
    }
}

/// Defines `left()`: the quota in bytes that a document has for an origin to which nothing is deferred yet. `say(name)`
/// reports it.
const LEFT: &str = "<script>
    const left = () => {
        try {
            fetchLater('https://q.test/', { method: 'POST', body: new Uint8Array(70000) });
        } catch (e) { return e.quota; }
    };
    const say = name => navigator.sendBeacon('/left?' + name + '=' + left());
</script>";

/// The quota that is left to each document of a page with these frames: calls of `add(name, host, attributes)`.
async fn left(header: &str, frames: &str) -> Vec<String> {
    let page = format!(
        "<body>{LEFT}<script>
        function add(name, host, attributes = {{}}) {{
            const frame = document.createElement('iframe');
            Object.assign(frame, attributes);
            frame.src = `http://${{host}}:${{location.port}}/child?${{name}}`;
            document.body.append(frame);
        }}
        {frames}
        addEventListener('load', () => say('top'));
        </script>"
    );
    let child = format!(
        "{LEFT}<body><script>
        const [name, below] = location.search.slice(1).split('.');
        say(name);
        if (below) {{
            const frame = document.createElement('iframe');
            frame.src = `http://${{below}}:${{location.port}}/child?${{name}}-below`;
            document.body.append(frame);
        }}
        </script>"
    );
    let site = Site::new()
        .page_with("/page", &[("Permissions-Policy", header)], &page)
        .page("/child", &child)
        .any_query()
        .start()
        .await;
    site::visit(&site, "/page").await;
    let beacons = site.beacons();
    beacons.iter().map(|it| it.trim_start_matches("/left?").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_frame_has_the_quota_of_its_policy() {
    let frames = "
        add('same.localhost', '127.0.0.1');
        add('cross.127.0.0.1', 'localhost');
        add('allowed', 'localhost', { allow: 'deferred-fetch' });
        add('sandboxed', '127.0.0.1', { sandbox: 'allow-scripts' });
        add('none', 'localhost', { allow: \"deferred-fetch-minimal 'none'\" });";
    assert_eq!(
        left("", &frames.replace("cross.127.0.0.1", "cross.[::1]")).await,
        [
            "allowed=65536",
            "cross=8192",
            "none=0",
            "same-below=8192",
            "same=65536",
            "sandboxed=8192",
            "top=65536"
        ]
    );
    assert_eq!(
        left("deferred-fetch=(), deferred-fetch-minimal=()", "add('cross', 'localhost');").await,
        ["cross=0", "top=0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_frame_sends_its_deferred_fetches_and_returns_quota() {
    let page = "<body><iframe></iframe><script>
        addEventListener('load', () => {
            const frame = document.querySelector('iframe');
            const later = frame.contentWindow.fetchLater;
            const body = new Uint8Array(60000);
            const name = steps => { try { steps(); } catch (e) { return e.name; } };
            const send = target => fetchLater(target, { method: 'POST', body });
            frame.contentWindow.fetchLater('/later', { method: 'POST', body });
            navigator.sendBeacon('/' + name(() => send('/refused')));
            frame.remove();
            send('/kept');
            navigator.sendBeacon('/' + name(() => later('/gone')));
        });
        </script>";
    let site = Site::new().page("/page", page).start().await;
    site::visit(&site, "/page").await;
    assert_eq!(site.beacons(), ["/QuotaExceededError", "/TypeError", "/kept", "/later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_sends_deferred_fetches_when_due_or_closed() {
    let html = "<script>
        const aborted = new AbortController();
        fetchLater('/aborted', { signal: aborted.signal });
        aborted.abort();
        fetchLater('/soon', { activateAfter: 10 });
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        if (location.search) fetchLater('/late');
    </script>";
    let page = Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes());
    let server = RecordingServer::start(move |request| match request.target.split('?').next() {
        Some("/page") => page.clone(),
        _ => Behavior::status(204),
    })
    .await;
    let url = Url::parse(&server.url("/page")).unwrap();
    let open = move |query: Option<&'static str>, limit| {
        let mut url = url.clone();
        url.set_query(query);
        spawn_blocking(move || {
            let browser = Browser::new(&Options::default()).unwrap();
            let mut tab = browser.open(&url).unwrap();
            let stopped = tab.run_for_user(limit);
            tab.unload();
            assert!(browser.shut_down(LONG).lost.is_empty());
            stopped
        })
    };
    assert_eq!(open(None, LONG).await.unwrap(), Stopped::Idle);
    let targets: Vec<_> = server.requests().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/page", "/soon", "/hidden"]);
    // This page has a deferred fetch without a time, so that it stays open until the limit.
    let limit = Duration::from_secs(1);
    assert_eq!(open(Some("late"), limit).await.unwrap(), Stopped::TimeIsUp);
    let mut targets: Vec<_> = server.requests().into_iter().map(|it| it.target).skip(3).collect();
    targets.sort();
    assert_eq!(targets, ["/hidden", "/late", "/page?late", "/soon"]);
}
