//! Documents that frames show: `srcdoc`, `blob:` and written documents, their types, and `Refresh`.

mod site;

use site::{Site, report, visit};

#[tokio::test(flavor = "multi_thread")]
async fn a_srcdoc_document_inherits_origin_base_url_and_referrer() {
    let say = "<script>navigator.sendBeacon(&quot;rel&quot;); parent.log.push(origin, document.baseURI)</script>";
    let page = report("", "load", "log");
    let page = format!("<base href=/based/>{page}<iframe srcdoc='{say}'></iframe>");
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), format!(r#"["{0}","{0}/based/"]"#, site.origin()));
    let beacon = site.request("/based/rel");
    assert_eq!(beacon.header("referer"), Some(&*format!("{}/page", site.origin())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_write_to_a_loading_and_to_a_loaded_document() {
    let page = report(
        "document.write('<p id=a>', '<script>document.write(\"<i id=b>\"); log.push(2)<\\/script>');
         log.push(1);
         const frame = document.createElement('iframe');
         document.body.append(frame);
         const d = frame.contentDocument, w = frame.contentWindow;
         d.open();
         d.write('<body><script>parent.log.push(navigator.sendBeacon(\"written\"));');
         d.write('document.write(\"<b id=c>\")<\\/script><u id=d></u>');
         log.push(d.readyState, d.getElementById('c').parentNode === d.body, d === frame.contentDocument,
           w === frame.contentWindow, d.URL === location.href);
         frame.onload = () => log.push('frame', d.readyState);
         d.close();",
        "load",
        "[log, !!document.getElementById('a'), !!document.getElementById('b')]",
    );
    let site = Site::new().page("/dir/page", &page).start().await;
    visit(&site, "/dir/page").await;
    assert_eq!(
        site.report(),
        r#"[[1,true,"loading",true,true,true,true,2,"frame","complete"],true,true]"#
    );
    assert_eq!(site.beacons(), ["/dir/written", "/report"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_content_type_counts_with_an_earlier_charset() {
    let headers = [
        ("Content-Type", "text/plain; charset=koi8-r"),
        ("Content-Type", "text/html; charset=latin1, x"),
    ];
    let script = "<script>navigator.sendBeacon('/report', document.characterSet)</script>";
    let site = Site::new().page_with("/page", &headers, script).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "windows-1252");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_document_has_the_origin_of_its_creator() {
    let page = report(
        "onmessage = e => { log.push(e.data); dispatchEvent(new Event('done')); };
         const text = '<script>parent.postMessage([origin, document.URL === location.href, ' +
           'navigator.sendBeacon(\"' + origin + '/of-the-blob\")], \"*\")</' + 'script>';
         const frame = document.createElement('iframe');
         frame.src = URL.createObjectURL(new Blob([text], { type: 'text/html' }));
         document.body.append(frame);",
        "done",
        "log",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), format!(r#"[["{}",true,true]]"#, site.origin()));
    let beacon = site.request("/of-the-blob");
    assert_eq!(beacon.header("origin"), Some(&*site.origin()));
    assert_eq!(beacon.header("referer"), None, "a blob URL is no referrer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reopened_document_has_the_url_of_its_writer() {
    let page = report(
        "const frame = document.createElement('iframe');
         document.body.append(frame);
         frame.contentDocument.open();
         frame.contentDocument.close();
         frame.contentWindow.navigator.sendBeacon('/written');",
        "load",
        "frame.contentDocument.URL === location.href",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "true");
    let referrer = format!("{}/page", site.origin());
    assert_eq!(site.request("/written").header("referer"), Some(&*referrer));
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_navigates_the_document() {
    let site = Site::new()
        .page("/dir/page", "<meta http-equiv=Refresh content='0; URL=\"next\"'>")
        .page_with("/dir/next", &[("Refresh", "0;url=last")], "")
        .page("/dir/last", "<script>navigator.sendBeacon('/from', document.referrer)</script>")
        .start()
        .await;
    visit(&site, "/dir/page").await;
    assert_eq!(site.request("/from").body, format!("{}/dir/next", site.origin()).as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_type_of_a_document_is_that_of_its_response() {
    let page = report(
        "for (const src of ['/text', '/html', 'about:blank']) {
           document.body.append(Object.assign(document.createElement('iframe'), { src }));
         }",
        "load",
        "[document, ...[0, 1, 2].map((i) => frames[i].document)].map((it) => it.contentType)",
    );
    let text = [("Content-Type", "text/html, text/plain;charset=x")];
    let html = [("Content-Type", "*/*"), ("Content-Type", "Text/Html; a=b")];
    let site = Site::new().page("/page", &page);
    let site = site.page_of("/text", &text, "x").page_of("/html", &html, "x").start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"["text/html","text/plain","text/html","text/html"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_being_unloaded_does_not_navigate() {
    let inner = "onpagehide = () => { parent.document.open(); parent.document.write(&quot;<img src=written>&quot;); }";
    let frame = "<p></p><script>
        for (const type of ['beforeunload', 'pagehide', 'unload']) {
            addEventListener(type, () => {
                parent.log.push(type);
                location = 'elsewhere';
                location.reload();
                history.back();
                document.open();
                document.write('<img src=written>');
                parent.log.push(document.querySelectorAll('p').length);
            });
        }
        </script>";
    let frame = format!("{frame}<iframe srcdoc='<script>{inner}</script>'></iframe>");
    let page = report(
        "const frame = document.createElement('iframe');
         frame.src = 'frame';
         frame.onload = () => {
           frame.onload = () => {
             log.push(frame.contentWindow.location.pathname);
             dispatchEvent(new Event('done'));
           };
           // `history.back()` would go back to this entry.
           frame.contentWindow.location.hash = 'entry';
           frame.contentWindow.location = 'next';
         };
         document.body.append(frame);",
        "done",
        "log",
    );
    let site = Site::new().page("/page", &page).page("/frame", &frame).page("/next", "<p>");
    let site = site.page("/elsewhere", "<p>").start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"["beforeunload",1,"pagehide",1,"unload",1,"/next"]"#);
    let requests = ["/frame", "/elsewhere", "/written"].map(|path| {
        let request = format!("GET {path}");
        site.targets().into_iter().filter(|it| *it == request).count()
    });
    assert_eq!(requests, [1, 0, 0], "{:?}", site.targets());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beforeunload_handler_can_end_the_navigation() {
    let removed = "<script>onbeforeunload = () => frameElement.remove()</script>";
    let inner = "addEventListener(&quot;beforeunload&quot;, () => { parent.location = &quot;other&quot;; }, { once: true })";
    let renavigated = format!("<iframe srcdoc='<script>{inner}</script>'></iframe>");
    let other = "<script>onload = () => parent.dispatchEvent(new Event('done'))</script>";
    let page = report(
        "const add = (src) => {
           const frame = document.createElement('iframe');
           frame.src = src;
           document.body.append(frame);
           return frame;
         };
         const frames = [add('removed'), add('renavigated')];
         onload = () => { for (const frame of frames) frame.contentWindow.location = 'next'; };",
        "done",
        "window.length",
    );
    let site = Site::new().page("/page", &page).page("/removed", removed);
    let site = site.page("/renavigated", &renavigated).page("/other", other).page("/next", "<p>");
    let site = site.start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "1");
    assert!(!site.targets().contains(&"GET /next".to_owned()), "{:?}", site.targets());
}
