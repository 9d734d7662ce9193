//! The command `open --split`: how processes begin and end with their documents.

mod shell;
mod site;

#[cfg(target_os = "linux")]
use shell::children;
use shell::{end, kill, open, visit};
use site::Site;

/// Appends a frame with the page `frame` of another site, which is the same server by another name.
const OTHER: &str = "
    const at = (host, name) => location.href.replace(location.hostname, host).replace(/[^/]*$/, name);
    const other = document.createElement('iframe');
    other.src = at('localhost', 'frame');
    document.body.append(other);";

fn page(script: &str) -> String {
    format!("<body><script>{OTHER} {script}</script>")
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_frame_loses_no_beacon_and_shows_an_error() {
    let page = page(
        "
        const alive = setInterval(() => 0, 1000);
        other.onload = () => {
            // The frame has a frame in it, and the error has none.
            if (other.contentWindow.length === 1) return;
            console.log('error', other.contentDocument, other.contentWindow.length, frames.length);
            other.contentWindow.postMessage('', '*');
            clearInterval(alive);
        };",
    );
    let frame = "<iframe srcdoc=inner></iframe><script>
        onload = () => {
            for (let i = 0; i < 50; i++) if (!navigator.sendBeacon('/' + i)) throw i;
            fetchLater('/later', { method: 'POST' });
            navigator.sendBeacon('/ready');
            setInterval(() => 0, 1000);
        };
    </script>";
    let site = Site::new().page("/page", &page).page("/frame", frame).start().await;
    let shell = open(&site.0.url("/page"));
    site.0.wait_for(53).await;
    let processes = children(&shell);
    assert_eq!(processes.len(), 2);
    kill("-KILL", processes[1]);
    let output = end(shell).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["error null 0 1"], "{}", output.stderr);
    assert!(output.stdout.contains("The process of a document has ended."), "{}", output.stdout);
    assert!(output.stderr.contains("ended with signal: 9"), "{}", output.stderr);
    assert_eq!(site.beacons().len(), 52);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_frames_of_a_killed_page_are_unloaded() {
    let page = page("setInterval(() => 0, 1000); navigator.sendBeacon('/page-ready');");
    let frame = "<script>
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        fetchLater('/later', { method: 'POST' });
        navigator.sendBeacon('/ready');
    </script>";
    let site = Site::new().page("/page", &page).page("/frame", frame).start().await;
    let shell = open(&site.0.url("/page"));
    site.0.wait_for(4).await;
    kill("-KILL", children(&shell)[0]);
    let output = end(shell).await;
    assert!(!output.status.success());
    assert!(output.stderr.contains("ended with signal: 9"), "{}", output.stderr);
    assert_eq!(site.beacons(), ["/hidden", "/later", "/page-ready", "/ready"]);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_does_not_wait_for_a_stopped_frame() {
    let page = page(
        "
        setInterval(() => 0, 1000);
        onpageshow = () => navigator.sendBeacon('/ready');
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));",
    );
    let frame = "frame";
    let site = Site::new().page("/page", &page).page("/frame", frame).start().await;
    let shell = open(&site.0.url("/page"));
    site.0.wait_for(3).await;
    kill("-STOP", children(&shell)[1]);
    kill("-TERM", shell.id());
    let output = end(shell).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(site.beacons(), ["/hidden", "/ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_another_site_delays_the_load_event() {
    let page = page(
        "
        console.log(document.readyState);
        other.onload = () => console.log('frame');
        addEventListener('load', () => console.log('load'));",
    );
    let frame = "<script>
        const start = performance.now();
        while (performance.now() < start + 200);
        onload = () => console.log('loaded');
    </script>";
    let site = Site::new().page("/page", &page).page("/frame", frame).start().await;
    let output = visit(site.0.url("/page")).await;
    assert_eq!(output.lines(), ["loading", "loaded", "frame", "load"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_other_sites_can_be_nested() {
    let page = page(
        "
        onmessage = ({ data, source, origin }) => {
            console.log(data, origin === location.origin, source === frames[0][0]);
            source.postMessage('back', '*');
        };
        addEventListener('pagehide', () => console.log('page hidden'));",
    );
    let frame = "<body><script>
        const inner = document.createElement('iframe');
        inner.src = location.href.replace('localhost', '127.0.0.1').replace('frame', 'inner');
        document.body.append(inner);
        addEventListener('pagehide', () => console.log('frame hidden'));
    </script>";
    let inner = "<script>
        onmessage = ({ data, source }) => console.log(data, source === top, parent !== top, parent.parent === top);
        onload = () => top.postMessage('inner', '*');
        addEventListener('pagehide', () => console.log('inner hidden'));
    </script>";
    let site = Site::new().page("/page", &page).page("/frame", frame).page("/inner", inner);
    let site = site.start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(
        output.lines(),
        ["inner true true", "back true true true", "page hidden", "frame hidden", "inner hidden"],
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_can_navigate_and_be_navigated() {
    let page = page(
        "
        let step = 0;
        onmessage = ({ data }) => {
            console.log(data);
            // A fragment does not load the document again.
            if (data === 'frame') other.contentWindow.location = at('localhost', 'frame#there');
            // The frame has the site of the page now, and then another one again.
            if (data === 'same') {
                console.log(other.contentDocument.title, other.contentWindow.kept);
                other.contentWindow.location = at('localhost', 'last');
            }
        };",
    );
    let frame = "<script>
        addEventListener('pagehide', () => console.log('frame hidden'));
        onhashchange = () => {
            parent.postMessage(location.hash, '*');
            location = location.href.replace('localhost', '127.0.0.1').replace(/frame.*/, 'same');
        };
        parent.postMessage('frame', '*');
    </script>";
    let same = "<title>Same</title><script>var kept = 1; onload = () => parent.postMessage('same', '*')</script>";
    let site = Site::new().page("/page", &page).page("/frame", frame).page("/same", same);
    let site = site.page("/last", "<script>parent.postMessage(typeof kept, '*')</script>");
    let site = site.start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(
        output.lines(),
        ["frame", "#there", "frame hidden", "same", "Same 1", "undefined"],
        "{}{}",
        output.stdout,
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_can_navigate_its_page() {
    let page = page(
        "
        // A page that has not fired `pageshow` fires no `pagehide`.
        addEventListener('pageshow', () => other.contentWindow.postMessage('', '*'));
        addEventListener('beforeunload', () => navigator.sendBeacon('/leaving'));
        addEventListener('pagehide', () => navigator.sendBeacon('/left'));",
    );
    let frame = "<script>
        addEventListener('beforeunload', () => navigator.sendBeacon('/frame-leaving'));
        addEventListener('pagehide', () => navigator.sendBeacon('/frame-left'));
        onmessage = () => { top.location = 'next'; };
    </script>";
    let next = "<script>console.log(location.hostname, document.referrer !== '')</script>";
    let site = Site::new().page("/page", &page).page("/frame", frame).page("/next", next);
    let site = site.start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["localhost true"], "{}", output.stderr);
    assert_eq!(site.beacons(), ["/frame-leaving", "/frame-left", "/leaving", "/left"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_another_site_knows_its_opener() {
    let page = "<script>
        const opened = open(location.href.replace('127.0.0.1', 'localhost').replace('page', 'window'));
        onmessage = ({ data, source }) => {
            console.log(data, source === opened, opened.closed);
            opened.close();
            const wait = setInterval(() => {
                if (!opened.closed) return;
                clearInterval(wait);
                console.log('closed');
            }, 10);
        };
    </script>";
    let window = "<script>
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        opener.postMessage('hello', '*');
        console.log(opener !== null, opener.length, parent === window);
    </script>";
    let site = Site::new().page("/page", page).page("/window", window).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    let mut lines = output.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["closed", "hello true false", "true 0 true"], "{}", output.stderr);
    assert_eq!(site.beacons(), ["/hidden"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxed_frame_of_another_site_stays_sandboxed() {
    let page = "<body><script>
        const other = document.createElement('iframe');
        other.sandbox = 'allow-scripts';
        other.src = location.href.replace('127.0.0.1', 'localhost').replace('page', 'frame');
        document.body.append(other);
    </script>";
    let frame = "<script>
        let allowed = true;
        try { top.location = '/never'; } catch (e) { allowed = e.name; }
        console.log(origin, open('/frame'), allowed, document.featurePolicy);
    </script>";
    let site = Site::new().page("/page", page).page("/frame", frame).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["null null SecurityError undefined"], "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_refuses_frames_is_not_shown_in_one() {
    let page = page("onload = () => console.log(other.contentDocument, frames.length);");
    let site = Site::new()
        .page("/page", &page)
        .page_with(
            "/frame",
            &[("X-Frame-Options", "DENY")],
            "<script>console.log('shown')</script>",
        )
        .start()
        .await;
    let output = visit(site.0.url("/page")).await;
    assert_eq!(output.lines(), ["null 1"], "{}", output.stderr);
}
