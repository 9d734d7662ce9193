//! The command `open --split`: documents in processes of their own.

mod shell;
mod site;

#[cfg(target_os = "linux")]
use shell::children;
use shell::{end, kill, open, visit};
use site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn cookies_fetches_and_the_console_work_across_processes() {
    let page = "<script>
        document.cookie = 'mine=1';
        addEventListener('securitypolicyviolation', event => {
            console.log(event.effectiveDirective, document.cookie);
        });
        navigator.sendBeacon('http://b.test/');
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        fetch('/answer').then(response => response.text()).then(text => console.log(text));
    </script>";
    let headers = [("Content-Security-Policy", "connect-src 'self'"), ("Set-Cookie", "theirs=2")];
    let site = Site::new().page_with("/page", &headers, page).page("/answer", "an answer");
    let site = site.start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    let mut lines = output.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["an answer", "connect-src theirs=2; mine=1"]);
    assert_eq!(site.beacons(), ["/hidden"]);
    assert_eq!(site.request("/hidden").header("cookie"), Some("theirs=2; mine=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_navigation_starts_another_process() {
    let send = "<script>addEventListener('unload', () =>
        navigator.sendBeacon('/left', location.pathname + sessionStorage.kept + document.referrer))</script>";
    let first = format!(
        "{send}<script>sessionStorage.kept = 1; onload = () => location = '/second'</script>"
    );
    let site = Site::new().page("/first", &first).page("/second", send).start().await;
    let first = site.0.url("/first");
    let output = visit(first.clone()).await;
    assert!(output.status.success(), "{}", output.stderr);
    let beacons = site.0.requests().into_iter().filter(|it| it.method == "POST");
    let mut bodies: Vec<_> = beacons.map(|it| String::from_utf8(it.body).unwrap()).collect();
    bodies.sort();
    assert_eq!(bodies, ["/first1".to_owned(), format!("/second1{first}")]);
}

#[cfg(target_os = "linux")] // The test finds the process in /proc.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_beacons_of_a_killed_process_are_delivered() {
    let page = "<script>
        for (let i = 0; i < 100; i++) if (!navigator.sendBeacon('/' + i)) throw i;
        for (let i = 0; i < 10; i++) fetchLater('/later' + i, { method: 'POST' });
        // The beacon says that the loop is over. The interval keeps the page open.
        navigator.sendBeacon('/ready');
        setInterval(() => 0, 1000);
    </script>";
    let site = Site::new().page("/page", page).start().await;
    let shell = open(&site.0.url("/page"));
    // The page and its 101 beacons have arrived, so the script has run. The kill may hit unanswered beacons.
    site.0.wait_for(102).await;
    kill("-KILL", children(&shell)[0]);
    let stderr = end(shell).await.stderr;
    assert!(stderr.contains("the content process ended with signal: 9"), "{stderr}");
    assert_eq!(stderr.matches("delivered: ").count(), 111, "{stderr}");
    assert_eq!(site.beacons().len(), 111);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_unloads_the_document() {
    let page = "<script>
        addEventListener('pagehide', () => navigator.sendBeacon('/hidden'));
        // The deferred fetch keeps the page open, because it is sent only when the page is closed.
        fetchLater('/later');
        navigator.sendBeacon('/ready');
    </script>";
    let site = Site::new().page("/page", page).start().await;
    let shell = open(&site.0.url("/page"));
    site.0.wait_for(2).await;
    kill("-TERM", shell.id());
    let output = end(shell).await;
    assert!(output.status.success(), "{}", output.stderr);
    let mut targets: Vec<_> = site.0.requests().into_iter().map(|it| it.target).collect();
    targets.sort();
    assert_eq!(targets, ["/hidden", "/later", "/page", "/ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_the_same_site_run_in_the_process_of_their_page() {
    let page = "<iframe src=/frame></iframe><script>
        document.cookie = 'mine=1';
        addEventListener('load', () => {
            console.log(frames[0].document.cookie, frames[0].loaded);
            window.open('/frame').opener.done = true;
        });
    </script>";
    let frame = "<script>
        var loaded = true;
        addEventListener('pagehide', () => navigator.sendBeacon(parent === window ? '/window' : '/frame'));
    </script>";
    let site = Site::new().page("/page", page).page("/frame", frame).start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.lines(), ["mine=1 true"]);
    assert_eq!(site.beacons(), ["/frame", "/window"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn beforeunload_is_fired_once_when_a_page_navigates() {
    let page = "<iframe srcdoc=\"<script>addEventListener('beforeunload', () => navigator.sendBeacon('/inner'))</script>\">
        </iframe><script>
        addEventListener('beforeunload', () => navigator.sendBeacon('/leaving', document.cookie));
        addEventListener('pagehide', () => navigator.sendBeacon('/left', document.cookie));
        document.cookie = 'a=b';
        onload = () => { location = '/next'; };
    </script>";
    let site = Site::new().page("/page", page).page("/next", "next").start().await;
    let output = visit(site.0.url("/page")).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(site.beacons(), ["/inner", "/leaving", "/left"]);
    assert_eq!(site.request("/left").body, b"a=b");
}
