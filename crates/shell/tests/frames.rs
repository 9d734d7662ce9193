//! Pages with frames, in the browser: what their scripts see, and what their beacons say.

mod site;

use site::{Site, visit};

/// A page that says what `expression` comes to when `event` has been fired at its window.
fn report(before: &str, event: &str, expression: &str) -> String {
    format!(
        "<!DOCTYPE html><body><script>
         var log = [];
         function attempt(steps) {{ try {{ return steps(); }} catch (e) {{ return e.name; }} }}
         {before}
         addEventListener('{event}', () => navigator.sendBeacon('/report', JSON.stringify({expression})));
         </script>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_there_at_once_and_blank() {
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
async fn the_load_event_waits_for_frames_below_frames() {
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
async fn another_origin_sees_little_of_a_window() {
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
async fn a_sandbox_takes_the_origin_and_the_scripts() {
    let say = "<script>parent.postMessage([origin, location.href, navigator.sendBeacon(&quot;/s&quot;)], &quot;*&quot;)</script>";
    let page = report(
        "onmessage = e => log.push(e.data, e.origin, e.source === frames[0]);",
        "load",
        "[log, attempt(() => frames[0].document), frames[1].document.URL]",
    );
    let page = format!(
        "{page}<iframe sandbox=allow-scripts srcdoc='{say}'></iframe>
         <iframe sandbox=allow-same-origin srcdoc='{say}'></iframe>"
    );
    // The message is a task of its own, behind the one of `load`.
    let page = page.replace(
        "addEventListener('load', () =>",
        "addEventListener('load', () => setTimeout(() =>",
    );
    let page = page.replace("document.URL])));", "document.URL])), 1));");
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        r#"[[["null","about:srcdoc",true],"null",true],"SecurityError","about:srcdoc"]"#
    );
    assert_eq!(site.request("/s").header("origin"), Some("null"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_srcdoc_document_is_of_the_one_around_it() {
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
async fn frames_go_where_links_locations_and_attributes_say() {
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
async fn a_page_does_not_frame_itself_without_end() {
    let page = report("", "load", "[frames.length, frames[0].location.href]");
    let page = format!("{page}<iframe src=page></iframe>");
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"[1,"about:blank"]"#);
    // By another URL each time it ends by how deep they are.
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
async fn a_script_may_make_more_frames_than_there_is_room_for_at_once() {
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
async fn a_document_is_written_while_it_loads_and_when_it_has() {
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
async fn elements_and_frames_are_names_of_the_window() {
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
async fn a_frames_document_is_asked_for_by_the_referrer_policy_of_its_element() {
    let page = report("onmessage = e => log.push(e.data);", "load", "log.sort()");
    let page = page.replace(
        "addEventListener('load', () =>",
        "addEventListener('load', () => setTimeout(() =>",
    );
    let page = page.replace("(log.sort())));", "(log.sort())), 1));");
    let other = "<script>parent.postMessage(location.search + document.referrer, '*')</script>";
    let site = Site::new().any_query().page("/other", other);
    let frames = ["origin", "No-Referrer", "bogus"]
        .map(|policy| format!("<iframe src='other?{policy}' referrerpolicy='{policy}'></iframe>"));
    let page = page + &frames.concat();
    let site = site.page_with("/page", &[("Referrer-Policy", "origin")], &page).start().await;
    visit(&site, "/page").await;
    let origin = site.origin();
    let expected = format!(r#"["?No-Referrer","?bogus{origin}/","?origin{origin}/"]"#);
    assert_eq!(site.report(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_type_of_a_document_counts_with_the_charset_before() {
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
async fn a_blob_is_a_document_of_its_creators_origin() {
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
async fn an_opaque_origin_has_nothing_stored() {
    let page = report(
        "onmessage = e => { log.push(e.data); dispatchEvent(new Event('done')); };",
        "done",
        "log",
    );
    let frame = "<iframe sandbox=allow-scripts srcdoc='<script>
         const attempt = steps => { try { return steps(); } catch (e) { return e.name; } };
         parent.postMessage([attempt(() => document.cookie), attempt(() => document.cookie = `a=b`),
           attempt(() => localStorage.length), attempt(() => sessionStorage.length), document.domain], `*`)
         </script>'></iframe>";
    let site = Site::new().page("/page", &format!("{page}{frame}")).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        r#"[["SecurityError","SecurityError","SecurityError","SecurityError",""]]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_hears_of_its_end_before_those_in_it() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_written_anew_sends_from_where_its_writer_is() {
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
async fn who_may_frame_a_document_is_said_by_its_headers() {
    let say = "<script>parent.postMessage(location.pathname, '*')</script>";
    let page = report("onmessage = e => log.push(e.data);", "load", "log.sort()");
    let page = page.replace(
        "addEventListener('load', () =>",
        "addEventListener('load', () => setTimeout(() =>",
    );
    let page = page.replace("(log.sort())));", "(log.sort())), 1));");
    let mut site = Site::new();
    let mut frames = Vec::new();
    for (name, headers) in [
        ("deny", &[("X-Frame-Options", "DENY")][..]),
        ("same", &[("X-Frame-Options", "SameOrigin, sameorigin")]),
        ("both", &[("X-Frame-Options", "sameorigin"), ("X-Frame-Options", "nonsense")]),
        ("nonsense", &[("X-Frame-Options", "nonsense")]),
        (
            "csp",
            &[("X-Frame-Options", "DENY"), ("Content-Security-Policy", "frame-ancestors 'self'")],
        ),
        ("stranger", &[("Content-Security-Policy", "frame-ancestors https://b.test")]),
        ("none", &[("Content-Security-Policy", "frame-ancestors")]),
        ("report", &[("Content-Security-Policy-Report-Only", "frame-ancestors 'none'")]),
        ("attachment", &[("Content-Disposition", "Attachment; filename=x")]),
    ] {
        site = site.page_with(&format!("/{name}"), headers, say);
        frames.push(format!("<iframe src={name}></iframe>"));
    }
    let site = site.page("/page", &(page + &frames.concat())).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"["/csp","/nonsense","/report","/same"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_goes_where_it_says_by_itself() {
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
async fn what_a_document_frames_is_limited_by_its_policy() {
    let page = report(
        "const note = item => { if (log.push(item) === 4) dispatchEvent(new Event('done')); };
         onmessage = e => note(e.data);
         addEventListener('securitypolicyviolation', e =>
           note([e.effectiveDirective, e.blockedURI, e.disposition]));",
        "done",
        "log.map(String).sort()",
    );
    let policy = "default-src 'none'; script-src 'unsafe-inline'; connect-src *; frame-src 'self'; report-uri /rep";
    let headers = [
        ("Content-Security-Policy", policy),
        ("Content-Security-Policy-Report-Only", "child-src 'none'"),
    ];
    let frames = "<iframe src=allowed></iframe><iframe src='data:text/html,<script>parent.postMessage(`no`, `*`)</script>'></iframe>";
    let site = Site::new()
        .page_with("/page", &headers, &(page + frames))
        .page("/allowed", "<script>parent.postMessage('allowed', '*')</script>")
        .start()
        .await;
    visit(&site, "/page").await;
    let origin = site.origin();
    let expected = format!(
        r#"["allowed","frame-src,data,enforce","frame-src,data,report","frame-src,{origin}/allowed,report"]"#
    );
    assert_eq!(site.report(), expected);
    assert!(site.beacons().contains(&"/rep".to_owned()));
}
