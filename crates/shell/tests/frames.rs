//! Frames of a page: when they load, where they go, and how they end.

mod site;

use site::{Site, report, visit};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_frame_has_a_blank_document_at_once() {
    let page = report(
        "var frame = document.createElement('iframe');
         frame.onload = () => log.push('load');
         document.body.append(frame);
         var w = frame.contentWindow;
         log.push(w.location.href, w.origin === origin, frame.contentDocument.baseURI === location.href,
           w.document.readyState, w.parent === window, w.top === window, w.frameElement === frame,
           window[0] === w, frames.length, w.Array === Array, w.document.body.tagName,
           w.navigator.sendBeacon('of-the-frame', 'x'));",
        "load",
        "log",
    );
    let site = Site::new().page("/dir/page", &page).start().await;
    visit(&site, "/dir/page").await;
    assert_eq!(
        site.report(),
        r#"["load","about:blank",true,true,"complete",true,true,true,true,1,false,"BODY",true]"#
    );
    let beacon = site.request("/dir/of-the-frame");
    assert_eq!(beacon.header("origin"), Some(&*site.origin()));
    assert_eq!(beacon.header("referer"), None, "about:blank is no referrer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_event_waits_for_nested_frames() {
    let listen = |name: &str| {
        format!("<script>addEventListener('load', () => top.log.push('{name}'))</script>")
    };
    let page = report("addEventListener('load', () => log.push('page'));", "load", "log");
    let site = Site::new()
        .page("/page", &format!("{page}<iframe src=child onload=\"log.push('element')\"></iframe>"))
        .page("/child", &format!("{}<iframe src=grandchild></iframe>", listen("child")))
        .page("/grandchild", &listen("grandchild"))
        .start()
        .await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"["grandchild","child","element","page"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_frame_is_unloaded_and_detached() {
    let child = "<script>
        for (const type of ['pagehide', 'unload'])
          addEventListener(type, () => parent.log.push(type, document.visibilityState));
        document.addEventListener('visibilitychange', () => parent.log.push(document.visibilityState));
        addEventListener('pagehide', () => parent.log.push(navigator.sendBeacon('bye')));
        </script>";
    let page = report(
        "document.body.insertAdjacentElement('beforeend', document.createElement('iframe')).src = 'child';
         addEventListener('load', () => {
           const frame = document.querySelector('iframe');
           const { contentWindow: w } = frame, { navigator: n } = w;
           frame.remove();
           log.push(frame.contentWindow, w.closed, w.parent, frames.length, n.sendBeacon('late'));
         });",
        "load",
        "log",
    );
    let site = Site::new().page("/page", &page).page("/child", child).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        r#"["pagehide","visible",true,"hidden","unload","hidden",null,true,null,0,false]"#
    );
    assert_eq!(site.beacons(), ["/bye", "/report"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_origin_sees_only_a_few_properties_of_a_window() {
    let page = report(
        "const frame = document.createElement('iframe');
         frame.src = location.href.replace('127.0.0.1', 'localhost').replace('page', 'child');
         document.body.append(frame);
         addEventListener('load', () => {
           const w = frame.contentWindow;
           for (const steps of [() => w.document, () => w.x, () => { w.x = 1; }, () => w.location.href,
             () => 'x' in w, () => Object.getPrototypeOf(w), () => w.then, () => w.length,
             () => w.parent === window, () => w.self === w, () => w.closed, () => typeof w.postMessage,
             () => frame.contentDocument, () => w.postMessage === w.postMessage,
             () => Object.getPrototypeOf(w.postMessage) === Function.prototype, () => delete w.x])
             log.push(attempt(steps) ?? null);
         });",
        "load",
        "log",
    );
    let site = Site::new().page("/page", &page).page("/child", "<iframe></iframe>").start().await;
    visit(&site, "/page").await;
    let denied = r#""SecurityError","#;
    assert_eq!(
        site.report(),
        format!(
            "[{}null,null,1,true,true,false,\"function\",null,true,true,\"SecurityError\"]",
            denied.repeat(5)
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_locations_and_attributes_navigate_frames() {
    let page = report(
        "const frame = document.createElement('iframe'), steps = [
           () => { frame.src = 'one'; },
           () => { frame.contentWindow.location = 'two'; },
           () => { frame.contentWindow.location.replace('three'); },
           () => { frame.contentDocument.querySelector('a').click(); },
           () => { frame.src = 'javascript:\"<p>\" + location.pathname'; },
           () => { frame.srcdoc = 'x'; },
         ];
         frame.onload = () => {
           log.push(frame.contentWindow.location.pathname);
           const next = steps.shift();
           if (next) next(); else dispatchEvent(new Event('done'));
         };
         addEventListener('load', () => document.body.append(frame));",
        "done",
        "[log, frame.contentDocument.body.textContent, document.querySelectorAll('iframe').length]",
    );
    let mut site = Site::new().page("/dir/page", &page);
    for name in ["/dir/one", "/dir/two", "/dir/three", "/dir/link"] {
        site = site.page(name, "<a href=link>x</a>");
    }
    let site = site.start().await;
    visit(&site, "/dir/page").await;
    assert_eq!(
        site.report(),
        r#"[["blank","/dir/one","/dir/two","/dir/three","/dir/link","/dir/link","srcdoc"],"x",1]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_cannot_frame_itself_endlessly() {
    let page = report("", "load", "[frames.length, frames[0].location.href]");
    let page = format!("{page}<iframe src=page></iframe>");
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"[1,"about:blank"]"#);
    // If each frame has another URL, the depth of the frames is limited.
    let page = report(
        "const frame = document.createElement('iframe');
         frame.src = `page?${+location.search.slice(1) + 1}`;
         document.body.append(frame);
         function depth(w) { return w.length && 1 + depth(w[0]); }
         if (top !== window) navigator.sendBeacon = () => {};",
        "load",
        "depth(window)",
    );
    let site = Site::new().page("/page", &page).any_query().start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "31");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_make_more_frames_than_contexts_are_in_stock() {
    let page = report(
        "for (let i = 0; i < 50; i++) document.body.append(document.createElement('iframe'));",
        "load",
        "[frames.length, new Set(Array.from(frames)).size, !!frames[49].document.body]",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "[50,50,true]");
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_and_frames_are_named_properties_of_the_window() {
    let page = report(
        "attempt(() => log.push(window.para, typeof para));
         document.body.innerHTML = '<p id=para>x</p><p id=name>y</p><iframe name=inner></iframe>';
         log.push(para.textContent, window.para === para, name, inner === frames[0],
           attempt(() => nothing), Object.keys(window).includes('para'));
         para = 1;
         document.body.firstChild.id = 'other';
         log.push(para, other.textContent);",
        "load",
        "log",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        r#"[null,"undefined","x",true,"",true,"ReferenceError",false,1,"x"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_gets_pagehide_before_the_documents_in_its_frames() {
    let listen = |name: &str| {
        format!(
            "<script>onpagehide = () => {{ top.log.push('{name}'); if ('{name}' === 'grandchild') navigator.sendBeacon('/log', top.log.join()); }}</script>"
        )
    };
    let page =
        format!("<script>var log = [];</script>{}<iframe src=child></iframe>", listen("page"));
    let site = Site::new()
        .page("/page", &page)
        .page("/child", &format!("{}<iframe src=grandchild></iframe>", listen("child")))
        .page("/grandchild", &listen("grandchild"))
        .start()
        .await;
    visit(&site, "/page").await;
    assert_eq!(site.request("/log").body, b"page,child,grandchild");
}
