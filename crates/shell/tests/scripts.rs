//! What decides whether a script is loaded, how it is decoded, and which policies a worker has.

mod site;

use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use site::{Running, visit_url};

const JAVASCRIPT: (&str, &str) = ("Content-Type", "text/javascript");

/// A page with these headers and this script. The functions `load(url, attributes)` and `work(url)` of the page log how a
/// script or a worker begins, and `done()` sends the log to `/report`.
async fn start(
    headers: &'static [(&'static str, &'static str)],
    script: &'static str,
    other: fn(&RecordedRequest) -> Behavior,
) -> Running {
    let html = format!(
        "<!DOCTYPE html><body><script nonce=n>
         const log = [], other = location.origin.replace('127.0.0.1', 'localhost');
         const load = (src, attributes = {{}}) => new Promise((resolve) => {{
           const script = document.createElement('script');
           for (const [name, value] of Object.entries(attributes)) script.setAttribute(name, value);
           script.onload = script.onerror = ({{ type }}) => {{ log.push(type); resolve(); }};
           script.src = src;
           document.body.append(script);
         }});
         const work = (url) => new Promise((resolve) => {{
           const worker = new Worker(url);
           worker.onmessage = ({{ data }}) => {{ log.push(data); resolve(); }};
           worker.onerror = (event) => {{ event.preventDefault(); log.push(event.type); resolve(); }};
         }});
         const done = () => navigator.sendBeacon('/report', log.join());
         {script}</script>"
    );
    let answer = move |request: &RecordedRequest| match &*request.target {
        "/page" => {
            let headers = [headers, &[("Content-Type", "text/html")]].concat();
            Behavior::with_body(200, &headers, html.as_bytes())
        }
        _ => other(request),
    };
    Running(RecordingServer::start(answer).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_blocked_by_its_type_and_by_nosniff() {
    let script = "(async () => {
         for (const name of ['image', 'csv', 'text', 'sniffed', 'none', 'javascript']) {
           await load(`/${name}.js`);
           await work(`/${name}.js`);
         }
         await work('/imports.js');
         done();
       })()";
    let site = start(&[], script, |request| {
        let nosniff = ("X-Content-Type-Options", "nosniff");
        let answer = |headers: &[(&str, &str)]| {
            Behavior::with_body(200, headers, b"self.document || postMessage('runs')")
        };
        match &*request.target {
            "/image.js" => answer(&[("Content-Type", "image/png")]),
            "/csv.js" => answer(&[("Content-Type", "text/plain, text/csv")]),
            "/text.js" => answer(&[("Content-Type", "text/plain")]),
            "/sniffed.js" => answer(&[("Content-Type", "text/plain"), nosniff]),
            "/none.js" => answer(&[]),
            "/javascript.js" => answer(&[JAVASCRIPT, nosniff]),
            "/imports.js" => Behavior::with_body(
                200,
                &[JAVASCRIPT],
                b"try { importScripts('/text.js'); } catch ({ name }) { postMessage(name); }",
            ),
            _ => Behavior::status(204),
        }
    });
    let site = site.await;
    visit_url(&site.0.url("/page")).await;
    assert_eq!(
        site.report(),
        "error,error,error,error,load,error,error,error,load,error,load,runs,NetworkError"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_of_a_document_decide_about_its_scripts() {
    let policy = &[
        ("Content-Security-Policy", "script-src 'self' 'unsafe-inline'"),
        ("Referrer-Policy", "no-referrer"),
    ];
    let script = "addEventListener('securitypolicyviolation', ({ effectiveDirective }) => log.push(effectiveDirective));
       (async () => {
         await load('/own.js');
         await load(`${other}/foreign.js`);
         await load('/with-referrer.js', { referrerpolicy: 'origin' });
         await load('/changed.js', { integrity: 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' });
         setTimeout(done);
       })()";
    let site = start(policy, script, |_| Behavior::with_body(200, &[JAVASCRIPT], b"")).await;
    visit_url(&site.0.url("/page")).await;
    let mut log: Vec<_> = site.report().split(',').map(str::to_owned).collect();
    log.sort_unstable();
    assert_eq!(log, ["error", "error", "load", "load", "script-src-elem"]);
    let requests = site.0.requests();
    let referer = |target: &str| {
        let request = requests.iter().find(|it| it.target == target);
        request.map(|it| it.header("referer").map(str::to_owned))
    };
    assert_eq!(referer("/own.js"), Some(None));
    assert_eq!(referer("/foreign.js"), None);
    assert_eq!(referer("/with-referrer.js"), Some(Some(format!("{}/", site.origin()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_with_nonces_blocks_no_script() {
    let policy = &[("Content-Security-Policy", "script-src 'nonce-n'")];
    let script = "load('/own.js', { nonce: 'n' }).then(done)";
    let site = start(policy, script, |_| Behavior::with_body(200, &[JAVASCRIPT], b"")).await;
    visit_url(&site.0.url("/page")).await;
    assert_eq!(site.report(), "load");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_encoding_of_a_script_is_that_of_its_type_also_across_origins() {
    let script = "(async () => {
         await load('/typed.js');
         await load(`${other}/typed.js`);
         await load('/untyped.js', { charset: 'windows-1252' });
         await load('/untyped.js');
         done();
       })()";
    let site = start(&[], script, |request| {
        let type_ = match &*request.target {
            "/typed.js" => "text/javascript;charset=windows-1252",
            _ => "text/javascript",
        };
        Behavior::with_body(200, &[("Content-Type", type_)], b"log.push(escape('\xe9'));")
    });
    let site = site.await;
    visit_url(&site.0.url("/page")).await;
    assert_eq!(site.report(), "%E9,load,%E9,load,%E9,load,%uFFFD,load");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_has_the_policies_and_the_url_of_its_response() {
    let policy =
        &[("Content-Security-Policy", "connect-src 'none'"), ("Referrer-Policy", "no-referrer")];
    let script = "(async () => {
         await work('/strict.js');
         await work('/moved.js');
         await work(URL.createObjectURL(new Blob([`fetch('${location.origin}/from-blob').catch(() => postMessage('inherits'))`])));
         log.push(await fetch('/from-page').catch(({ name }) => name));
         await work('/report.js');
       })()";
    let site = start(policy, script, |request| {
        let answer = |headers: &[(&str, &str)], body: &str| {
            Behavior::with_body(200, &[&[JAVASCRIPT], headers].concat(), body.as_bytes())
        };
        let policy = ("Content-Security-Policy", "connect-src 'self'");
        match &*request.target {
            "/strict.js" => answer(
                &[policy, ("Referrer-Policy", "origin")],
                "fetch('/from-worker').then(() => fetch(location.origin.replace('127.0.0.1', 'localhost')))
                   .catch(({ name }) => postMessage(name));
                 onsecuritypolicyviolation = ({ effectiveDirective, documentURI }) =>
                   fetch(`/violated?${effectiveDirective},${documentURI === location.href}`);",
            ),
            "/moved.js" => Behavior::with_body(302, &[("Location", "/to/here.js")], b""),
            "/to/here.js" => answer(&[], "postMessage(location.pathname)"),
            "/report.js" => answer(&[], "fetch('/done', { method: 'POST' }).then(() => postMessage(''))"),
            _ => Behavior::status(204),
        }
    });
    let site = site.await;
    let script = site.0.url("/page");
    visit_url(&script).await;
    let requests = site.0.requests();
    let referer = |target: &str| {
        let request = requests.iter().find(|it| it.target == target);
        request.map(|it| it.header("referer").map(str::to_owned))
    };
    assert_eq!(referer("/from-worker"), Some(Some(format!("{}/", site.origin()))));
    assert_eq!((referer("/from-blob"), referer("/from-page")), (None, None));
    for target in ["POST /done", "GET /violated?connect-src,true"] {
        assert!(site.targets().iter().any(|it| it == target), "{:?}", site.targets());
    }
}
