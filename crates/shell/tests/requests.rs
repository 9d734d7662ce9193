//! What the binding decides about the requests of a page: their types, modes, destinations and origins.

mod site;

use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use site::{Running, Site, report, visit, visit_url};

/// The headers with these names, of the only request for `target` with this method.
fn headers(site: &Running, method: &str, target: &str, names: &[&str]) -> Vec<Option<String>> {
    let requests = site.0.requests();
    let mut found = requests.iter().filter(|it| it.method == method && it.target == target);
    let request = found.next().unwrap_or_else(|| panic!("no {target} in {:?}", site.targets()));
    assert!(found.next().is_none(), "there are two requests for {target}");
    names.iter().map(|name| request.header(name).map(str::to_owned)).collect()
}

/// Like [`headers`], with a dash for an absent header.
fn said(site: &Running, method: &str, target: &str, names: &[&str]) -> String {
    let headers = headers(site, method, target, names);
    headers.into_iter().map(|it| it.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_no_type_that_its_header_list_does_not_have() {
    let page = "<script>
         const other = location.origin.replace('127.0.0.1', 'localhost');
         const body = new Blob(['{}'], { type: 'application/json' }), method = 'POST';
         fetch(`${other}/no-cors`, { method, body, mode: 'no-cors' });
         const request = new Request('/deleted', { method, body: 'text' });
         request.headers.delete('content-type');
         fetch(request);
         fetch(new Request(new Request('/replaced', { method, body }), { headers: {} }));
         fetch('/bytes', { method, body: new Uint8Array(2) });
         fetch('/typed', { method, body });
         fetchLater('/later', { method, body: new Blob(['x'], { type: 'a/b' }), activateAfter: 0 });
         </script>";
    let site = Site::new().page("/page", page).start().await;
    visit(&site, "/page").await;
    for (target, expected) in [
        ("/no-cors", "-"),
        ("/deleted", "-"),
        ("/replaced", "-"),
        ("/bytes", "-"),
        ("/typed", "application/json"),
        ("/later", "a/b"),
    ] {
        assert_eq!(said(&site, "POST", target, &["content-type"]), expected, "{target}");
    }
    assert!(!site.targets().iter().any(|it| it.starts_with("OPTIONS")), "{:?}", site.targets());
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_have_the_mode_and_the_destination_of_their_kind() {
    let fetched = |request: &RecordedRequest| {
        let allow_all: &[(&str, &str)] = &[("Access-Control-Allow-Origin", "*")];
        let origin = request.header("origin").unwrap_or("-").to_owned();
        let allow_one: &[(&str, &str)] = &[
            ("Access-Control-Allow-Origin", &origin),
            ("Access-Control-Allow-Credentials", "true"),
        ];
        match &*request.target {
            "/page" => Behavior::with_body(
                200,
                &[("Content-Type", "text/html"), ("Set-Cookie", "c=1")],
                b"<script>
                  const other = location.origin.replace('127.0.0.1', 'localhost'), results = [];
                  const add = (src, crossOrigin) => {
                    const script = document.createElement('script');
                    script.src = src;
                    if (crossOrigin !== undefined) script.setAttribute('crossorigin', crossOrigin);
                    script.onload = script.onerror = ({ type }) => results.push(type);
                    document.body.append(script);
                  };
                  addEventListener('DOMContentLoaded', () => {
                    add('/plain.js');
                    add('/same.js', '');
                    add(`${other}/refused.js`, '');
                    add(`${other}/all.js`, '');
                    add(`${other}/all-with-cookies.js`, 'use-credentials');
                    add(`${other}/one-with-cookies.js`, 'Use-Credentials');
                    add(`${other}/back.js`, 'anonymous');
                    new Worker('/worker.js').onerror = (e) => e.preventDefault();
                    new Worker('/elsewhere.js').onerror = (e) => e.preventDefault();
                  });
                  addEventListener('load', () => navigator.sendBeacon('/report', results.join()));
                  </script>",
            ),
            "/worker.js" => {
                let headers = [("Content-Type", "text/javascript")];
                Behavior::with_body(200, &headers, b"importScripts('/imported.js')")
            }
            "/all.js" | "/all-with-cookies.js" | "/returned.js" => {
                Behavior::with_body(200, allow_all, b"")
            }
            "/one-with-cookies.js" => Behavior::with_body(200, allow_one, b""),
            "/back.js" => {
                let port = request.header("host").unwrap().rsplit(':').next().unwrap();
                let location = format!("http://127.0.0.1:{port}/returned.js");
                let headers = [allow_all, &[("Location", &*location)]].concat();
                Behavior::with_body(302, &headers, b"")
            }
            "/elsewhere.js" => {
                let port = request.header("host").unwrap().rsplit(':').next().unwrap();
                let location = format!("http://localhost:{port}/never.js");
                Behavior::with_body(302, &[("Location", &location)], b"")
            }
            _ => Behavior::with_body(200, &[], b""),
        }
    };
    let site = Running(RecordingServer::start(fetched).await);
    visit_url(&site.0.url("/page")).await;
    assert_eq!(site.report(), "load,load,error,load,error,load,load");
    let names = ["sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "origin", "cookie"];
    let origin = site.origin();
    for (target, expected) in [
        ("/plain.js", "script no-cors same-origin - c=1".to_owned()),
        ("/same.js", "script cors same-origin - c=1".to_owned()),
        ("/refused.js", format!("script cors cross-site {origin} -")),
        ("/all.js", format!("script cors cross-site {origin} -")),
        ("/one-with-cookies.js", format!("script cors cross-site {origin} -")),
        ("/returned.js", "script cors cross-site null -".to_owned()),
        ("/worker.js", "worker same-origin same-origin - c=1".to_owned()),
        ("/imported.js", "script no-cors same-origin - c=1".to_owned()),
        ("/elsewhere.js", "worker same-origin same-origin - c=1".to_owned()),
    ] {
        assert_eq!(said(&site, "GET", target, &names), expected, "{target}");
    }
    assert!(!site.targets().contains(&"GET /never.js".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_navigation_loses_its_origin_after_a_redirect_from_another_origin() {
    let answer = |request: &RecordedRequest| {
        let port = request.header("host").unwrap().rsplit(':').next().unwrap();
        let to = |host: &str, path: &str| {
            let location = format!("http://{host}:{port}{path}");
            Behavior::with_body(307, &[("Location", &location)], b"")
        };
        let html: &[u8] = b"<form method=post><input name=a value=1></form><script>
             const [form] = document.querySelectorAll('form');
             form.action = location.origin.replace('127.0.0.1', 'localhost') + '/one';
             onload = () => form.submit();
             </script>";
        match &*request.target {
            "/page" => Behavior::with_body(200, &[("Content-Type", "text/html")], html),
            "/one" => to("localhost", "/two"),
            "/two" => to("127.0.0.1", "/three"),
            "/three" => to("127.0.0.1", "/four"),
            _ => Behavior::with_body(200, &[("Content-Type", "text/html")], b"<p>"),
        }
    };
    let site = Running(RecordingServer::start(answer).await);
    visit_url(&site.0.url("/page")).await;
    let names = ["origin", "sec-fetch-site"];
    let origin = site.origin();
    for (target, expected) in [
        ("/one", format!("{origin} cross-site")),
        ("/two", format!("{origin} cross-site")),
        ("/three", "null cross-site".to_owned()),
        ("/four", "null cross-site".to_owned()),
    ] {
        assert_eq!(said(&site, "POST", target, &names), expected, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_no_window_shows_has_no_cookies() {
    let page = report(
        "document.cookie = 'page=1';
         const frame = document.createElement('iframe'), removed = document.createElement('iframe');
         document.body.append(frame, removed);
         const blank = frame.contentDocument, gone = removed.contentDocument;
         log.push(blank.cookie, gone.cookie);
         removed.remove();
         frame.src = '/other';",
        "load",
        "[...log, blank.cookie = 'no=1', blank.cookie, gone.cookie, document.cookie]",
    );
    let site = Site::new().page("/page", &page).page("/other", "").start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"["page=1","page=1","no=1","","","page=1"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_frame_has_the_cookies_of_its_creator() {
    let page = report(
        "document.cookie = 'page=1';
         const frame = document.createElement('iframe'), sub = document.createElement('iframe');
         document.body.append(frame);
         const there = frame.contentDocument;
         log.push(there.cookie);
         there.cookie = 'frame=2';
         there.body.append(sub);
         sub.contentDocument.cookie = 'nested=3';
         log.push(document.cookie, sub.contentDocument.cookie);
         const blank = document.createElement('iframe');
         blank.srcdoc = '<script>document.cookie = \"srcdoc=4\"</' + 'script><iframe src=about:blank></iframe>';
         document.body.append(blank);",
        "load",
        "[log, document.cookie, frames[1].frames[0].document.cookie]",
    );
    let site = Site::new().page("/dir/page", &page).start().await;
    visit(&site, "/dir/page").await;
    assert_eq!(
        site.report(),
        concat!(
            r#"[["page=1","page=1; frame=2; nested=3","page=1; frame=2; nested=3"],"#,
            r#""page=1; frame=2; nested=3; srcdoc=4","page=1; frame=2; nested=3; srcdoc=4"]"#
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn script_sees_of_a_response_what_its_type_allows() {
    let page = "<script>
         const other = location.origin.replace('127.0.0.1', 'localhost');
         (async () => {
           const opaque = await fetch(`${other}/moved`, { mode: 'no-cors' });
           const manual = await fetch('/moved', { redirect: 'manual' });
           const followed = await fetch('/moved');
           const seen = ({ redirected, body }) => [redirected, body !== null];
           navigator.sendBeacon('/report', [opaque, manual, followed].flatMap(seen));
         })();
         </script>";
    let html = [("Content-Type", "text/html")];
    let page = Behavior::with_body(200, &html, page.as_bytes());
    let server = RecordingServer::start(move |request| match &*request.target {
        "/page" => page.clone(),
        "/moved" => Behavior::with_body(302, &[("Location", "/there")], b"body"),
        _ => Behavior::with_body(200, &[], b"body"),
    });
    let site = Running(server.await);
    visit(&site, "/page").await;
    assert_eq!(site.report(), "false,false,false,false,true,true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_decides_about_urls_that_need_no_network() {
    let policy = ("Content-Security-Policy", "connect-src 'self' blob:; img-src 'none'");
    let page = "<script>
         const image = new Image(), violated = [];
         const told = new Promise((resolve) => {
           onsecuritypolicyviolation = ({ effectiveDirective, blockedURI }) => {
             if (violated.push(`${effectiveDirective} ${blockedURI}`) === 2) resolve();
           };
         });
         const loaded = new Promise((resolve) => {
           image.onload = image.onerror = ({ type }) => resolve(type);
         });
         image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=';
         (async () => {
           const url = URL.createObjectURL(new Blob(['blob']));
           const blob = await fetch(url).then((it) => it.text());
           const data = await fetch('data:,x').then(() => 'fetched', () => 'refused');
           const event = await loaded;
           await told;
           navigator.sendBeacon('/report', [blob, data, event, ...violated.sort()]);
         })();
         </script>";
    let site = Site::new().page_with("/page", &[policy], page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "blob,refused,error,connect-src data,img-src data");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_headers_than_a_request_may_have_make_a_network_error() {
    let page = "<script>
         const headers = new Headers();
         for (let n = 0; n < 1001; n++) headers.append(`x${n}`, '');
         const outcome = fetch('/x', { headers }).then(() => 'fetched', ({ name }) => name);
         outcome.then((it) => navigator.sendBeacon('/report', it));
         </script>";
    let site = Site::new().page("/page", page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "TypeError");
}
